"""A small HTTP server of metrics: `/metrics` as Prometheus asks for it, `/-/healthy` for whoever restarts it."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import make_wsgi_app

from datadriver.config.sections import UseCase
from datadriver.data.assets import load_assets
from datadriver.errors import ConfigError, DatadriverError, UnavailableError
from datadriver.monitoring.fleet_state import FleetState, read_fleet_state
from datadriver.monitoring.openmetrics import registry
from datadriver.tracking.ledger import Ledger

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment


def metrics_app(usecase: UseCase, root: Path, ledger: Ledger) -> WSGIApplication:
    """Return a WSGI application; fleet and ledger are read anew at each scrape.

    `/metrics` answers in the format that the client accepts, or with 503 and the reason when the fleet table or the
    ledger cannot be read; `/-/healthy` answers as long as the process lives.
    """

    def read() -> FleetState:
        return read_fleet_state(ledger, [asset.id for asset in load_assets(usecase, root)])

    metrics = make_wsgi_app(registry(usecase, read))

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        place = environ.get("PATH_INFO", "")
        if place == "/metrics":
            try:
                answer: Iterable[bytes] = metrics(environ, start_response)
            except DatadriverError as error:
                return _say(start_response, "503 Service Unavailable", error.message)
            return answer
        if place == "/-/healthy":
            return _say(start_response, "200 OK", "alive")
        return _say(start_response, "404 Not Found", "there is /metrics and /-/healthy")

    return app


class MetricsServer:
    """A server at work in threads of its own."""

    def __init__(self, server: WSGIServer, host: str) -> None:
        self._ended = threading.Event()
        shown = f"[{host}]" if ":" in host else host
        self.url = f"http://{shown}:{server.server_port}/metrics"

    def wait(self) -> None:
        """Return when the process is told to end, by Ctrl-C or SIGTERM."""
        self._ended.wait()

    def end(self, *_: Any) -> None:
        """Let `wait` return."""
        self._ended.set()


@contextmanager
def serving(usecase: UseCase, root: Path, ledger: Ledger, address: tuple[str, int]) -> Iterator[MetricsServer]:
    """Serve the metrics of a use case at a host and port; port 0 is any that is free.

    To be called in the main thread: Ctrl-C and SIGTERM are taken before anybody is told that the server is there.

    Raises:
        ConfigError: the host is none of this machine.
        UnavailableError: the port is taken, or may not be used.
    """
    server = _bind(address, metrics_app(usecase, root, ledger))
    thread = threading.Thread(target=server.serve_forever, name="metrics", daemon=True)
    serves = MetricsServer(server, address[0])
    before = {sign: signal.signal(sign, serves.end) for sign in (signal.SIGTERM, signal.SIGINT)}
    thread.start()
    try:
        yield serves
    finally:
        for sign, handler in before.items():
            signal.signal(sign, handler)
        server.shutdown()
        server.server_close()
        thread.join()


def _bind(address: tuple[str, int], app: Callable[..., Iterable[bytes]]) -> WSGIServer:
    host, port = address
    try:
        family, _, _, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except socket.gaierror as error:
        raise ConfigError(f"--listen: {host!r} is not a host of this machine: {error.strerror}") from error

    class Server(ThreadingMixIn, WSGIServer):
        address_family = family
        daemon_threads = True

    try:
        return make_server(str(place[0]), port, app, Server, _Quiet)
    except OSError as error:
        raise UnavailableError(
            f"--listen: cannot serve at {host}:{port}: {error.strerror}; choose another port, or end what uses it"
        ) from error


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name in the base class
        """Keep quiet: a line per scrape says nothing."""


def _say(start_response: StartResponse, status: str, text: str) -> Iterable[bytes]:
    start_response(status, [("Content-Type", "text/plain; charset=utf-8")])
    return [f"{text}\n".encode()]
