"""Images pushed straight to a registry, with no engine: only what it lacks, many at the same time.

It speaks the OCI distribution specification 1.1, https://github.com/opencontainers/distribution-spec/blob/main/spec.md.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, aclosing, contextmanager
from dataclasses import dataclass
from functools import cache, partial
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from datadriver.errors import DatadriverError, PartialFailure, UnavailableError
from datadriver.images.credentials import find_credentials
from datadriver.images.registry_answers import refusal
from datadriver.images.registry_base import ACCEPT, read_base, split_reference
from datadriver.images.registry_connection import Connection, connect
from datadriver.images.registry_push import push_image
from datadriver.images.registry_tokens import Tokens
from datadriver.images.spec import BaseImage, Image, sha256

Result = TypeVar("Result")
_Job = Callable[[], Coroutine[Any, Any, Result]]

_CONNECTIONS = 24
_AT_ONCE = 12
"""Images on their way at the same time; each has several requests."""


@dataclass(frozen=True)
class Pushed:
    """An image that the registry has: its name without the registry, and its digest."""

    name: str
    digest: str


class Registry:
    """A registry and the way to it; nothing is asked before a method is called."""

    def __init__(self, host: str, *, certificates: Path | None = None, patience: float = 30.0) -> None:
        """Remember where it is.

        Args:
            host: `host[:port]`. Plain HTTP is spoken to this machine only, and TLS there too if certificates are given.
            certificates: CA certificates (PEM) to be trusted besides the system's.
            patience: seconds for which a step is tried again while the registry does not do it.
        """
        self.host = host
        self._certificates = certificates
        self._patience = patience
        self._credentials = cache(partial(find_credentials, host))

    def base(self, reference: str, *, platform: str | None = None) -> BaseImage | None:
        """Return a base image with its compressed layers; None where the registry does not have it.

        Args:
            reference: with the registry in front or without.
            platform: `linux/arm64`; default: this machine's where there is a choice.

        Raises:
            ConfigError: the image is for another platform or not to be used, or the registry refuses us.
            UnavailableError: the registry does not answer.
        """

        async def read(connection: Connection) -> BaseImage | None:
            return await read_base(connection, reference, wanted=platform)

        return self._run(read)

    def push(self, images: Iterable[Image], *, base_repository: str) -> Iterator[Pushed]:
        """Push images, and yield each when the registry has it; what it has already is not sent.

        An image that is refused does not stop the others. If as many as are on their way at the same time fail in a
        row because the registry does not work, the rest is not tried.

        Args:
            images: their bases are in this registry, as `base` returned them. Read as they are needed.
            base_repository: where the layers of the bases are, `pumps/base`.

        Raises:
            UnavailableError, ConfigError, PartialFailure: after the others, for those that were not pushed.
        """
        with _loop() as run:
            pushed = self._push(iter(images), base_repository)
            try:
                while (one := run(_next(pushed))) is not None:
                    yield one
            finally:
                run(pushed.aclose())

    def digests(self, names: Sequence[str]) -> dict[str, str]:
        """Return the digest of each image that the registry has under one of these names, `pumps/p-101:v3`."""

        async def ask(connection: Connection) -> dict[str, str]:
            jobs = (partial(_digest, connection, name) for name in names)
            async with aclosing(_at_once(jobs, _CONNECTIONS)) as found:
                return {name: digest async for name, digest in found if digest is not None}

        return self._run(ask)

    def delete(self, name: str, digest: str) -> None:
        """Delete an image by digest, under all of its tags; one that is gone already is no error.

        Raises:
            ConfigError: the registry does not allow it.
            UnavailableError: it does not answer.
        """
        repository, _ = split_reference(name, self.host)
        doing = f"deleting {name}"
        scopes = (f"repository:{repository}:pull,delete",)

        async def delete(connection: Connection) -> None:
            answer = await connection.patiently(
                lambda: connection.send("DELETE", f"/v2/{repository}/manifests/{digest}", scopes=scopes, doing=doing)
            )
            if answer.status not in (200, 202, 404):
                raise refusal(answer, self.host, doing)

        self._run(delete)

    async def _push(self, images: Iterator[Image], base_repository: str) -> AsyncGenerator[Pushed]:
        failed: dict[str, DatadriverError] = {}
        in_a_row = 0
        async with self._connected() as connection:

            def jobs() -> Iterator[_Job[_Outcome]]:
                while in_a_row < _AT_ONCE and (image := next(images, None)) is not None:
                    yield partial(_attempt, connection, image, base_repository)

            async with aclosing(_at_once(jobs(), _AT_ONCE)) as outcomes:
                async for outcome in outcomes:
                    if outcome.error is None:
                        in_a_row = 0
                        yield outcome.pushed
                    else:
                        failed[outcome.pushed.name] = outcome.error
                        in_a_row += isinstance(outcome.error, UnavailableError)
        if failed:
            raise _not_pushed(self.host, failed, sum(1 for _ in images))

    def _connected(self) -> AbstractAsyncContextManager[Connection]:
        return connect(
            self.host,
            Tokens(self.host, self._credentials),
            certificates=self._certificates,
            connections=_CONNECTIONS,
            patience=self._patience,
        )

    def _run(self, job: Callable[[Connection], Coroutine[Any, Any, Result]]) -> Result:
        async def connected() -> Result:
            async with self._connected() as connection:
                return await job(connection)

        with _loop() as run:
            result: Result = run(connected())
        return result


@contextmanager
def _loop() -> Iterator[Callable[[Coroutine[Any, Any, Any]], Any]]:
    """Give what runs coroutines to their end: here, or in a thread where this one has a loop at work (a notebook's)."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        with asyncio.Runner() as runner:
            yield runner.run
        return
    with ThreadPoolExecutor(1, "registry") as thread:
        runner = asyncio.Runner()
        try:
            yield lambda coroutine: thread.submit(runner.run, coroutine).result()
        finally:
            thread.submit(runner.close).result()


@dataclass(frozen=True)
class _Outcome:
    pushed: Pushed
    error: DatadriverError | None = None


async def _attempt(connection: Connection, image: Image, base_repository: str) -> _Outcome:
    pushed = Pushed(image.name, image.digest)
    try:
        await push_image(connection, image, base_repository)
    except DatadriverError as error:
        return _Outcome(pushed, error)
    return _Outcome(pushed)


async def _digest(connection: Connection, name: str) -> tuple[str, str | None]:
    repository, tag = split_reference(name, connection.host)
    scopes, doing = (f"repository:{repository}:pull",), f"looking for {name}"
    path, headers = f"/v2/{repository}/manifests/{tag}", {"Accept": ACCEPT}
    ask = partial(connection.send, path=path, scopes=scopes, doing=doing, headers=headers)
    answer = await connection.patiently(partial(ask, "HEAD"))
    if answer.status == 200 and "docker-content-digest" not in answer.headers:  # the header is optional
        answer = await connection.patiently(partial(ask, "GET"))
    if answer.status in (404, 500):
        return name, None
    if answer.status != 200:
        raise refusal(answer, connection.host, doing)
    return name, answer.headers.get("docker-content-digest") or sha256(answer.body)


async def _at_once(jobs: Iterator[_Job[Result]], most: int) -> AsyncGenerator[Result]:
    """Run jobs, so many at the same time, and yield their results as they come."""
    running = {asyncio.create_task(job()) for job in islice(jobs, most)}
    try:
        while running:
            done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                yield task.result()
                running |= {asyncio.create_task(job()) for job in islice(jobs, 1)}
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def _next(pushed: AsyncGenerator[Pushed]) -> Pushed | None:
    return await anext(pushed, None)


def _not_pushed(host: str, failed: Mapping[str, DatadriverError], untried: int) -> DatadriverError:
    """Return one error for all that failed, of their kind where they have one."""
    kinds = {type(error) for error in failed.values()}
    kind = kinds.pop() if len(kinds) == 1 else PartialFailure
    count = "1 image was" if len(failed) == 1 else f"{len(failed)} images were"
    more = f", and {len(failed) - 5} more" if len(failed) > 5 else ""
    rest = f" {untried} others were not tried." if untried else ""
    first = {type(error): error.message for error in reversed([*failed.values()])}
    return kind(
        f"registry {host}: {count} not pushed ({', '.join([*failed][:5])}{more}).{rest} {'; '.join(first.values())}"
    )
