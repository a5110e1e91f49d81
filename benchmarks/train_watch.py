"""Run a command to its end and say how long it took, how much memory it and its children held, what it left on disk."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_LOOK_SECONDS = 0.25


@dataclass(frozen=True)
class Watched:
    """What a command cost, with all processes that it started.

    Attributes:
        seconds: from its start to its end.
        cpu: seconds of processor time, which other work on the machine changes less.
        peak_mb: resident memory.
        output: what it wrote to stdout.
    """

    seconds: float
    cpu: float
    peak_mb: float
    output: str


def watch(
    command: Sequence[str],
    *,
    folder: Path,
    environment: Mapping[str, str] | None = None,
    allowed: Collection[int] = (0,),
) -> Watched:
    """Run a command to its end; one that fails, by its exit code, ends the benchmark with what it said."""
    began, before = time.perf_counter(), _cpu()
    with subprocess.Popen(
        command,
        cwd=folder,
        env={**os.environ, **(environment or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        looker = _Looker(process.pid)
        looker.start()
        output, errors = process.communicate()
        seconds = time.perf_counter() - began
        looker.stop()
    if process.returncode not in allowed:
        raise SystemExit(
            f"{' '.join(command[:4])} ended with {process.returncode}:\n{output[-2000:]}\n{errors[-4000:]}"
        )
    return Watched(seconds, _cpu() - before, looker.peak / 1e6, output)


def _cpu() -> float:
    used = os.times()
    return used.children_user + used.children_system


class _Looker(threading.Thread):
    """Adds up the resident memory of a process and its descendants, several times a second.

    Pages that processes share count in each of them: the sum is never too small.
    """

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.peak = 0
        self._pid = pid
        self._over = threading.Event()

    def run(self) -> None:
        while not self._over.wait(_LOOK_SECONDS):
            self.peak = max(self.peak, sum(map(_resident, _family(self._pid))))

    def stop(self) -> None:
        self._over.set()
        self.join()


def _family(pid: int) -> list[int]:
    found, at = [pid], 0
    while at < len(found):
        for file in Path(f"/proc/{found[at]}/task").glob("*/children"):
            found += [int(child) for child in _read(file).split()]
        at += 1
    return found


def _resident(pid: int) -> int:
    fields = _read(Path(f"/proc/{pid}/statm")).split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE") if fields else 0


def _read(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:  # it ended while we looked
        return ""


def disk_bytes(folder: Path) -> int:
    """Return what the files below a folder take on disk, in whole blocks."""
    return sum(
        512 * os.lstat(os.path.join(place, name)).st_blocks  # noqa: PTH118 - as a Path each takes three times as long
        for place, _, names in os.walk(folder)
        for name in names
    )
