"""The content of an image's layer: what the ledger knows of a champion, and the digests that its base must have."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from datadriver.config.code import code_digest
from datadriver.errors import UntrustedModelError
from datadriver.project import Project
from datadriver.serving.manifest import MANIFEST, PackageManifest
from datadriver.tracking import queries
from datadriver.tracking.records import Key


def test_a_layer_holds_the_champions_archive_and_what_is_known_of_it(served, pack):
    project = Project.open(served.root)
    packed = pack(project, "P-1/temperature")

    (model,) = packed.manifest.models
    assert list(packed.archives) == [model.path] == ["temperature.skops"]
    assert hashlib.sha256(packed.archives[model.path]).hexdigest() == model.sha256
    assert model.size == len(packed.archives[model.path])
    assert model.assets == ("P-1",)
    assert [name for name, _ in model.features] == ["current", "flow", "flow_before"]
    assert model.threshold is not None
    assert model.versions["scikit-learn"]
    assert packed.manifest.code_digest == model.code_digest == code_digest(served.root, "tiny")
    assert packed.manifest.assets[0].attributes == {"country": "NO"}


def test_a_manifest_is_read_back_as_it_was_written_and_says_nothing_of_when_or_where(served, tmp_path, pack):
    packed = pack(Project.open(served.root), "15/9-F-1 C/temperature")
    (tmp_path / MANIFEST).write_bytes(packed.manifest.to_bytes())

    assert PackageManifest.read(tmp_path) == packed.manifest
    shutil.copytree(served.root, tmp_path / "elsewhere")
    again = pack(Project.open(tmp_path / "elsewhere"), "15/9-F-1 C/temperature")
    assert again.manifest.to_bytes() == packed.manifest.to_bytes()
    assert again.archives == packed.archives


def test_an_archive_that_was_changed_after_training_is_not_packed(served, pack):
    project = Project.open(served.root)
    version = queries.champions(project.ledger)[Key("P-1", "temperature")]
    archive = served.root / version.path / "model.skops"
    archive.write_bytes(archive.read_bytes()[:-1] + b"x")

    with pytest.raises(UntrustedModelError, match="was changed after it was recorded"):
        pack(project, "P-1/temperature")


def test_a_changed_contract_or_changed_code_makes_another_manifest(served, pack):
    def digests() -> tuple[str | None, str | None]:
        manifest = pack(Project.open(served.root), "P-1/temperature").manifest
        return manifest.code_digest, manifest.contract_digest

    code, contract = digests()
    assert contract is None
    served.guard()
    guarded = digests()
    assert guarded == (code, guarded[1])
    assert guarded[1]
    served.edit("50", "60", "contracts/sensors.json")
    assert digests()[1] not in {None, guarded[1]}
    served.edit("bfill", "ffill", "src/tiny/features.py")
    assert digests()[0] != code


def test_code_has_one_digest_under_src_and_installed_from_a_wheel(tiny, tmp_path):
    (tiny.root / "src" / "tiny" / "deeper").mkdir()
    (tiny.root / "src" / "tiny" / "deeper" / "more.py").write_text("answer = 42\n", "utf-8")
    (tiny.root / "src" / "beside.py").write_text("other = 1\n", "utf-8")
    project = '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
    project += '[project]\nname = "tiny"\nversion = "1"\n'
    project += '[tool.hatch.build.targets.wheel]\npackages = ["src/tiny", "src/beside.py"]\n'
    (tiny.root / "pyproject.toml").write_text(project, "utf-8")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path / "dist")]
    subprocess.run([*build, str(tiny.root)], check=True, capture_output=True)
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    installed = tmp_path / "site"
    shutil.unpack_archive(wheel, installed, "zip")
    # What other distributions brought is not the use case's.
    (installed / "numpy_like.py").write_text("pass\n", "utf-8")

    program = "import sys; from datadriver.config.code import code_digest; from pathlib import Path;"
    program += "print(code_digest(Path(sys.argv[1]), 'tiny'))"
    elsewhere = tmp_path / "usecase"
    elsewhere.mkdir()
    found = subprocess.run(
        [sys.executable, "-c", program, str(elsewhere)],
        env={"PYTHONPATH": str(installed)},
        cwd=tmp_path,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    assert found == code_digest(Path(tiny.root), "tiny")
