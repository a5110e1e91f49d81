"""Requests that wait while others are scored are scored together next: one pass costs little more than one request.

All scoring is done in one thread: functions of the use case never run twice at a time, and the event loop goes on
answering `/ping` and `/metrics` while a long request is scored. An idle server scores a lone request at once. Where
several were answered together, their clients are given a moment to ask again, so that they come together once more:
otherwise each would wait for the end of the others' pass before its own.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

MOMENT = 0.004
"""Seconds that requests wait for those that were last answered together with theirs."""

Asked = TypeVar("Asked")
Answered = TypeVar("Answered")


class Batcher(Generic[Asked, Answered]):
    """A queue in front of a function that answers several requests in one call."""

    def __init__(self, answer: Callable[[Sequence[Asked]], Iterable[Mapping[int, Answered]]], *, most: int) -> None:
        """Answer at most `most` requests in a call.

        The function gives answers by the places of their requests, in parts, each of which is handed on as it comes.
        """
        self._answer = answer
        self._most = most
        self._expected = 0
        self._waiting: deque[tuple[Asked, asyncio.Future[Answered]]] = deque()
        self._busy = False
        self._gathering: asyncio.TimerHandle | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="scoring")

    async def ask(self, request: Asked) -> Answered:
        """Return the answer; raises what the function raised."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Answered] = loop.create_future()
        self._waiting.append((request, future))
        if not self._busy:
            self._busy = True
            loop.call_soon(self._start, loop)  # after the other requests that have arrived in the same moment
        elif self._gathering is not None and len(self._waiting) >= self._expected:
            self._start(loop)
        return await future

    def close(self) -> None:
        """Let the thread end after what it is at."""
        self._thread.shutdown(wait=False)

    def _start(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._gathering is not None:
            self._gathering.cancel()
            self._gathering = None
        batch: list[tuple[Asked, asyncio.Future[Answered]]] = []
        while self._waiting and len(batch) < self._most:
            request, future = self._waiting.popleft()
            if not future.done():  # else who asked has gone, and nobody waits
                batch.append((request, future))
        if batch:
            self._thread.submit(self._work, loop, *zip(*batch, strict=True))
        else:
            self._busy = False

    def _work(
        self, loop: asyncio.AbstractEventLoop, requests: Sequence[Asked], futures: Sequence[asyncio.Future[Answered]]
    ) -> None:
        """Answer a batch, in the thread; answers that come at once are handed on at once."""
        failure: BaseException | None = None
        try:
            for part in self._answer(requests):
                loop.call_soon_threadsafe(_deliver, futures, part)  # waking the loop for each would cost more
        except BaseException as error:  # whoever waits must hear of it
            failure = error
        loop.call_soon_threadsafe(self._finish, loop, futures, failure)

    def _finish(
        self,
        loop: asyncio.AbstractEventLoop,
        futures: Sequence[asyncio.Future[Answered]],
        failure: BaseException | None,
    ) -> None:
        for future in futures:
            if not future.done():
                future.set_exception(failure or RuntimeError("a request was not answered"))
        if len(futures) == 1:
            self._start(loop)
        else:
            self._expected = min(len(futures) + len(self._waiting), self._most)
            self._gathering = loop.call_later(MOMENT, self._start, loop)


def _deliver(futures: Sequence[asyncio.Future[Answered]], answers: Mapping[int, Answered]) -> None:
    for place, answered in answers.items():
        if not futures[place].done():
            futures[place].set_result(answered)
