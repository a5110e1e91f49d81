"""How long a job may take, how much memory its process may use, and what the machine has of it."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from datadriver.config.sections import Workers as WorkersSection

_CONTAINERS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Limits:
    """What one worker process may use; None is no limit.

    Attributes:
        seconds: for one job.
        memory: bytes that are its own: files that are mapped into it, as shared libraries are, do not count.
    """

    seconds: float | None = None
    memory: int | None = None


def limits_of(section: WorkersSection, workers: int) -> Limits:
    """Return what the configuration says for each of so many workers."""
    share = machine_memory()
    memory = section.memory or (share // workers if share is not None else None)
    return Limits(section.timeout.total_seconds(), memory)


def machine_memory() -> int | None:
    """Return the memory of this machine, or of the container around us where that is less, in bytes."""
    sizes = []
    with suppress(ValueError, OSError, AttributeError):
        sizes.append(os.sysconf("SC_PHYS_PAGES") * _PAGE)
    for path in _CONTAINERS:
        with suppress(ValueError, OSError):  # no such file, or the word `max`
            sizes.append(int(Path(path).read_text()))
    return min((size for size in sizes if size > 0), default=None)


def memory_of(pid: int) -> int | None:
    """Return the bytes of memory that are a process's own; None where this system does not say."""
    try:
        _, resident, shared, *_ = Path(f"/proc/{pid}/statm").read_text().split()
    except (OSError, ValueError):
        return None
    return (int(resident) - int(shared)) * _PAGE
