"""Images go straight to a real registry, and only what it lacks goes."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import ModuleType
from typing import Any

import pytest

from datadriver.errors import ConfigError
from datadriver.images.registry import Registry
from datadriver.images.spec import Image

pytestmark = pytest.mark.registry
Images = Callable[..., list[Image]]


def test_every_image_is_there_under_its_name_with_the_digest_it_was_given(server: Any, images: Images) -> None:
    fleet = images(server, 20, prefix="all")
    registry = Registry(server.host)
    pushed = list(registry.push(fleet, base_repository="all/base"))
    assert {one.name: one.digest for one in pushed} == {image.name: image.digest for image in fleet}
    names = [image.name for image in fleet]
    assert registry.digests([*names, "all/nobody:v1"]) == {image.name: image.digest for image in fleet}


def test_a_thread_with_an_event_loop_at_work_pushes_too(server: Any, images: Images) -> None:
    fleet = images(server, 20, prefix="notebook")
    registry = Registry(server.host)

    async def cell() -> tuple[list[Any], dict[str, str]]:
        return list(registry.push(fleet, base_repository="notebook/base")), registry.digests([fleet[0].name])

    pushed, found = asyncio.run(cell())
    assert {one.name: one.digest for one in pushed} == {image.name: image.digest for image in fleet}
    assert found == {fleet[0].name: fleet[0].digest}


def test_skopeo_reads_and_copies_what_was_pushed(server: Any, images: Images, tmp_path: Any) -> None:
    if shutil.which("skopeo") is None:
        pytest.skip("skopeo is not installed")
    (image,) = images(server, 1, prefix="skopeo")
    image = replace(image, annotations={"io.datadriver.model": "P-1/temperature v1"})
    list(Registry(server.host).push([image], base_repository="skopeo/base"))
    name = f"docker://{server.host}/{image.name}"
    told = subprocess.run(["skopeo", "inspect", "--tls-verify=false", name], capture_output=True, check=True)
    known = json.loads(told.stdout)
    assert known["Digest"] == image.digest
    assert known["Labels"]["io.datadriver.model"] == "P-1/temperature v1"
    assert known["Layers"][-1] == image.layer_digest
    copy = ["skopeo", "copy", "--preserve-digests", "--src-tls-verify=false", name, f"oci:{tmp_path}/copy:v1"]
    subprocess.run(copy, capture_output=True, check=True)
    assert (tmp_path / "copy/blobs/sha256" / image.layer_digest[7:]).read_bytes() == image.layer


def test_what_is_there_is_not_sent_again(start: Callable[..., Any], images: Images) -> None:
    server = start()
    fleet = images(server, 5)
    registry = Registry(server.host)
    list(registry.push(fleet, base_repository="pumps/base"))
    before = len(server.requests())
    assert len(list(registry.push(fleet, base_repository="pumps/base"))) == 5
    again = server.requests()[before:]
    assert sorted(again) == sorted(["GET /v2/", *(f"HEAD /v2/{one.repository}/manifests/v1" for one in fleet)])


def test_a_next_version_does_not_ask_for_the_layers_of_the_base_again(
    start: Callable[..., Any], images: Images
) -> None:
    server = start()
    registry = Registry(server.host)
    (first,), (second,) = images(server, 1), images(server, 1, tag="v2")
    list(registry.push([first], base_repository="pumps/base"))
    before = len(server.requests())
    list(registry.push([second], base_repository="pumps/base"))
    methods = [request.split(" ")[0] for request in server.requests()[before:]]
    assert sorted(methods) == ["GET", "HEAD", "HEAD", "POST", "POST", "PUT", "PUT", "PUT"]


def test_the_base_is_not_stored_twice_and_a_blob_of_ours_not_sent_twice(
    start: Callable[..., Any], images: Images
) -> None:
    server = start()
    fleet = images(server, 3)
    list(Registry(server.host).push(fleet, base_repository="pumps/base"))
    sent = [request for request in server.requests() if request.startswith("PUT") and "uploads" in request]
    assert len(sent) == 7 + 2 * 3  # six layers and configuration of the base, two blobs of each image
    blobs = len(list((server.folder / "store").rglob("blobs/sha256/*/*/data")))
    assert blobs == 8 + 3 * 3  # with the manifests
    same = replace(fleet[0], tag="copy")
    before = len(server.requests())
    list(Registry(server.host).push([same], base_repository="pumps/base"))
    puts = [request for request in server.requests()[before:] if request.startswith("PUT")]
    assert puts == [f"PUT /v2/{same.repository}/manifests/copy"]


def test_layers_that_a_registry_does_not_mount_are_copied(
    tools: ModuleType, start: Callable[..., Any], images: Images
) -> None:
    server = start()
    (image,) = images(server, 1)
    line = tools.Line(server.host, 0.0, mounts=False).start()
    try:
        pushed = list(Registry(line.host).push([image], base_repository="pumps/base"))
    finally:
        line.stop()
    assert [one.digest for one in pushed] == [image.digest]
    sent = [request for request in server.requests() if request.startswith("PUT /v2/pumps/p-0.temperature/blobs")]
    assert len(sent) == len(image.base.layers) + 2


def test_layers_that_are_not_where_the_base_should_be_are_named(server: Any, images: Images) -> None:
    (image,) = images(server, 1, prefix="elsewhere")
    moved = replace(image, repository="other/p-1")
    with pytest.raises(ConfigError, match=r"layer sha256:\w+… of its base image is not in other/base of registry"):
        list(Registry(server.host).push([moved], base_repository="other/base"))


def test_an_image_that_is_refused_stops_no_other(server: Any, images: Images) -> None:
    fleet = images(server, 6, prefix="mixed")
    fleet[2] = replace(fleet[2], repository="mixed/Not-Allowed")
    pushed: list[str] = []
    pushing = Registry(server.host).push(fleet, base_repository="mixed/base")
    with pytest.raises(ConfigError, match=r"1 image was not pushed \(mixed/Not-Allowed:v1\)\. .*Docker does not allow"):
        pushed.extend(one.name for one in pushing)
    assert sorted(pushed) == sorted(image.name for image in fleet if image is not fleet[2])


def test_two_pushers_at_once_end_with_the_same(server: Any, images: Images) -> None:
    fleet = images(server, 20, prefix="two")

    def push() -> dict[str, str]:
        return {one.name: one.digest for one in Registry(server.host).push(fleet, base_repository="two/base")}

    with ThreadPoolExecutor(2) as pool:
        results = [one.result() for one in [pool.submit(push), pool.submit(push)]]
    assert results == [{image.name: image.digest for image in fleet}] * 2


def test_images_are_taken_as_they_are_needed(server: Any, images: Images) -> None:
    fleet = images(server, 60, prefix="lazy")
    taken = []

    def made() -> Any:
        for image in fleet:
            taken.append(image)
            yield image

    pushing = Registry(server.host).push(made(), base_repository="lazy/base")
    next(pushing)
    assert len(taken) < 60
    pushing.close()
    assert len(taken) < 60


def test_an_image_is_deleted_once_and_the_second_time_is_no_error(server: Any, images: Images) -> None:
    fleet = images(server, 2, prefix="gone")
    registry = Registry(server.host)
    list(registry.push(fleet, base_repository="gone/base"))
    registry.delete(fleet[0].name, fleet[0].digest)
    registry.delete(fleet[0].name, fleet[0].digest)
    assert registry.digests([image.name for image in fleet]) == {fleet[1].name: fleet[1].digest}


def test_a_registry_that_allows_no_deletion_says_so(start: Callable[..., Any], images: Images) -> None:
    server = start(extra={"storage": {"delete": {"enabled": False}}})
    (image,) = images(server, 1)
    registry = Registry(server.host)
    list(registry.push([image], base_repository="pumps/base"))
    with pytest.raises(ConfigError, match=r"deleting pumps/p-0\.temperature:v1: answered 405 UNSUPPORTED"):
        registry.delete(image.name, image.digest)


def test_a_base_that_was_only_seen_in_an_engine_has_to_be_pushed_first(server: Any, images: Images) -> None:
    (image,) = images(server, 1, prefix="engine")
    local = replace(image, base=replace(image.base, layers=()))
    with pytest.raises(ConfigError, match=r"its base image is not in registry .* push that first"):
        list(Registry(server.host).push([local], base_repository="engine/base"))


def test_base_layers_that_are_gone_from_an_image_are_given_again(
    tools: ModuleType, start: Callable[..., Any], images: Images
) -> None:
    server = start()
    (first,), (second,) = images(server, 1), images(server, 1, tag="v2")
    registry = Registry(server.host)
    list(registry.push([first], base_repository="pumps/base"))
    lost = first.base.layers[0].digest
    tools.call(server, "DELETE", f"/v2/{first.repository}/blobs/{lost}")
    assert [one.digest for one in registry.push([second], base_repository="pumps/base")] == [second.digest]
