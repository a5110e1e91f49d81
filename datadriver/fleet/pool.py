"""Worker processes: each thread here owns one, hands it one call at a time and knows exactly which call killed it."""

from __future__ import annotations

import contextlib
import os
import queue
import threading
import time
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from typing import Protocol

from datadriver.data.looks import one_look
from datadriver.fleet.limits import Limits
from datadriver.fleet.process import Worker
from datadriver.fleet.worker import Answer, Call, do

_LOOK_SECONDS = 0.2


def default_workers() -> int:
    """One worker per core that this process may use."""
    return max(1, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)


class Crew(Protocol):
    """Who does calls."""

    def answers(self, calls: Iterable[Call], *, at_most: int | None = None) -> Iterator[tuple[Call, Answer]]:
        """Have calls done and yield each with its answer, in the order in which they finish."""


class Inline:
    """Does calls in this process, one after the other: where its models are loaded, and nothing else is at stake."""

    def answers(self, calls: Iterable[Call], *, at_most: int | None = None) -> Iterator[tuple[Call, Answer]]:  # noqa: ARG002
        """See `Crew`."""
        with one_look():
            for call in calls:
                yield call, do(call)


class Workers:
    """Worker processes for one command; started when first needed, gone when the block ends.

    Args:
        count: number of processes; default: one per core.
        environment: variables that must be set before a worker imports numpy.
        limits: what each may use; a job that needs more is ended with its process.
        verbose: let the workers' stderr through instead of keeping it for the message of a dead one.
    """

    def __init__(
        self,
        count: int | None = None,
        *,
        environment: Mapping[str, str],
        limits: Limits | None = None,
        verbose: bool = False,
    ) -> None:
        self._crew = [
            Worker(environment, limits or Limits(), verbose=verbose) for _ in range(count or default_workers())
        ]
        self._shifts: list[_Shift] = []

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        for shift in self._shifts:  # one that an exception left behind: its iterator is closed only when it is freed
            shift.stop()
        for worker in self._crew:
            worker.close()

    def answers(self, calls: Iterable[Call], *, at_most: int | None = None) -> Iterator[tuple[Call, Answer]]:
        """Have calls done and yield each with its answer, in the order in which they finish.

        A call that kills its worker, takes too long or needs too much memory gets an error as its answer, and a new
        worker takes the place; it is not tried again. Calls are taken from the iterable only as answers are consumed,
        so memory does not grow with the fleet. Closing the iterator early, an exception or Ctrl-C in the consumer kills
        the workers.

        Args:
            calls: what to do; each function is named, because workers import it themselves.
            at_most: how many calls there are, if that is known: no more workers are started.
        """
        with contextlib.closing(self.groups(calls, size=1, seconds=0, at_most=at_most)) as groups:
            for group in groups:
                yield from group

    def groups(
        self, calls: Iterable[Call], *, size: int, seconds: float, at_most: int | None = None
    ) -> Generator[list[tuple[Call, Answer]]]:
        """As `answers`, several at a time: `size` of them, or those that came within `seconds` of the first."""
        shift = _Shift(iter(calls), self._crew[:at_most], ahead=size - 1)
        self._shifts.append(shift)
        try:
            yield from shift.work(size, seconds)
        finally:
            shift.stop()
            self._shifts.remove(shift)


class _Shift:
    """Threads that share one iterator of calls and one queue of answers, and one that watches the limits."""

    def __init__(self, calls: Iterator[Call], workers: Sequence[Worker], *, ahead: int = 0) -> None:
        self._calls = calls
        self._taking = threading.Lock()
        self._ahead = threading.Semaphore(2 * len(workers) + ahead)
        self._done: queue.SimpleQueue[tuple[Call, Answer] | BaseException | None] = queue.SimpleQueue()
        self._over = threading.Event()
        self._running = len(workers)
        self._workers = workers
        self._threads = [
            threading.Thread(target=self._serve, args=(worker,), daemon=True, name=f"datadriver-worker-{number}")
            for number, worker in enumerate(workers)
        ]
        self._threads.append(threading.Thread(target=self._watch, daemon=True, name="datadriver-worker-watch"))

    def work(self, size: int, seconds: float) -> Iterator[list[tuple[Call, Answer]]]:
        for thread in self._threads:
            thread.start()
        group: list[tuple[Call, Answer]] = []
        until = 0.0
        while self._running:
            try:
                finished = self._done.get(timeout=max(0.0, until - time.monotonic()) if group else None)
            except queue.Empty:
                yield group
                group = []
                continue
            if finished is None:
                self._running -= 1
            elif isinstance(finished, BaseException):
                if group:
                    yield group
                raise finished
            else:
                until = until if group else time.monotonic() + seconds
                group.append(finished)
                self._ahead.release()
            if len(group) == size:
                yield group
                group = []
        if group:
            yield group

    def stop(self) -> None:
        """End early: kill the workers if any of them may still be at work."""
        self._over.set()
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
            call = None if self._over.is_set() else next(self._calls, None)
        if call is None:
            self._ahead.release()  # so that the other threads see the end, too
        return call

    def _watch(self) -> None:
        while not self._over.wait(_LOOK_SECONDS):
            for worker in self._workers:
                worker.check()
