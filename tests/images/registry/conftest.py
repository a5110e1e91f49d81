"""A docker-registry for each module of tests, images to push into it, and a home without anybody's logins."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from datadriver.images.registry import Registry
from datadriver.images.spec import Image


@pytest.fixture
def start(tools: ModuleType, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Starts registries for one test."""
    started = []

    def start(name: str = "registry", *, extra: Mapping[str, Any] | None = None, certificate: Any = None) -> Any:
        server = tools.RegistryServer(tmp_path / name, extra=extra or {}, certificate=certificate)
        started.append(server)
        return server.start()

    yield start
    for server in started:
        server.stop()


@pytest.fixture(scope="module")
def server(tools: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A registry shared by the tests of a module, which use prefixes of their own."""
    server = tools.RegistryServer(tmp_path_factory.mktemp("registry")).start()
    yield server
    server.stop()


@pytest.fixture
def images(tools: ModuleType, request: pytest.FixtureRequest) -> Callable[..., list[Image]]:
    """Makes images on a tiny base that the registry has."""

    def images(server: Any, count: int, *, tag: str = "v1", prefix: str = "pumps", **base: Any) -> list[Image]:
        found = Registry(server.host).base(f"{prefix}/base:1")
        if found is None:
            tools.push_tiny_base(server, f"{prefix}/base:1", **base)
            found = Registry(server.host).base(f"{prefix}/base:1")
        assert found is not None
        return [
            Image(f"{prefix}/p-{number}.temperature", tag, found, random.Random(f"{tag}{number}").randbytes(3000))
            for number in range(count)
        ]

    return images


@pytest.fixture(autouse=True)
def docker_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of Docker's configuration that nobody has logged in with."""
    folder = tmp_path / "docker"
    folder.mkdir()
    monkeypatch.setenv("DOCKER_CONFIG", str(folder))
    monkeypatch.setenv("HOME", str(tmp_path))
    return folder
