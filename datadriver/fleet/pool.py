"""Worker processes: each thread here owns one, hands it one call at a time and knows exactly which call killed it."""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO

from datadriver.errors import DatadriverError, UnavailableError, UseCaseError
from datadriver.fleet.worker import Answer, Call

_START = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from datadriver.fleet.worker import main; main()"


def default_workers() -> int:
    """One worker per core that this process may use."""
    return max(1, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)


class Workers:
    """Worker processes for one command; started when first needed, gone when the block ends.

    Args:
        count: number of processes; default: one per core.
        environment: variables that must be set before a worker imports numpy.
        verbose: let the workers' stderr through instead of keeping it for the message of a dead one.
    """

    def __init__(self, count: int | None = None, *, environment: Mapping[str, str], verbose: bool = False) -> None:
        self._crew = [Worker(environment, verbose=verbose) for _ in range(count or default_workers())]

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._crew:
            worker.close()

    def answers(self, calls: Iterable[Call], *, at_most: int | None = None) -> Iterator[tuple[Call, Answer]]:
        """Have calls done and yield each with its answer, in the order in which they finish.

        A call that kills its worker gets an error as its answer, and a new worker takes its place. Calls are taken from
        the iterable only as answers are consumed, so memory does not grow with the fleet. Closing the iterator early,
        an exception or Ctrl-C in the consumer kills the workers.

        Args:
            calls: what to do; each function is named, because workers import it themselves.
            at_most: how many calls there are, if that is known: no more workers are started.
        """
        shift = _Shift(iter(calls), self._crew[:at_most])
        try:
            yield from shift.work()
        finally:
            shift.stop()


class _Shift:
    """Threads that share one iterator of calls and one queue of answers."""

    def __init__(self, calls: Iterator[Call], workers: Sequence[Worker]) -> None:
        self._calls = calls
        self._taking = threading.Lock()
        self._ahead = threading.Semaphore(2 * len(workers))
        self._done: queue.SimpleQueue[tuple[Call, Answer] | BaseException | None] = queue.SimpleQueue()
        self._stopped = False
        self._running = len(workers)
        self._workers = workers
        self._threads = [threading.Thread(target=self._serve, args=(worker,), daemon=True) for worker in workers]

    def work(self) -> Iterator[tuple[Call, Answer]]:
        for thread in self._threads:
            thread.start()
        while self._running:
            finished = self._done.get()
            if finished is None:
                self._running -= 1
            elif isinstance(finished, BaseException):
                raise finished
            else:
                yield finished
                self._ahead.release()

    def stop(self) -> None:
        """End early: kill the workers if any of them may still be at work."""
        self._stopped = True
        if self._running:
            for worker in self._workers:
                worker.kill()
        self._ahead.release(len(self._threads))
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(timeout=5)

    def _serve(self, worker: Worker) -> None:
        try:
            while (call := self._next()) is not None:
                self._done.put((call, worker.do(call)))
        except BaseException as error:  # the consumer raises it in its own thread
            self._done.put(error)
        finally:
            self._done.put(None)

    def _next(self) -> Call | None:
        self._ahead.acquire()
        with self._taking:
            call = None if self._stopped else next(self._calls, None)
        if call is None:
            self._ahead.release()  # so that the other threads see the end, too
        return call


@dataclass
class Worker:
    """One worker process, started when first needed and again after a death."""

    environment: Mapping[str, str]
    verbose: bool = False
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)
    _said: IO[bytes] | None = field(default=None, init=False)
    _killed: bool = field(default=False, init=False)

    def do(self, call: Call) -> Answer:
        """Have a call done; the death of the process is an answer like any other."""
        process = self._start()
        assert process.stdin is not None  # noqa: S101 - for mypy: we asked for the pipes
        assert process.stdout is not None  # noqa: S101
        try:
            pickle.dump(call, process.stdin, protocol=pickle.HIGHEST_PROTOCOL)
            process.stdin.flush()
            reply = pickle.load(process.stdout)  # noqa: S301 - from our own child, over a pipe
        except (EOFError, OSError, pickle.UnpicklingError):
            return Answer(error=self._bury(process))
        assert isinstance(reply, Answer)  # noqa: S101
        return reply

    def kill(self) -> None:
        """End the process at once, and any that is about to start."""
        self._killed = True
        if self._process is not None:
            self._process.kill()

    def close(self) -> None:
        """Let the process go: it ends when its stdin does."""
        if self._process is not None:
            self._forget(self._process)

    def _start(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            self._said = None if self.verbose else tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
            path = [entry or os.getcwd() for entry in sys.path]  # noqa: PTH109 - '' means here, also in the child
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter
                [sys.executable, "-P", "-c", _START, json.dumps(path)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._said,
                env={**os.environ, **self.environment},
                # Ctrl-C reaches the parent alone, which then ends its workers in order.
                start_new_session=True,
            )
            if self._killed:
                self._process.kill()
        return self._process

    def _bury(self, process: subprocess.Popen[bytes]) -> DatadriverError:
        """Take leave of a process that broke off, and say what it died of."""
        if self._killed:
            process.kill()
        code = process.wait()
        said = self._last_words()
        self._forget(process)
        return _cause_of_death(code, said)

    def _forget(self, process: subprocess.Popen[bytes]) -> None:
        for stream in (process.stdin, process.stdout, self._said):
            with contextlib.suppress(OSError):
                stream.close() if stream is not None else None
        process.wait()
        self._process = None

    def _last_words(self) -> str:
        if self._said is None:
            return ""
        size = self._said.seek(0, os.SEEK_END)
        self._said.seek(max(0, size - 4096))
        lines = [line.strip() for line in self._said.read().decode(errors="replace").splitlines() if line.strip()]
        return lines[-1][:200] if lines else ""


def _cause_of_death(code: int, said: str) -> DatadriverError:
    """Say how a worker ended; being killed may pass, a crash of the code it ran will come again."""
    hint = f"; last words: {said}" if said else ""
    if code in {-signal.SIGKILL, -signal.SIGTERM}:
        name = signal.Signals(-code).name
        return UnavailableError(f"its worker process was killed ({name}); most often memory ran out{hint}")
    if code < 0:
        return UseCaseError(f"its worker process crashed ({signal.Signals(-code).name}) in compiled code{hint}")
    return UseCaseError(f"its worker process ended by itself with exit code {code}; something called exit{hint}")
