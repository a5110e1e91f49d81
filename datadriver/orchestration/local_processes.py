"""Airflow's processes while they run on this machine, and an end that leaves none of them."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

from datadriver.errors import UnavailableError

COMPONENTS = {"scheduler": ("--skip-serve-logs",), "dag-processor": (), "api-server": ()}
"""In the order of their end: tasks that are at work when the scheduler goes tell the api-server how they ended.

Left to itself the scheduler serves logs to the whole network; here the api-server reads them where they are.
"""

_GRACE_SECONDS = 10.0
"""So long each step of an end may take before it is made harder."""
_LAST_LINES = 12
_DEATH_SIGNAL, _SUBREAPER = 1, 36
"""Of Linux's prctl."""


class Processes:
    """The processes of one Airflow; leaving the block ends them and all that they have started.

    Args:
        home: folder of that Airflow; the processes write to files in `logs/` there.
        environment: all of theirs.
    """

    def __init__(self, home: Path, environment: Mapping[str, str]) -> None:
        self._home = home
        self._environment = dict(environment)
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._before: frozenset[Any] = frozenset()

    def __enter__(self) -> Self:
        _adopt_orphans()
        self._before = frozenset(_descendants(os.getpid()))
        try:
            self._migrate()
            for name, arguments in reversed(COMPONENTS.items()):
                self._start(name, *arguments)
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def check(self) -> None:
        """Look whether all are there.

        Raises:
            UnavailableError: one has ended; the message has its last words.
        """
        for name, process in self._running.items():
            if process.poll() is not None:
                raise self._ended(name, process.returncode)

    def log(self, name: str) -> Path:
        """Return the file that a process writes to."""
        return self._home / "logs" / f"{name}.log"

    def _migrate(self) -> None:
        """Make the database, or bring that of an older Airflow up to date."""
        code = self._start("db", "migrate").wait()
        if code:
            raise self._ended("db", code)
        del self._running["db"]

    def _start(self, name: str, *arguments: str) -> subprocess.Popen[bytes]:
        self.log(name).parent.mkdir(parents=True, exist_ok=True)
        with self.log(name).open("wb") as log:
            process = subprocess.Popen(  # noqa: S603 - Airflow
                [sys.executable, "-m", "airflow", name, *arguments],
                cwd=self._home,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # a Ctrl-C in the terminal is for us alone, who pass it on in order
                preexec_fn=_ended_with(os.getpid()),  # noqa: PLW1509 - what it calls takes no locks
            )
        self._running[name] = process
        return process

    def _stop(self) -> None:
        """End them in order, each with time to finish; a second Ctrl-C ends all at once."""
        try:
            for name in ("db", *COMPONENTS):
                if name in self._running:
                    _end(self._running[name])
        finally:
            _kill_all([one for one in _descendants(os.getpid()) if one not in self._before])
            for process in self._running.values():
                process.wait()

    def _ended(self, name: str, code: int) -> UnavailableError:
        lines = self.log(name).read_text("utf-8", errors="replace").strip().splitlines()
        return UnavailableError(
            "\n".join((f"Airflow's {name} ended with {code}; the end of {self.log(name)}:", *lines[-_LAST_LINES:]))
        )


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask a process to end; if its tasks take too long, ask them, who can then still say so; then end both."""
    process.terminate()
    if _gone(process):
        return
    below = _descendants(process.pid)
    for one in below:
        with contextlib.suppress(_no_such_process()):
            one.terminate()
    if not _gone(process):
        process.kill()
    _kill_all(below)


def _gone(process: subprocess.Popen[bytes]) -> bool:
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_GRACE_SECONDS)
    return process.returncode is not None


def _descendants(pid: int) -> list[Any]:
    import psutil  # noqa: PLC0415 - comes with Airflow

    with contextlib.suppress(psutil.NoSuchProcess):
        return list(psutil.Process(pid).children(recursive=True))
    return []


def _no_such_process() -> type[Exception]:
    import psutil  # noqa: PLC0415 - comes with Airflow

    return psutil.NoSuchProcess  # type: ignore[no-any-return]


def _kill_all(processes: list[Any]) -> None:
    for one in processes:
        with contextlib.suppress(_no_such_process()):
            one.kill()


def _adopt_orphans() -> None:
    """Become the parent of whatever outlives its own below us, so that it can be found and ended; on Linux."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)


def _ended_with(parent: int) -> Callable[[], None] | None:
    """Return what makes a process end when its parent was killed and could end nothing; on Linux."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl

    def before_it_starts() -> None:
        prctl(_DEATH_SIGNAL, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    return before_it_starts
