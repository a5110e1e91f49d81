"""A closed-loop load generator for HTTP: so many connections, each sends its next request when it has its answer.

It measures from the first byte sent to the last byte received. It shares the machine with the server, so it must be
lean: one process, uvloop, httptools, requests made beforehand. `ceiling` says how many requests a second it can get
from a server that does nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httptools
import numpy as np
import uvloop

EMPTY_APP = """
import sys, uvicorn
BODY = b"x" * int(sys.argv[2])
HEADERS = [(b"content-type", b"application/json"), (b"content-length", str(len(BODY)).encode())]
async def app(scope, receive, send):
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": BODY})
uvicorn.run(app, port=int(sys.argv[1]), log_level="error", access_log=False, lifespan="off", ws="none")
"""


@dataclass(frozen=True)
class Load:
    """What a load test found: latencies in seconds, and how long it took."""

    latencies: np.ndarray
    seconds: float
    failed: int
    received: int

    @property
    def per_second(self) -> float:
        """Good answers a second."""
        return len(self.latencies) / self.seconds

    def ms(self, quantile: float) -> float:
        """Latency at a quantile, milliseconds."""
        return float(np.quantile(self.latencies, quantile) * 1000)

    def row(self) -> dict[str, float | int]:
        """Return the figures as they are written."""
        return {
            "requests_per_second": round(self.per_second),
            **{f"p{share}_ms": round(self.ms(share / 100), 2) for share in (50, 95, 99)},
            "failed": self.failed,
        }


def post(path: str, body: bytes, content_type: str = "application/json") -> bytes:
    """Return a request as it goes over the wire."""
    headers = (
        f"POST {path} HTTP/1.1",
        "Host: localhost",
        f"Content-Type: {content_type}",
        f"Content-Length: {len(body)}",
    )
    return "\r\n".join((*headers, "", "")).encode() + body


def load(port: int, requests: Sequence[bytes], *, connections: int, seconds: float) -> Load:
    """Send requests in turn for some seconds; the first tenth of the time warms up, and is not counted."""
    return uvloop.run(_load(port, requests, connections, seconds))


async def _load(port: int, requests: Sequence[bytes], connections: int, seconds: float) -> Load:
    loop = asyncio.get_running_loop()
    begin = time.perf_counter() + seconds / 10
    run = _Run(requests, begin, begin + seconds)
    clients = [
        (await loop.create_connection(lambda place=place: _Client(run, place), "127.0.0.1", port))[1]
        for place in range(connections)
    ]
    await asyncio.gather(*(client.ended for client in clients))
    return Load(np.array(run.latencies), seconds, run.failed, run.received)


class _Run:
    def __init__(self, requests: Sequence[bytes], begin: float, end: float) -> None:
        self.requests, self.begin, self.end = requests, begin, end
        self.latencies: list[float] = []
        self.failed = self.received = 0


class _Client(asyncio.Protocol):
    """One connection."""

    def __init__(self, run: _Run, place: int) -> None:
        self._run, self._next = run, place * 37
        self._transport: Any = None
        self._parser = httptools.HttpResponseParser(self)
        self._sent = 0.0
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._send()

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002
        if not self.ended.done():
            self._run.failed += 1
            self.ended.set_result(None)

    def data_received(self, data: bytes) -> None:
        self._run.received += len(data)
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        now = time.perf_counter()
        if self._run.begin <= now <= self._run.end:
            if self._parser.get_status_code() == 200:
                self._run.latencies.append(now - self._sent)
            else:
                self._run.failed += 1
        if now > self._run.end:
            self.ended.set_result(None)
            self._transport.close()
            return
        self._send()

    def _send(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._next += 1
        self._sent = time.perf_counter()
        self._transport.write(self._run.requests[self._next % len(self._run.requests)])


def ceiling(requests: Sequence[bytes], answer: int, *, connections: int, seconds: float) -> Load:
    """Measure this generator against a server of the same kind that does nothing and answers so many bytes."""
    port = free_port()
    with running([sys.executable, "-c", EMPTY_APP, str(port), str(answer)], port):
        return load(port, requests, connections=connections, seconds=seconds)


def cpu_seconds(pid: int) -> float:
    """Return the processor time of a process and all that it started, those that have ended left out; 0 off Linux."""
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            number, _, rest = stat.read_text().partition(" (")
            fields = rest.rpartition(") ")[2].split()
            found[int(number)] = int(fields[1]), (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    family = {pid}
    for _ in found:
        family |= {child for child, (parent, _) in found.items() if parent in family}
    return sum(seconds for child, (_, seconds) in found.items() if child in family)


def free_port() -> int:
    """Return a port that nobody uses at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def running(
    command: Sequence[str], port: int, *, patience: float = 120, **how: Any
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server for as long as the block lasts; it is ready when it can be connected to."""
    process = subprocess.Popen(command, **how)
    try:
        until = time.monotonic() + patience
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > until:
                    raise RuntimeError(f"{command[:4]} does not listen at {port}") from None
                time.sleep(0.05)
        yield process
    finally:
        process.terminate()
        process.wait(timeout=40)
