"""One connection pool to a registry: authorised requests, and steps that are tried again until patience ends."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from datadriver.errors import ConfigError, UnavailableError
from datadriver.images.registry_answers import LATER, Answer, NotNowError, refusal
from datadriver.images.registry_session import is_here, open_session, proxy_for, reaching, root_of
from datadriver.images.registry_tokens import TokenRequest, Tokens

if TYPE_CHECKING:
    from aiohttp import ClientResponse, ClientSession
    from yarl import URL

Result = TypeVar("Result")
Body = bytes | AsyncIterator[bytes]

_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0


class Connection:
    """A registry that answers."""

    def __init__(self, session: ClientSession, root: URL, tokens: Tokens, *, host: str, patience: float) -> None:
        self._session = session
        self._root = root
        self._tokens = tokens
        self._patience = patience
        self.host = host
        self._proxies: dict[str, str | None] = {}

    async def send(  # noqa: PLR0913 - the parts of a request
        self,
        method: str,
        path: str,
        *,
        scopes: tuple[str, ...],
        doing: str,
        headers: Mapping[str, str] | None = None,
        body: Body | None = None,
    ) -> Answer:
        """Send a request once, with a fresh authorisation if the one at hand is refused, and return the answer.

        Raises:
            NotNowError: nothing was answered, or that it should be tried later.
            ConfigError: no authorisation is to be had, or the connection is not to be trusted.
        """
        async with self.stream(method, path, scopes=scopes, doing=doing, headers=headers, body=body) as response:
            answer = await _answer(response)
        broken = method == "HEAD" and answer.status == 500  # records cut short by a full disk: to be pushed again
        if answer.status in LATER and not broken:
            raise refusal(answer, self.host, doing)
        return answer

    @asynccontextmanager
    async def stream(  # noqa: PLR0913 - the parts of a request
        self,
        method: str,
        path: str,
        *,
        scopes: tuple[str, ...],
        doing: str,
        headers: Mapping[str, str] | None = None,
        body: Body | None = None,
    ) -> AsyncIterator[ClientResponse]:
        """Send a request as `send` does, and give the answer before its body is read."""
        url = self._url(path)
        with reaching(self.host, doing):
            mine = await self._authorisation(url, scopes)
            response = await self._once(method, url, headers=headers, body=body, authorisation=mine)
            if response.status == 401 and url.origin() == self._root.origin():
                await response.read()
                self._tokens.learn(response.headers.getall("WWW-Authenticate", []))
                self._tokens.forget(scopes)
                again = await self._authorisation(url, scopes)
                if again != mine and (body is None or isinstance(body, bytes)):
                    response = await self._once(method, url, headers=headers, body=body, authorisation=again)
            try:
                yield response
            finally:
                response.release()

    async def patiently(self, step: Callable[[], Awaitable[Result]]) -> Result:
        """Do a step that may be repeated, and repeat it with growing pauses until it works or patience ends.

        Raises:
            UnavailableError: it did not work for so long.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + self._patience
        pause = _FIRST_PAUSE
        while True:
            try:
                return await step()
            except NotNowError as error:
                wait = max(error.wait, pause * random.uniform(0.5, 1.0))  # noqa: S311 - so that not all ask at once
                if loop.time() + wait > end:
                    raise UnavailableError(f"{error.message}. Run it again later: only the rest is sent") from error
            await asyncio.sleep(wait)
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def greet(self) -> None:
        """See that a registry answers, and learn how it wants to be asked.

        Raises:
            ConfigError: it is no registry, or it wants a login that we do not have.
            UnavailableError: it does not answer.
        """
        answer = await self.patiently(lambda: self.send("GET", "/v2/", scopes=(), doing="saying hello"))
        html = "html" in answer.headers.get("content-type", "")
        if (answer.status == 200 and not html) or (answer.status == 401 and self._tokens.by_repository):
            return
        if answer.status in (401, 403):
            raise refusal(answer, self.host, "logging in")
        raise ConfigError(
            f"{self._root} is not a container registry: it answered {answer.says} to GET /v2/. "
            "`package.registry` is its host[:port]; one on this machine speaks plain HTTP if no certificates are given"
        )

    async def _authorisation(self, url: URL, scopes: tuple[str, ...]) -> str | None:
        if url.origin() != self._root.origin():
            return None  # a blob store next to the registry; its addresses are signed
        return await self._tokens.header(scopes, self._ask)

    async def _once(
        self, method: str, url: URL, *, headers: Mapping[str, str] | None, body: Body | None, authorisation: str | None
    ) -> ClientResponse:
        sent = dict(headers or {})
        if authorisation:
            sent["Authorization"] = authorisation
        follow = method in ("GET", "HEAD")
        return await self._session.request(
            method, url, headers=sent, data=body, allow_redirects=follow, proxy=self._proxy(url)
        )

    async def _ask(self, request: TokenRequest) -> dict[str, Any]:
        from yarl import URL  # noqa: PLC0415

        url = URL(request.url)
        doing = f"asking {url.host} for a token"
        if url.scheme != "https" and not is_here(url.host or ""):
            raise ConfigError(f"registry {self.host}, {doing}: no credentials are sent without TLS ({url.scheme})")
        headers = {"Authorization": request.authorization} if request.authorization else {}
        method = "POST" if request.form else "GET"
        with reaching(self.host, doing):
            response = await self._session.request(
                method, url, params=list(request.query), data=request.form, headers=headers, proxy=self._proxy(url)
            )
            async with response:
                answer = await _answer(response)
                if answer.status != 200:
                    raise refusal(answer, self.host, doing)
                said = await response.json(content_type=None)
        return said if isinstance(said, dict) else {}

    def _url(self, path: str) -> URL:
        """Return the address of a path, or of a `Location`, which is quoted already and may be on another host."""
        from yarl import URL  # noqa: PLC0415

        url = self._root.join(URL(path, encoded=True))
        if url.authority == self._root.authority:
            return url.with_scheme(self._root.scheme) if url.scheme != self._root.scheme else url
        return url

    def _proxy(self, url: URL) -> str | None:
        host = url.host or ""
        if host not in self._proxies:
            self._proxies[host] = proxy_for(url.scheme, host)
        return self._proxies[host]


@asynccontextmanager
async def connect(
    host: str, tokens: Tokens, *, certificates: Path | None, connections: int, patience: float
) -> AsyncIterator[Connection]:
    """Reach a registry, and close all connections to it in the end.

    Raises:
        ConfigError: its address, certificates or login are wrong, or it is no registry.
        UnavailableError: it does not answer.
        MissingExtraError: the extra `docker` is not installed.
    """
    root = root_of(host, certificates=certificates)
    session = open_session(certificates=certificates, connections=connections)
    async with session:
        from yarl import URL  # noqa: PLC0415

        connection = Connection(session, URL(root), tokens, host=host, patience=patience)
        await connection.greet()
        yield connection


async def _answer(response: ClientResponse) -> Answer:
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Answer(response.status, headers, await response.read())
