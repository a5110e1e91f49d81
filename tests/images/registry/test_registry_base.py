"""A base image is read from a registry as an engine would describe it, for the right platform, and checked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from datadriver.errors import ConfigError
from datadriver.images.registry import Registry
from datadriver.images.spec import sha256

pytestmark = pytest.mark.registry


def test_a_base_is_what_was_pushed(tools: ModuleType, server: Any) -> None:
    tools.push_tiny_base(server, "read/base:1", layers=3)
    registry = Registry(server.host)
    base = registry.base(f"{server.host}/read/base:1")
    assert base is not None
    assert (base.os, base.architecture, base.created) == ("linux", "amd64", "2026-11-22T00:00:00Z")
    assert base.settings == {"User": "10001", "Labels": {"io.datadriver.content-key": "0"}}
    assert [layer.digest for layer in base.layers] == [*base.diff_ids]  # they are not compressed
    bare = registry.base("read/base:1")
    assert bare is not None
    assert bare.id == base.id


def test_layers_with_nothing_in_them_are_left_out_at_the_end_and_only_there(tools: ModuleType, server: Any) -> None:
    nothing = bytes(1024)  # a tar archive without entries
    tools.push_tiny_base(server, "empty/base:1", layers=[b"some", nothing, b"more", nothing, nothing])
    base = Registry(server.host).base("empty/base:1")
    assert base is not None
    assert base.diff_ids == (sha256(b"some"), sha256(nothing), sha256(b"more"))
    assert [layer.digest for layer in base.layers] == [*base.diff_ids]


@pytest.mark.parametrize("reference", ["read/nothing:1", "nobody/base:1", "nobody/base@sha256:" + "0" * 64])
def test_no_such_base_is_none(server: Any, reference: str) -> None:
    assert Registry(server.host).base(reference) is None


def test_layers_with_dockers_types_get_those_of_oci(tools: ModuleType, server: Any) -> None:
    tools.push_tiny_base(server, "docker/base:1", docker_types=True)
    base = Registry(server.host).base("docker/base:1")
    assert base is not None
    assert {layer.media_type for layer in base.layers} == {"application/vnd.oci.image.layer.v1.tar"}


@pytest.fixture
def index(tools: ModuleType, server: Any) -> str:
    """An image index with two platforms and an attestation."""
    platforms = [{"os": "linux", "architecture": "s390x"}, {"os": "linux", "architecture": "arm", "variant": "v7"}]
    entries = []
    for number, platform in enumerate(platforms):
        digest = tools.push_tiny_base(server, f"many/base:{number}", platform=platform)
        entries.append({"mediaType": tools.MANIFEST_TYPE, "digest": digest, "size": 1000, "platform": platform})
    unknown = {"os": "unknown", "architecture": "unknown"}
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [{**entries[0], "platform": unknown}, *entries],
    }
    tools.push_manifest(server, "many/base", "all", manifest)
    return "many/base:all"


def test_of_an_index_the_wanted_platform_is_chosen(server: Any, index: str) -> None:
    base = Registry(server.host).base(index, platform="linux/s390x")
    assert base is not None
    assert base.architecture == "s390x"
    variant = Registry(server.host).base(index, platform="linux/arm")
    assert variant is not None
    assert variant.variant == "v7"


def test_a_platform_that_an_index_lacks_is_an_error_that_lists_what_there_is(server: Any, index: str) -> None:
    with pytest.raises(ConfigError, match="there is none for linux/ppc64le; there are linux/arm/v7, linux/s390x"):
        Registry(server.host).base(index, platform="linux/ppc64le")
    with pytest.raises(ConfigError, match=r"there is none for linux/\w+; there are linux/arm/v7, linux/s390x"):
        Registry(server.host).base(index)


def test_a_base_for_another_platform_is_refused(tools: ModuleType, server: Any) -> None:
    tools.push_tiny_base(server, "one/base:1")
    with pytest.raises(ConfigError, match=r"one/base:1: is for linux/amd64, and `package\.platform` is linux/arm64"):
        Registry(server.host).base("one/base:1", platform="linux/arm64")


def test_what_was_changed_in_the_registrys_storage_is_refused(tools: ModuleType, start: Callable[..., Any]) -> None:
    server = start()
    digest = tools.push_tiny_base(server, "pumps/base:1")
    base = Registry(server.host).base("pumps/base:1")
    assert base is not None
    for blob in Path(server.folder / "store").rglob("blobs/sha256/*/*/data"):
        if b"diff_ids" in blob.read_bytes():
            blob.write_bytes(blob.read_bytes().replace(b"10001", b"00000"))
    with pytest.raises(ConfigError, match=r"its configuration should have digest sha256:.* received was"):
        Registry(server.host).base(f"pumps/base@{digest}")


def test_an_artefact_that_is_no_image_is_refused(tools: ModuleType, server: Any) -> None:
    tools.push_blob(server, "chart/base", b"{}")
    manifest = {
        "schemaVersion": 2,
        "mediaType": tools.MANIFEST_TYPE,
        "config": tools.descriptor("application/vnd.cncf.helm.config.v1+json", b"{}"),
        "layers": [],
    }
    tools.push_manifest(server, "chart/base", "1", manifest)
    with pytest.raises(ConfigError, match="is not an image of a file system"):
        Registry(server.host).base("chart/base:1")
