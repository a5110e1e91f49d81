"""A layer is the same to the byte wherever, whenever and in whatever order it is built."""

from __future__ import annotations

import hashlib
import io
import os
import random
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datadriver.config.fleet import Asset
from datadriver.errors import UntrustedModelError
from datadriver.images.layer import build_layer
from datadriver.serving.manifest import PackagedModel, PackageManifest

CONTENTS = st.dictionaries(
    st.from_regex(r"[a-z0-9][a-z0-9._-]{0,99}", fullmatch=True).map(lambda name: f"{name}/model.skops"),
    st.binary(max_size=1500),
    min_size=1,
    max_size=5,
)


@given(CONTENTS, st.randoms())
def test_order_changes_no_byte(archives: dict[str, bytes], rng: random.Random) -> None:
    shuffled = list(archives.items())
    rng.shuffle(shuffled)
    manifest = manifest_of(archives)
    assert build_layer(manifest, archives) == build_layer(manifest, dict(shuffled))


@given(CONTENTS)
def test_it_holds_what_was_put_in_and_nothing_of_the_machine(archives: dict[str, bytes]) -> None:
    manifest = manifest_of(archives)
    layer = build_layer(manifest, archives)
    with tarfile.open(fileobj=io.BytesIO(layer), mode="r:") as tar:
        entries = tar.getmembers()
        read = {entry.name: tar.extractfile(entry).read() for entry in entries if entry.isfile()}  # type: ignore[union-attr]
    assert read == {f"model/{path}": content for path, content in archives.items()} | {
        "model/manifest.json": manifest.to_bytes()
    }
    assert [entry.name for entry in entries] == sorted(entry.name for entry in entries)
    assert {entry.mode for entry in entries if entry.isdir()} == {0o555}
    assert {entry.mode for entry in entries if entry.isfile()} == {0o444}
    assert {(entry.mtime, entry.uid, entry.gid, entry.uname, entry.gname) for entry in entries} == {(0, 0, 0, "", "")}


@given(CONTENTS)
def test_a_file_costs_a_header_and_its_padding(archives: dict[str, bytes]) -> None:
    manifest = manifest_of(archives)
    files = [manifest.to_bytes(), *archives.values()]
    folders = 1 + len(archives)
    blocks = folders + sum(1 + -(-len(content) // 512) for content in files)
    assert len(build_layer(manifest, archives)) == 512 * (blocks + 2)


def test_these_bytes_are_for_ever() -> None:
    """Another Python that writes archives differently would change the digest of every image."""
    layer = build_layer(manifest_of({"a/model.skops": b"a model"}), {"a/model.skops": b"a model"})
    start = layer[:2048]  # the folders, the archive's header, its content
    assert hashlib.sha256(start).hexdigest() == "fe14d8f98e3a92b8d3abbf507015650e5fa79534dd9515a330cc5288979137a5"
    assert layer.endswith(bytes(1024))


_BUILD = """
import hashlib, sys
sys.path.insert(0, {tests!r})
from test_layer import build_layer, manifest_of
archives = {{"b/model.skops": b"two", "a/model.skops": b"one"}}
print(hashlib.sha256(build_layer(manifest_of(archives), archives)).hexdigest())
"""


@pytest.fixture(params=[("C", 0o077, "UTC"), ("C.UTF-8", 0o000, "Asia/Kolkata")])
def surroundings(request: pytest.FixtureRequest) -> Iterator[dict[str, str]]:
    language, mask, zone = request.param
    before = os.umask(mask)
    yield {**os.environ, "LC_ALL": language, "TZ": zone, "PYTHONHASHSEED": str(mask)}
    os.umask(before)


def test_umask_locale_zone_and_time_change_no_byte(surroundings: dict[str, str]) -> None:
    archives = {"a/model.skops": b"one", "b/model.skops": b"two"}
    here = hashlib.sha256(build_layer(manifest_of(archives), archives)).hexdigest()
    code = _BUILD.format(tests=os.path.dirname(__file__))  # noqa: PTH120
    there = subprocess.run([sys.executable, "-c", code], env=surroundings, capture_output=True, text=True, check=True)
    assert there.stdout.strip() == here


def test_an_archive_that_is_not_the_recorded_one_is_refused() -> None:
    archives = {"a/model.skops": b"one"}
    manifest = manifest_of(archives)
    with pytest.raises(UntrustedModelError, match=r"P-1/m0 v3: its archive has sha256 .* received was one with"):
        build_layer(manifest, {"a/model.skops": b"tampered"})
    with pytest.raises(UntrustedModelError, match="received was none"):
        build_layer(manifest, {})
    with pytest.raises(UntrustedModelError, match=r"does not name 'b/model\.skops'"):
        build_layer(manifest, {**archives, "b/model.skops": b"two"})


@pytest.mark.parametrize("path", ["/etc/passwd", "../up", "a/../../up", "", "é/model.skops", "manifest.json", "a//b"])
def test_a_path_that_leaves_the_folder_is_refused(path: str) -> None:
    archives = {path: b"one"}
    with pytest.raises(ValueError, match="path"):
        build_layer(manifest_of(archives), archives)


def test_two_models_at_one_path_are_refused() -> None:
    manifest = manifest_of({"a/model.skops": b"one"})
    with pytest.raises(ValueError, match="same path"):
        build_layer(replace(manifest, models=manifest.models * 2), {"a/model.skops": b"one"})


def manifest_of(archives: dict[str, bytes]) -> PackageManifest:
    models = tuple(
        PackagedModel(
            unit="P-1",
            model=f"m{place}",
            version=3,
            role="champion",
            method="predict",
            path=path,
            sha256=hashlib.sha256(archives[path]).hexdigest(),
            size=len(archives[path]),
            assets=("P-1",),
            features=(("load", "float64"),),
            result_key="0" * 64,
        )
        for place, path in enumerate(sorted(archives))
    )
    return PackageManifest("tiny", (Asset("P-1", {"site": "Ålesund"}),), models)
