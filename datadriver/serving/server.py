"""Run the HTTP interface: load, bind, say where, serve, and stop so that nobody who was heard goes without an answer.

Told to stop (SIGTERM, Ctrl-C), a server answers `/ping` with 503, and every request with `Connection: close`, until
nobody is connected or `DRAIN` is over; then it closes, and finishes what it is at. Several worker processes share one
listening socket: what waits in it when a worker is killed is answered by another.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import multiprocessing
import os
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import wait
from multiprocessing.context import SpawnProcess
from types import FrameType
from typing import TYPE_CHECKING, Any, Protocol

from datadriver.errors import ConfigError, MissingExtraError, UnavailableError
from datadriver.serving.app import App, Scorer
from datadriver.serving.observed import Labels, Observed
from datadriver.serving.settings import Settings

if TYPE_CHECKING:
    import uvicorn

DRAIN = 1.0
"""Seconds for which connections that are kept alive are told that the server goes."""
_KEEP_ALIVE = 75
_COUNTS = "PROMETHEUS_MULTIPROC_DIR"

logger = logging.getLogger("datadriver.serve")


class Served(Protocol):
    """Models that are ready to score."""

    @property
    def scorer(self) -> Scorer:
        """What answers."""

    @property
    def labels(self) -> list[Labels]:
        """The models, for `/metrics`."""


Open = Callable[[], Served]
"""Loads the models; must be picklable, because each worker process calls it for itself."""


def serve(open_models: Open, settings: Settings, *, ready: Callable[[str], None]) -> None:
    """Serve until told to stop; `ready` is called with the URL once requests are answered (several workers: accepted).

    To be called in the main thread.

    Raises:
        MissingExtraError: uvicorn is not installed.
        ConfigError: the host is none of this machine.
        UnavailableError: the port is taken, or there is no place for the counts of several workers.
        DatadriverError: what `open_models` raises.
    """
    _require_uvicorn()
    models = open_models()  # with several workers, too: what is wrong is said once, before anything is served
    if settings.workers > 1:
        del models
        with _counts() as folder, _bound(settings) as bound:
            _Crew(open_models, settings, bound, folder).run(lambda: ready(_url(settings, bound)))
        return
    with _bound(settings) as bound:
        app = App(models.scorer, Observed(models.labels), settings.limits)
        _run(app, settings, bound, ready=lambda: ready(_url(settings, bound)))


def _run(
    app: App,
    settings: Settings,
    bound: socket.socket,
    *,
    ready: Callable[[], object] = lambda: None,
    parent: int | None = None,
) -> None:
    """Serve in this process; `ready` is called once requests are answered, and signals are."""
    import uvicorn  # noqa: PLC0415 - an extra

    gc.collect()
    gc.freeze()  # what is loaded stays: looking through it again and again would hold up requests

    class Server(uvicorn.Server):
        """A server that lets go of its clients before it closes."""

        until = float("inf")

        def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - uvicorn's signature
            if app.stopping and sig == signal.SIGINT:
                self.force_exit = self.should_exit = True
            elif not app.stopping:
                app.stopping, self.until = True, time.monotonic() + DRAIN

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if self.started:
                ready()

        async def on_tick(self, counter: int) -> bool:
            if parent is not None and os.getppid() != parent:
                self.should_exit = True
            if app.stopping and (not self.server_state.connections or time.monotonic() > self.until):
                self.should_exit = True
            return await super().on_tick(counter)

    Server(_config(app, settings)).run(sockets=[bound])


def _config(app: App, settings: Settings) -> uvicorn.Config:
    import uvicorn  # noqa: PLC0415

    if settings.access_log:
        access = logging.getLogger("uvicorn.access")
        access.setLevel(logging.INFO)
        if not access.handlers:
            access.addHandler(logging.StreamHandler(sys.stderr))
    return uvicorn.Config(
        app,
        lifespan="on",
        ws="none",
        log_config=None,
        log_level=logging.WARNING,
        access_log=settings.access_log,
        server_header=False,
        backlog=2048,
        timeout_keep_alive=_KEEP_ALIVE,
        timeout_graceful_shutdown=settings.grace,  # type: ignore[arg-type]
    )


def _require_uvicorn() -> None:
    try:
        import uvicorn  # noqa: F401, PLC0415
    except ImportError:
        raise MissingExtraError("serve", "serving over HTTP") from None


def _work(open_models: Open, settings: Settings, bound: socket.socket, folder: str, parent: int) -> None:
    """Be a worker process."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    models = open_models()
    _run(App(models.scorer, Observed(models.labels, folder=folder), settings.limits), settings, bound, parent=parent)


class _Crew:
    """Worker processes, each started again when it dies."""

    def __init__(self, open_models: Open, settings: Settings, bound: socket.socket, folder: str) -> None:
        self._arguments = (open_models, settings, bound, folder, os.getpid())
        self._settings = settings
        self._told = False

    def run(self, ready: Callable[[], None]) -> None:
        before = {sign: signal.signal(sign, self._tell) for sign in (signal.SIGTERM, signal.SIGINT)}
        crew = [self._start() for _ in range(self._settings.workers)]
        try:
            ready()
            while not self._told:
                wait([one.sentinel for one in crew], timeout=0.2)
                for place, one in enumerate(crew):
                    if not one.is_alive() and not self._told:
                        logger.error("worker %s ended (%s); another one is started", one.pid, one.exitcode)
                        time.sleep(0.2)  # one that cannot even start must not be started all the time
                        crew[place] = self._start()
        finally:
            self._end(crew)
            for sign, handler in before.items():
                signal.signal(sign, handler)

    def _tell(self, *_: Any) -> None:
        self._told = True

    def _start(self) -> SpawnProcess:
        process = multiprocessing.get_context("spawn").Process(target=_work, args=self._arguments)
        process.start()
        return process

    def _end(self, crew: list[SpawnProcess]) -> None:
        for one in crew:
            one.terminate()  # SIGTERM
        until = time.monotonic() + DRAIN + self._settings.grace + 2
        for one in crew:
            one.join(max(0.0, until - time.monotonic()))
            if one.is_alive():
                one.kill()


@contextlib.contextmanager
def _bound(settings: Settings) -> Iterator[socket.socket]:
    """Bind, but do not listen yet: the event loop does."""
    host, port = settings.host, settings.port
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except socket.gaierror as error:
        raise ConfigError(f"--host: {host!r} is not a host of this machine: {error.strerror}") from error
    bound = socket.socket(family, kind, protocol)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            bound.bind(place)
            bound.listen(2048)
        except OSError as error:
            raise UnavailableError(
                f"cannot serve at {host}:{port}: {error.strerror}; choose another --port, or end what uses it"
            ) from error
        yield bound
    finally:
        bound.close()


def _url(settings: Settings, bound: socket.socket) -> str:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"http://{host}:{bound.getsockname()[1]}"


@contextlib.contextmanager
def _counts() -> Iterator[str]:
    """Make the folder in which worker processes share their counts; memory, where the machine has such a folder."""
    for place in ("/dev/shm", None):  # noqa: S108 - a folder of its own in there
        try:
            folder = tempfile.mkdtemp(prefix="datadriver-serve-", dir=place)
            break
        except OSError:
            continue
    else:
        raise UnavailableError(
            "several workers share their counts in a folder, and none can be made in /dev/shm or "
            f"{tempfile.gettempdir()}; mount one (docker run --tmpfs /tmp), or serve with --workers 1"
        )
    before = os.environ.get(_COUNTS)
    os.environ[_COUNTS] = folder  # Prometheus' client looks at it when it is imported, in the workers
    try:
        yield folder
    finally:
        if before is None:
            del os.environ[_COUNTS]
        else:
            os.environ[_COUNTS] = before
        shutil.rmtree(folder, ignore_errors=True)
