"""A worker process as its owner sees it: handed one call at a time, watched, ended when it breaks a limit."""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import re
import signal
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import IO

from datadriver.config.values import format_duration
from datadriver.errors import DatadriverError, UnavailableError, UseCaseError
from datadriver.fleet.failures import MORE_MEMORY
from datadriver.fleet.limits import Limits, memory_of
from datadriver.fleet.worker import Answer, Call

_START = (
    "import json, sys; sys.path[:], memory = json.loads(sys.argv[1]); "
    "from datadriver.fleet.worker import main; main(memory)"
)
_FRAME = re.compile(r'^\s*File "(.+)", line (\d+) in (\S+)')
_OURS = str(Path(__file__).parents[1])
_MOST_SAID = 2**20


@dataclass
class Worker:
    """One worker process, started when first needed and again after a death."""

    environment: Mapping[str, str]
    limits: Limits = field(default_factory=Limits)
    verbose: bool = False
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)
    _said: IO[bytes] | None = field(default=None, init=False)
    _killed: bool = field(default=False, init=False)
    _since: float | None = field(default=None, init=False)
    _ended: DatadriverError | None = field(default=None, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def do(self, call: Call) -> Answer:
        """Have a call done; the death of the process is an answer like any other."""
        process = self._start()
        assert process.stdin is not None  # noqa: S101 - for mypy: we asked for the pipes
        assert process.stdout is not None  # noqa: S101
        with self._lock:
            self._since, self._ended = time.monotonic(), None
        try:
            # As bytes, so that one that the worker cannot understand does not spoil the stream.
            pickle.dump(pickle.dumps(call, protocol=pickle.HIGHEST_PROTOCOL), process.stdin)
            process.stdin.flush()
            reply = pickle.load(process.stdout)  # noqa: S301 - from our own child, over a pipe
        except (EOFError, OSError, pickle.UnpicklingError):
            reply = None
        with self._lock:
            self._since = None
        if reply is None:
            return self._bury(process)
        if self._ended is not None:  # in the instant in which it was done; the next call needs another process
            self._forget(process)
        assert isinstance(reply, Answer)  # noqa: S101
        return reply

    def check(self) -> None:
        """End the process if the call that it is at breaks a limit."""
        with self._lock:
            if self._since is None or self._process is None or self._ended is not None:
                return
            self._ended = self._excess(self._process.pid, time.monotonic() - self._since)
            if self._ended is not None:
                self._ask_where(self._process)
                _end(self._process)

    def kill(self) -> None:
        """End the process at once, and any that is about to start."""
        self._killed = True
        if self._process is not None:
            _end(self._process)

    def close(self) -> None:
        """Let the process go."""
        self._killed = True
        if self._process is not None:
            self._forget(self._process)

    def _start(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            self._said = None if self.verbose else tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
            path = [entry or os.getcwd() for entry in sys.path]  # noqa: PTH109 - '' means here, also in the child
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter
                [sys.executable, "-P", "-c", _START, json.dumps([path, self.limits.memory])],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._said,
                env={**os.environ, **self.environment},
                # Ctrl-C reaches the parent alone, which then ends its workers in order, and what they started.
                start_new_session=True,
            )
            if self._killed:
                _end(self._process)
        elif self._said is not None and self._said.seek(0, os.SEEK_END) > _MOST_SAID:
            self._said.truncate(0)
            self._said.seek(0)  # the worker writes on at the same place: parent and child share the open file
        return self._process

    def _excess(self, pid: int, seconds: float) -> DatadriverError | None:
        """Say which limit a call breaks, if any; both are the use case's to keep, and come again when tried again."""
        limit = self.limits
        if limit.seconds is not None and seconds > limit.seconds:
            allowed = format_duration(timedelta(seconds=limit.seconds))
            return UseCaseError(
                f"its job was not done after {allowed} and was ended; if it is not stuck but long, raise "
                "`workers.timeout`"
            )
        used = memory_of(pid) if limit.memory is not None else None
        if used is not None and limit.memory is not None and used > limit.memory:
            return UseCaseError(
                f"its worker used {used / 1e9:.3g} GB of memory, more than the {limit.memory / 1e9:.3g} GB that it "
                f"may, and was ended; {MORE_MEMORY}"
            )
        return None

    def _ask_where(self, process: subprocess.Popen[bytes]) -> None:
        """Let the worker write to stderr where it is; one that is stopped or deep in compiled code may not manage."""
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGUSR1)
            time.sleep(0.2)

    def _bury(self, process: subprocess.Popen[bytes]) -> Answer:
        """Take leave of a process that broke off, and say what it died of."""
        with contextlib.suppress(subprocess.TimeoutExpired):  # it may have closed its stdout and live on
            process.wait(timeout=0 if self._killed else 1)
        _end(process)
        code = process.wait()
        said = self._last_words()
        self._forget(process)
        if self._ended is None:
            return Answer(error=_cause_of_death(code, said[-1][:200] if said else ""))
        place = place_in(said)
        return Answer(error=type(self._ended)(self._ended.message + place), trace="\n".join(said))

    def _forget(self, process: subprocess.Popen[bytes]) -> None:
        _end(process)
        for stream in (process.stdin, process.stdout, self._said):
            with contextlib.suppress(OSError):
                stream.close() if stream is not None else None
        process.wait()
        self._process = None

    def _last_words(self) -> list[str]:
        if self._said is None:
            return []
        size = self._said.seek(0, os.SEEK_END)
        self._said.seek(max(0, size - 8192))
        lines = self._said.read().decode(errors="replace").splitlines()
        return [line.rstrip() for line in lines if line.strip()]


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill a worker and whatever it has started; nothing if we have waited for it already: its number may be reused."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)


def place_in(said: Sequence[str]) -> str:
    """Say where a worker was by the traceback that it wrote, innermost first: in the use case's code if it was there.

    >>> place_in(['  File "/x/pumps/features.py", line 12 in load', '  File "/x/pumps/models.py", line 3 in ridge'])
    '; it was at features.py, line 12, in load'
    """
    frames = [match for line in said if (match := _FRAME.search(line))]
    if not frames:
        return ""
    libraries = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")} | {_OURS}
    theirs = [frame for frame in frames if not any(frame[1].startswith(f"{folder}{os.sep}") for folder in libraries)]
    file, line, name = (theirs or frames)[0].groups()
    return f"; it was at {Path(file).name}, line {line}, in {name}"


def _cause_of_death(code: int, said: str) -> DatadriverError:
    """Say how a worker ended; being killed may pass, a crash of the code it ran will come again."""
    hint = f"; last words: {said}" if said else ""
    if code in {-signal.SIGKILL, -signal.SIGTERM}:
        name = signal.Signals(-code).name
        return UnavailableError(f"its worker process was killed ({name}); most often memory ran out{hint}")
    if code < 0:
        return UseCaseError(f"its worker process crashed ({signal.Signals(-code).name}) in compiled code{hint}")
    return UseCaseError(f"its worker process ended by itself with exit code {code}; something called exit{hint}")
