"""How requests to a registry are authorised: not at all, with a name and password, or with a token for each repository.

What a registry wants it says in the header `WWW-Authenticate` of its first answer
(https://distribution.github.io/distribution/spec/auth/token/).
"""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.request import parse_http_list, parse_keqv_list

from datadriver.errors import ConfigError
from datadriver.images.credentials import Credentials

_LIFE = 60
"""Seconds that a token lives where its server does not say."""
_MARGIN = 0.8
"""Share of its life after which a token is not used for new requests."""


@dataclass(frozen=True)
class Challenge:
    """What a registry wants: `basic` or `bearer`, and where and how tokens are to be had."""

    scheme: str
    parameters: Mapping[str, str]

    @classmethod
    def parse(cls, headers: Sequence[str]) -> Challenge | None:
        """Read the first challenge that we know; tokens are preferred.

        >>> Challenge.parse(['Bearer realm="https://auth.example.com/token",service="registry"']).parameters["service"]
        'registry'
        """
        known = {}
        for header in headers:
            scheme, _, rest = header.partition(" ")
            pairs = [pair for pair in parse_http_list(rest) if "=" in pair]
            known[scheme.lower()] = cls(scheme.lower(), parse_keqv_list(pairs))
        return known.get("bearer") or known.get("basic")


@dataclass(frozen=True)
class TokenRequest:
    """A question to a token server: the form of a POST, or the query of a GET with a header."""

    url: str
    query: Sequence[tuple[str, str]] = ()
    form: Mapping[str, str] | None = None
    authorization: str | None = None


class Tokens:
    """Gives the header `Authorization` of each request."""

    def __init__(self, host: str, find: Callable[[], Credentials | None]) -> None:
        """Remember whom to ask.

        Args:
            host: The registry.
            find: Looks up the credentials; called when the registry wants some.
        """
        self._host = host
        self._find = find
        self._credentials: Credentials | None = None
        self.challenge: Challenge | None = None
        self._tokens: dict[tuple[str, ...], asyncio.Task[tuple[str, float]]] = {}

    def learn(self, headers: Sequence[str]) -> None:
        """Take in what the registry wants, from its answer 401.

        Raises:
            ConfigError: it wants what we do not have.
        """
        first, self.challenge = self.challenge is None, Challenge.parse(headers)
        if self.challenge is None:
            raise ConfigError(f"registry {self._host} wants a login of an unknown kind: {', '.join(headers) or 'none'}")
        if first:
            self._credentials = self._find()
        if self._credentials is None and self.challenge.scheme == "basic":
            raise ConfigError(
                f"registry {self._host} wants a login, and Docker's configuration has none: `docker login {self._host}`"
            )

    async def header(
        self, scopes: tuple[str, ...], ask: Callable[[TokenRequest], Awaitable[dict[str, Any]]]
    ) -> str | None:
        """Return the header for a request.

        Args:
            scopes: What the request does: `repository:pumps/p-101:pull,push`.
            ask: Asks the token server; called once for requests that want the same at the same time.
        """
        if self.challenge is None:
            return None
        if self.challenge.scheme == "basic":
            return self._basic()
        if not scopes:
            return None
        task = self._tokens.get(scopes)
        if task is None or _over(task):
            task = self._tokens[scopes] = asyncio.create_task(self._token(scopes, ask))
        token, _ = await asyncio.shield(task)
        return f"Bearer {token}"

    @property
    def by_repository(self) -> bool:
        """Whether the registry wants a token for each repository, so that nothing is known before one is asked for."""
        return self.challenge is not None and self.challenge.scheme == "bearer"

    def forget(self, scopes: tuple[str, ...]) -> None:
        """Drop a token that was refused."""
        self._tokens.pop(scopes, None)

    async def _token(
        self, scopes: tuple[str, ...], ask: Callable[[TokenRequest], Awaitable[dict[str, Any]]]
    ) -> tuple[str, float]:
        said = await ask(self._request(scopes))
        token = said.get("token") or said.get("access_token")
        if not isinstance(token, str):
            raise ConfigError(f"registry {self._host}: its token server answered without a token")
        life = said.get("expires_in")
        return token, time.monotonic() + _MARGIN * (life if isinstance(life, int | float) else _LIFE)

    def _request(self, scopes: tuple[str, ...]) -> TokenRequest:
        known = self.challenge.parameters if self.challenge else {}
        if "realm" not in known:
            raise ConfigError(f"registry {self._host} wants a token and does not say where it is to be had")
        service = {"service": known["service"]} if "service" in known else {}
        mine = self._credentials
        if mine and mine.identity_token:
            form = {"grant_type": "refresh_token", "refresh_token": mine.identity_token, "client_id": "datadriver"}
            return TokenRequest(known["realm"], form={**form, **service, "scope": " ".join(scopes)})
        query = [*service.items(), *(("scope", scope) for scope in scopes)]
        return TokenRequest(known["realm"], query, authorization=self._basic() if mine else None)

    def _basic(self) -> str:
        mine = self._credentials or Credentials()
        return "Basic " + base64.b64encode(f"{mine.user}:{mine.password}".encode()).decode()


def _over(task: asyncio.Task[tuple[str, float]]) -> bool:
    if not task.done():
        return False
    return task.cancelled() or task.exception() is not None or task.result()[1] < time.monotonic()
