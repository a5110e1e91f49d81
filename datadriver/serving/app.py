"""The HTTP interface of packaged models, as a plain ASGI application: MLflow's routes, metrics, and a description.

No framework stands between the server and the models: there are seven routes, and start-up time counts.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from datadriver import __version__
from datadriver.serving.batching import Batcher
from datadriver.serving.documents import CSV, JSON
from datadriver.serving.observed import Observed
from datadriver.serving.settings import Limits

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

SCORING = ("/invocations", "/predict")

logger = logging.getLogger("datadriver.serve")


@dataclass(frozen=True)
class Asked:
    """A document as it came."""

    body: bytes
    content_type: str
    query: str


@dataclass(frozen=True)
class Reply:
    """What is answered: status, JSON; and what is counted."""

    status: int
    body: bytes
    rows: int = 0
    alarms: int = 0
    together: int = 1
    """Number of requests that were scored in the same pass."""


class Scorer(Protocol):
    """What answers scoring requests; it must not raise for a bad one."""

    def replies(self, asked: Sequence[Asked]) -> Iterable[Mapping[int, Reply]]:
        """Answer some requests, in parts, each reply under the place of its request."""

    def openapi(self) -> dict[str, Any]:
        """Describe the interface as OpenAPI 3.1."""


def problem(status: int, message: str) -> Reply:
    """Return an error as MLflow writes them: `{"error_code": ..., "message": ...}`."""
    code = _CODES.get(status, "INTERNAL_ERROR" if status >= 500 else "BAD_REQUEST")
    return Reply(status, json.dumps({"error_code": code, "message": message}, ensure_ascii=False).encode() + b"\n")


_CODES = {
    400: "BAD_REQUEST",
    404: "RESOURCE_DOES_NOT_EXIST",
    413: "REQUEST_LIMIT_EXCEEDED",
    422: "INVALID_PARAMETER_VALUE",
    503: "TEMPORARILY_UNAVAILABLE",
}


class App:
    """An ASGI application; `stopping` is set by whoever runs it when it is to end."""

    def __init__(self, scorer: Scorer, observed: Observed, limits: Limits) -> None:
        self._observed = observed
        self._limits = limits
        self._batcher: Batcher[Asked, Reply] = Batcher(scorer.replies, most=limits.batch)
        description = json.dumps(scorer.openapi(), ensure_ascii=False).encode()
        self._pages: dict[str, Callable[[], tuple[int, bytes, str]]] = {
            "/ping": self._ping,
            "/health": self._ping,
            "/version": lambda: (200, __version__.encode(), "text/plain"),
            "/metrics": lambda: (200, observed.text(), observed.content_type),
            "/openapi.json": lambda: (200, description, JSON),
        }
        self._at_work = 0
        self.stopping = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request, or follow the start and end of the server."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            await self._answer(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                self._batcher.close()
                return

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        path, method = scope["path"], scope["method"]
        if path in SCORING and method == "POST":
            began = time.perf_counter()
            reply = await self._score(scope, receive)
            self._observed.request(path, reply.status, time.perf_counter() - began)
            if reply.status == 200:
                self._observed.scored(reply.rows, reply.alarms, reply.together)
            await self._send(send, reply.status, reply.body)
            return
        status, body, content_type = self._page(path, method)
        await self._send(send, status, body if method != "HEAD" else b"", content_type)

    def _page(self, path: str, method: str) -> tuple[int, bytes, str]:
        page = self._pages.get(path)
        if page is None and path not in SCORING:
            known = f"POST {SCORING[0]}, GET {', '.join(self._pages)}"
            return 404, problem(404, f"there is no {path}; there is {known}").body, JSON
        if page is None or method not in {"GET", "HEAD"}:
            wanted = "POST" if page is None else "GET"
            return 405, problem(405, f"{path} answers {wanted}, not {method}").body, JSON
        return page()

    def _ping(self) -> tuple[int, bytes, str]:
        if self.stopping:
            return 503, problem(503, "the server is stopping").body, JSON
        return 200, b"\n", JSON

    async def _score(self, scope: Scope, receive: Receive) -> Reply:
        if self._at_work >= self._limits.requests:
            return problem(503, f"{self._limits.requests} requests are being answered already; try again in a moment")
        self._at_work += 1
        try:
            headers = dict(scope["headers"])
            content_type, charset = _content_type(headers.get(b"content-type", b"").decode("latin-1"))
            if content_type not in {JSON, CSV} or charset not in {"", "utf-8", "utf8"}:
                return problem(
                    415, f"send {JSON} or {CSV} in UTF-8, not {content_type or 'nothing'} {charset}".rstrip()
                )
            body = await self._body(headers, receive)
            if isinstance(body, Reply):
                return body
            return await self._batcher.ask(Asked(body, content_type, scope["query_string"].decode("latin-1")))
        except _GoneError:
            return problem(499, "the client has gone")
        except Exception:  # a bug of ours must not look like a connection that broke
            logger.exception("a scoring request failed")
            return problem(500, "the server failed; its log says why")
        finally:
            self._at_work -= 1

    async def _body(self, headers: dict[bytes, bytes], receive: Receive) -> bytes | Reply:
        most = self._limits.body
        too_much = problem(413, f"the body is larger than {most:,} bytes; send fewer rows at a time")
        if int(headers.get(b"content-length", b"0")) > most:
            await self._discard(receive)
            return too_much
        parts, size = [], 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise _GoneError
            part = message.get("body", b"")
            size += len(part)
            if size > most:
                return too_much
            parts.append(part)
            if not message.get("more_body"):
                return parts[0] if len(parts) == 1 else b"".join(parts)

    async def _discard(self, receive: Receive) -> None:
        """Read twice as much as a body may be and forget it: clients that send all before they read see the answer."""
        left = 2 * self._limits.body
        while left > 0:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise _GoneError
            left -= len(message.get("body", b""))
            if not message.get("more_body"):
                return

    async def _send(self, send: Send, status: int, body: bytes, content_type: str = JSON) -> None:
        headers = [(b"content-type", content_type.encode()), (b"content-length", str(len(body)).encode())]
        if self.stopping or status == 413:  # whoever goes on sending a body is not read to its end
            headers.append((b"connection", b"close"))
        if status == 503:
            headers.append((b"retry-after", b"1"))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


class _GoneError(Exception):
    """The client went away before its request was read."""


def _content_type(header: str) -> tuple[str, str]:
    """Return the media type and the charset of a header; JSON where there is none."""
    kind, _, rest = header.partition(";")
    charset = rest.partition("charset=")[2].strip().strip('"') if "charset=" in rest else ""
    return kind.strip().lower() or JSON, charset.lower()
