"""A registry that is killed, full, absent or no registry at all: what is there stays, and the rest has a reason."""

from __future__ import annotations

import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from datadriver.errors import ConfigError, DatadriverError, UnavailableError
from datadriver.images.registry import Pushed, Registry
from datadriver.images.spec import Image

pytestmark = pytest.mark.registry
Images = Callable[..., list[Image]]


def test_a_registry_that_is_killed_and_comes_back_gets_everything(start: Callable[..., Any], images: Images) -> None:
    server = start()
    fleet = images(server, 60)
    pushed = []
    for one in Registry(server.host).push(fleet, base_repository="pumps/base"):
        pushed.append(one)
        if len(pushed) == 10:
            server.stop(signal.SIGKILL)
            threading.Timer(0.5, server.start).start()
    assert {one.name for one in pushed} == {image.name for image in fleet}
    assert len(pushed) == len(fleet)
    assert Registry(server.host).digests([image.name for image in fleet]) == {one.name: one.digest for one in fleet}


def test_a_registry_that_stays_away_keeps_what_it_had_and_gets_the_rest_another_time(
    start: Callable[..., Any], images: Images
) -> None:
    server = start()
    fleet = images(server, 60)
    registry = Registry(server.host, patience=0.3)
    pushed: list[Pushed] = []
    pushing = registry.push(fleet, base_repository="pumps/base")
    pushed.extend(islice(pushing, 10))
    server.stop(signal.SIGKILL)
    with pytest.raises(UnavailableError, match=r"images were not pushed \(.*others were not tried.*connection failed"):
        pushed.extend(pushing)
    server.start()
    there = registry.digests([image.name for image in fleet])
    assert there.items() >= {one.name: one.digest for one in pushed}.items()
    before = len(server.requests())
    assert len(list(registry.push(fleet, base_repository="pumps/base"))) == 60
    # Each once: one whose blobs the killed registry had half may be asked for twice.
    tagged = {request for request in server.requests()[before:] if request.startswith("PUT") and "manifests" in request}
    assert len(tagged) == 60 - len(there)


def test_a_storage_that_takes_nothing_is_said_with_the_registrys_words(
    start: Callable[..., Any], images: Images
) -> None:
    server = start()
    fleet = images(server, 30)
    blocked = Path(server.folder / "store/docker/registry/v2/repositories/pumps/p-3.temperature")
    blocked.write_text("a file where a folder has to be")
    pushed: list[Pushed] = []
    with pytest.raises(UnavailableError, match=r"1 image was not pushed \(pumps/p-3\.temperature:v1\).*answered 50\d"):
        pushed.extend(Registry(server.host, patience=0.3).push(fleet, base_repository="pumps/base"))
    assert len(pushed) == 29


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "registry"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=600k", "none", folder], check=False)
    if mounted.returncode:
        pytest.skip("only root can make a small disk")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def test_a_full_disk_keeps_what_it_has_and_takes_the_rest_when_there_is_room(
    small_disk: Path, start: Callable[..., Any], images: Images
) -> None:
    server = start()
    fleet = images(server, 40)
    registry = Registry(server.host, patience=0.3)
    pushed: list[Pushed] = []
    with pytest.raises(DatadriverError, match="No space left on device"):
        pushed.extend(registry.push(fleet, base_repository="pumps/base"))
    there = registry.digests([image.name for image in fleet])
    assert there.items() >= {one.name: one.digest for one in pushed}.items()
    assert len(there) < 40
    subprocess.run(["mount", "-o", "remount,size=20m", small_disk], check=True)
    assert {one.name: one.digest for one in registry.push(fleet, base_repository="pumps/base")} == {
        image.name: image.digest for image in fleet
    }


def test_a_read_only_registry_is_no_reason_to_try_again(start: Callable[..., Any], images: Images) -> None:
    server = start()
    fleet = images(server, 2)
    server.stop()
    server.extra = {"storage": {"maintenance": {"readonly": {"enabled": True}}}}
    server.start()
    with pytest.raises(ConfigError, match=r"answered 405.*it is read-only"):
        list(Registry(server.host).push(fleet, base_repository="pumps/base"))


def test_nobody_there_is_unavailable(tools: ModuleType) -> None:
    with pytest.raises(UnavailableError, match=r"registry 127\.0\.0\.1:\d+, saying hello: the connection failed"):
        Registry(f"127.0.0.1:{tools.free_port()}", patience=0.2).base("pumps/base:1")
    with pytest.raises(UnavailableError, match=r"registry registry\.invalid:5000, saying hello: the connection failed"):
        Registry("registry.invalid:5000", patience=0.2).base("pumps/base:1")


@pytest.mark.parametrize("host", ["http://localhost:5000", "localhost:5000/pumps", "", "a b", "host:port"])
def test_an_address_that_is_none_is_a_mistake_in_the_configuration(host: str) -> None:
    with pytest.raises(ConfigError, match=r"package\.registry: .* is not host\[:port\]"):
        Registry(host).base("pumps/base:1")


class Website(BaseHTTPRequestHandler):
    """Answers everything with a page."""

    def do_GET(self) -> None:
        self.send_response(200 if "v2" in self.path else 404)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<html>welcome</html>")

    def log_message(self, *_: object) -> None:
        pass


class Busy(Website):
    """A registry that has a limit of requests, and opens after the third."""

    asked = 0

    def do_GET(self) -> None:
        type(self).asked += 1
        self.send_response(200 if type(self).asked > 2 else 429)
        self.send_header("Retry-After", "0")
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(b"{}")


@pytest.fixture
def serve() -> Iterator[Callable[[type[BaseHTTPRequestHandler]], str]]:
    servers = []

    def serve(handler: type[BaseHTTPRequestHandler]) -> str:
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"127.0.0.1:{server.server_port}"

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


def test_a_website_is_not_a_registry(serve: Callable[..., str]) -> None:
    with pytest.raises(ConfigError, match=r"is not a container registry: it answered 200 to GET /v2/"):
        Registry(serve(Website)).base("pumps/base:1")


def test_a_registry_with_a_limit_is_asked_again(serve: Callable[..., str]) -> None:
    assert Registry(serve(Busy)).digests([]) == {}
    assert Busy.asked == 3


def test_an_answer_that_is_no_manifest_is_refused(serve: Callable[..., str]) -> None:
    with pytest.raises(ConfigError, match="its manifest is not of OCI's or Docker's schema 2"):
        Registry(serve(Busy)).base("pumps/base:1")
