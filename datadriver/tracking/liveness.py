"""Whether the process behind a recorded batch still lives, as far as this machine can tell."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime, timedelta
from pathlib import Path

SIGN_SECONDS = 60.0
"""How often a batch shows that it lives."""
SILENCE = timedelta(minutes=15)
"""A batch on another host that has shown no sign of life for this long counts as dead."""

_FIRST_PROCESSES = "pid:[4026531836]"
"""The namespace of a machine's own processes, in all of Linux: PROC_PID_INIT_INO."""


def this_host() -> str:
    """The name under which this process records its batches: processes of one name see each other's ids.

    The machine's; in a container also which processes it sees. Containers that share the network of their host have
    its name, too, and in each of them the ids are the same few.
    """
    try:
        processes = str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return platform.node()
    return platform.node() if processes == _FIRST_PROCESSES else f"{platform.node()} {processes}"


def now(later: timedelta = timedelta()) -> str:
    """This instant, or a later one, as the ledger writes it: ISO 8601, UTC, microseconds; sorts as text."""
    return (datetime.now(UTC) + later).isoformat(timespec="microseconds")


def milliseconds(instant: str) -> int:
    """Return an instant that the ledger wrote as MLflow counts it: milliseconds since 1970."""
    return round(datetime.fromisoformat(instant).timestamp() * 1000)


def is_alive(host: str, pid: int, started_at: str, alive_at: str) -> bool:
    """Judge a batch that is recorded as running.

    On this host the process must exist and be older than the batch (process ids are used again, and in containers
    they are always the same few). On other hosts only the time since the last sign of life says something.
    """
    if host != this_host():
        return datetime.now(UTC) - datetime.fromisoformat(alive_at) < SILENCE
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # it exists and belongs to someone else
    born = _born(pid)
    return born is None or born <= datetime.fromisoformat(started_at) + timedelta(seconds=1)


def _born(pid: int) -> datetime | None:
    """When a process started; None where /proc does not say."""
    try:
        ticks = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
        boot = next(
            int(line.split()[1]) for line in Path("/proc/stat").read_text().splitlines() if line.startswith("btime ")
        )
    except (OSError, ValueError, IndexError, StopIteration):
        return None
    return datetime.fromtimestamp(boot + ticks / os.sysconf("SC_CLK_TCK"), UTC)
