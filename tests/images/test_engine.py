"""Images in a real Docker engine: loaded many at a time, known by the id that was computed for them."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from datadriver.errors import ConfigError, UnavailableError
from datadriver.images.archive import write_archive
from datadriver.images.engine import Engine
from datadriver.images.spec import BaseImage, Image

pytestmark = [pytest.mark.docker, pytest.mark.xdist_group("images")]


def docker(*arguments: str) -> str:
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, timeout=240, check=True)
    return done.stdout


def images_on(base: BaseImage, number: int, *, name: str = "datadriver-tests/one") -> list[Image]:
    return [
        Image(f"{name}-{place}", "v1", base, layer(f"model {place} of {name}"), {"io.datadriver.test": str(place)})
        for place in range(number)
    ]


def layer(text: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        entry = tarfile.TarInfo("model/manifest.json")
        entry.size = len(text)
        archive.addfile(entry, io.BytesIO(text.encode()))
    return buffer.getvalue()


@pytest.fixture(scope="module")
def loaded(engine: Engine, on_parent: BaseImage) -> Iterator[list[Image]]:
    images = images_on(on_parent, 50)
    assert {one.name: one.id for one in engine.load(images)} == {one.name: one.id for one in images}
    yield images
    engine.remove([one.name for one in images])


@pytest.fixture(scope="module")
def on_parent(engine: Engine, parent: str) -> BaseImage:
    found = engine.base(parent)
    assert found is not None
    return found


def test_images_have_the_ids_that_were_computed_for_them(engine: Engine, loaded: list[Image]) -> None:
    assert engine.ids([one.name for one in loaded]) == {one.name: one.id for one in loaded}
    assert engine.ids(["datadriver-tests/nobody:v1"]) == {}


def test_a_container_reads_its_own_layer(loaded: list[Image]) -> None:
    said = docker("run", "--rm", "--network", "none", "--entrypoint", "cat", loaded[7].name, "/model/manifest.json")
    assert said == "model 7 of datadriver-tests/one"


def test_loading_again_changes_nothing(engine: Engine, loaded: list[Image]) -> None:
    assert [one.id for one in engine.load(loaded)] == [one.id for one in loaded]


def test_an_image_is_a_base_like_any_other(engine: Engine, loaded: list[Image], on_parent: BaseImage) -> None:
    above = engine.base(loaded[0].name)
    assert above is not None
    assert above.diff_ids == (*on_parent.diff_ids, loaded[0].layer_digest)
    assert above.settings["Labels"]["io.datadriver.test"] == "0"
    assert above.config == loaded[0].config, "what the engine says of an image gives its configuration again"


def test_the_registry_comes_first_in_the_name(engine: Engine, on_parent: BaseImage) -> None:
    images = images_on(on_parent, 2)
    names = [one.name for one in engine.load(images, "localhost:5000")]
    assert names == [f"localhost:5000/{one.name}" for one in images]
    engine.remove(names)
    assert engine.ids(names) == {}
    engine.remove(names)  # gone already


def test_removing_names_the_image_that_a_container_uses_and_removes_the_others(
    engine: Engine, on_parent: BaseImage
) -> None:
    names = [one.name for one in engine.load(images_on(on_parent, 3, name="datadriver-tests/used"))]
    used = docker("create", names[1]).strip()
    try:
        with pytest.raises(UnavailableError, match=r"1 of 3 images .*used-1:v1.*Remove the containers"):
            engine.remove(names)
        assert set(engine.ids(names)) == {names[1]}
    finally:
        docker("rm", used)
        engine.remove(names)


def test_the_archive_holds_only_new_layers_unless_it_must_be_whole(
    engine: Engine, on_parent: BaseImage, tmp_path: Path
) -> None:
    images = images_on(on_parent, 3)
    thin = b"".join(write_archive(images))
    assert len(thin) < 3 * len(images[0].layer) + 20_000

    (tmp_path / "saved.tar").write_bytes(subprocess.check_output(["docker", "save", on_parent.reference]))
    with (tmp_path / "whole.tar").open("wb") as file:
        file.writelines(write_archive(images, None, tmp_path / "saved.tar"))
    with tarfile.open(tmp_path / "whole.tar") as archive:
        entries = json.load(archive.extractfile("manifest.json"))
        assert {path for entry in entries for path in entry["Layers"]} <= set(archive.getnames())
    assert docker("load", "--input", str(tmp_path / "whole.tar")).count("Loaded image") == 3
    assert engine.ids([one.name for one in images]) == {one.name: one.id for one in images}
    engine.remove([one.name for one in images])


def test_an_engine_without_the_base_says_so(engine: Engine, on_parent: BaseImage) -> None:
    strange = BaseImage("nobody/base:1", "amd64", "linux", {}, ("sha256:" + "1" * 64,))
    with pytest.raises(ConfigError, match="does not have the base image any more"):
        list(engine.load(images_on(strange, 1, name="datadriver-tests/strange")))


def test_an_archive_that_is_refused_does_not_keep_the_others_from_being_named(
    engine: Engine, on_parent: BaseImage
) -> None:
    strange = BaseImage("nobody/base:1", "amd64", "linux", {}, ("sha256:" + "1" * 64,))
    images = images_on(on_parent, 70, name="datadriver-tests/some")
    images[40] = replace(images[40], base=strange)
    named = []
    try:
        with pytest.raises(ConfigError, match="does not have the base image any more"):
            named.extend(engine.load(images))
        assert {one.name for one in named} >= {one.name for one in (*images[:32], *images[64:])}
        assert images[40].name not in engine.ids([one.name for one in images])
    finally:
        engine.remove([one.name for one in images])


def test_two_packagers_at_once_come_to_the_same(engine: Engine, on_parent: BaseImage) -> None:
    images = images_on(on_parent, 20, name="datadriver-tests/both")
    found: list[list[str]] = []
    work = lambda: found.append([one.id for one in Engine.connect().load(images)])  # noqa: E731
    both = [threading.Thread(target=work) for _ in range(2)]
    for one in both:
        one.start()
    for one in both:
        one.join()
    assert found == [[one.id for one in images]] * 2
    engine.remove([one.name for one in images])


def test_no_engine_is_told_with_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nobody.sock")
    with pytest.raises(UnavailableError, match=r"no Docker engine answers .* DOCKER_HOST"):
        Engine.connect()


def test_what_a_killed_engine_took_is_known_and_the_next_run_finishes(on_parent: BaseImage, own_engine) -> None:
    """The engine dies while it loads; what it had said is there, the rest is loaded again."""
    engine = Engine.connect()
    tarball = Path(own_engine.folder / "parent.tar")
    subprocess.run(["docker", "-H", own_engine.host, "load", "-q", "-i", tarball], check=True, capture_output=True)
    base = engine.base(on_parent.reference)
    assert base is not None
    images = images_on(base, 260)
    ids = {one.name: one.id for one in images}
    loading = engine.load(images)
    said = [next(loading) for _ in range(100)]
    assert [one.id for one in said] == [one.id for one in images[:100]]
    own_engine.kill()
    with pytest.raises(UnavailableError, match="stopped answering"):
        said.extend(loading)
    own_engine.start()
    engine = Engine.connect()
    there = engine.ids(list(ids))
    assert {one.name: one.id for one in said}.items() <= there.items() <= ids.items()
    left = [one for one in images if one.name not in there]
    assert left
    assert [one.id for one in engine.load(left)] == [one.id for one in left]
    assert engine.ids(list(ids)) == ids


class OwnEngine:
    """An engine of a test's own, on a disk of its own."""

    def __init__(self, folder: Path, root: Path) -> None:
        self.folder, self.root = folder, root
        self.host = f"unix://{folder}/docker.sock"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        for stale in self.folder.glob("*.pid"):
            stale.unlink()
        # A network of its own: an engine without a bridge removes the one of the machine's engine.
        command = [
            "unshare",
            "--net",
            "dockerd",
            "-H",
            self.host,
            "--data-root",
            self.root,
            "--exec-root",
            self.folder / "run",
        ]
        command += ["--pidfile", self.folder / "own.pid", "--bridge", "none", "--iptables=false"]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen([str(part) for part in command], stderr=log)
        for _ in range(240):
            if subprocess.run(["docker", "-H", self.host, "info"], capture_output=True, check=False).returncode == 0:
                return
            time.sleep(0.25)
        pytest.fail((self.folder / "log").read_text()[-2000:])

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()
        for file in self.folder.glob("run/containerd/containerd.pid"):  # it has a session of its own
            os.kill(int(file.read_text()), signal.SIGKILL)
        shutil.rmtree(self.folder / "run", ignore_errors=True)


@pytest.fixture
def own_engine(parent: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[OwnEngine]:
    if os.getuid():
        pytest.skip("an engine of its own needs root")
    root = Path(os.environ.get("TMPDIR", "/var/tmp")) / f"datadriver-engine-{os.getpid()}"
    folder = Path(tempfile.mkdtemp(prefix="dd-", dir="/tmp"))  # addresses of sockets have 108 characters at most
    own = OwnEngine(folder, root)
    with (folder / "parent.tar").open("wb") as file:
        subprocess.run(["docker", "save", parent], stdout=file, check=True)
    (folder / "small.tar").write_bytes(layer("all of it"))
    own.start()
    monkeypatch.setenv("DOCKER_HOST", own.host)
    yield own
    own.kill()
    while subprocess.run(["umount", "-R", root], check=False, capture_output=True).returncode == 0:
        pass  # each engine that was killed left a mount there
    subprocess.run(["rm", "-rf", "--one-file-system", root, folder], check=False)


@pytest.mark.skipif(sys.platform != "linux", reason="mounts a disk")
def test_a_full_disk_is_told_as_such(on_parent: BaseImage, own_engine: OwnEngine) -> None:
    own_engine.kill()
    own_engine.root.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=160m", "tmpfs", own_engine.root], check=True)
    own_engine.start()
    subprocess.run(
        ["docker", "-H", own_engine.host, "import", own_engine.folder / "small.tar", "datadriver-tests/small:1"],
        check=True, capture_output=True,
    )  # fmt: skip
    engine = Engine.connect()
    base = engine.base("datadriver-tests/small:1")
    assert base is not None
    big = [Image(f"datadriver-tests/big-{n}", "v1", base, layer("x" * 30_000_000 + str(n))) for n in range(8)]
    with pytest.raises(UnavailableError, match="disk is full"):
        list(engine.load(big))
