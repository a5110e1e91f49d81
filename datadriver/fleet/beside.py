"""A projector in a process of its own, beside a command: it costs the fleet no time, and cannot make it fail."""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import IO

from datadriver.config.sections import UseCase
from datadriver.errors import ConfigError, DatadriverError, UnavailableError
from datadriver.fleet.progress import Progress
from datadriver.fleet.projection import Lag, Session, Watch, leaving
from datadriver.tracking.backlog import backlog
from datadriver.tracking.behind import Behind
from datadriver.tracking.ledger import Ledger

_START = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from datadriver.fleet.beside import main; main()"
_FINISH = b"finish\n"
_NICE = 10  # the fleet comes first
_POLL_SECONDS = 0.2
_GRACE_SECONDS = 2.0


class Beside:
    """The process. Started when first needed; ended with the block, wherever it is then: the next one goes on."""

    def __init__(self, behind: Behind, *, verbose: bool = False) -> None:
        self._behind = behind
        self._verbose = verbose
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Beside:
        """Wait to be started."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it."""
        if self._process is None:
            return
        with contextlib.suppress(BrokenPipeError):
            self._to().close()  # it ends after the version at hand
        try:
            self._process.wait(_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def start(self) -> None:
        """Start it, unless it is at work."""
        if self._process is not None:
            return
        path = [entry or os.getcwd() for entry in sys.path]  # noqa: PTH109 - '' means here, also in the child
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter
            [sys.executable, "-P", "-c", _START, json.dumps(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None if self._verbose else subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C reaches the parent alone
        )
        with contextlib.suppress(BrokenPipeError):
            pickle.dump((self._behind.usecase, self._behind.root), self._to())
            self._to().flush()

    def finish(self, progress: Progress) -> DatadriverError | None:
        """Wait until everything is written or it gives up; returns why something is left, None if nothing is."""
        self.start()
        process = self._process
        assert process is not None  # noqa: S101 - for mypy: it was started
        assert process.stdout is not None  # noqa: S101 - as above
        with contextlib.suppress(BrokenPipeError):
            self._to().write(_FINISH)
            self._to().flush()
        with Watch(self._behind, progress) as watch:
            while process.poll() is None:
                time.sleep(_POLL_SECONDS)
                watch.look()
        try:
            said = json.loads(process.stdout.read())
        except ValueError:
            return UnavailableError(f"the process that writes to MLflow ended with exit code {process.returncode}")
        if said["error"] is None:
            return None
        return (ConfigError if said["exit_code"] == ConfigError.exit_code else UnavailableError)(said["error"])

    def close(self, progress: Progress, *, wait: bool) -> Lag | None:
        """Wait, if that is wanted, and say how far MLflow is behind; None where it is not written behind the run."""
        if self._process is None and not backlog(self._behind.ledger).total:
            return None
        with leaving() as left:
            left.error = self.finish(progress) if wait else None
        return Lag(backlog(self._behind.ledger), left.error)

    def _to(self) -> IO[bytes]:
        assert self._process is not None  # noqa: S101 - for mypy: it was started
        assert self._process.stdin is not None  # noqa: S101 - as above
        return self._process.stdin


def main() -> None:
    """Write what is pending, told by stdin what for: a use case, `finish` once nothing is added; its end means stop."""
    os.nice(_NICE)
    answer, sys.stdout = sys.stdout, sys.stderr  # what libraries print is no part of the answer
    usecase, root = pickle.load(sys.stdin.buffer)  # noqa: S301 - from our own parent, over a pipe
    over, stop = threading.Event(), threading.Event()

    def listen() -> None:
        for line in sys.stdin.buffer:
            if line == _FINISH:
                over.set()
        stop.set()

    threading.Thread(target=listen, daemon=True).start()
    error = _run(usecase, root, over, stop)
    code = None if error is None else error.exit_code
    answer.write(json.dumps({"error": None if error is None else error.message, "exit_code": code}))
    answer.flush()
    os._exit(0)  # not before the thread reads on, but at once


def _run(usecase: UseCase, root: Path, over: threading.Event, stop: threading.Event) -> DatadriverError | None:
    try:
        ledger = Ledger.open(usecase, root)
        try:
            return Session(Behind(usecase, root, ledger), over.is_set, stop).run()
        finally:
            ledger.close()
    except DatadriverError as error:
        return error
