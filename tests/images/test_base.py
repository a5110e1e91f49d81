"""The base image of a use case, built for real: what is in it, what is not, and what its name follows from."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from datadriver.config.load import load_usecase
from datadriver.errors import ConfigError, UnavailableError
from datadriver.images.base import KEY, BaseBuild, write_lock
from datadriver.images.engine import Engine
from datadriver.project import Project
from datadriver.tracking import queries
from datadriver.training.pinning import PINNED

pytestmark = [pytest.mark.docker, pytest.mark.xdist_group("images")]
SECRET = "only-the-build-may-see-this-4f1d"  # see conftest


def run_in(image: str, *arguments: str, entrypoint: str = "sh", options: tuple[str, ...] = ()) -> str:
    command = ["docker", "run", "--rm", "--network", "none", "--entrypoint", entrypoint, *options, image, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def copy(case, tmp_path: Path) -> Path:
    """The same use case elsewhere."""
    return Path(shutil.copytree(case.root, tmp_path / "elsewhere" / "imaged"))


def build_of(root: Path) -> BaseBuild:
    return BaseBuild.of(load_usecase(root), root)


def test_the_same_content_has_the_same_key_wherever_it_lies(case, copy: Path, engine: Engine) -> None:
    for file in copy.rglob("*"):
        os.utime(file, (0, 0))
    (copy / ".datadriver").mkdir()
    (copy / ".datadriver" / "ledger.db").write_text("records are no part of it")
    (copy / "fleet.csv").write_text("asset_id\nanother\n")
    assert build_of(copy) == replace(build_of(case.root), root=copy)
    assert engine.base(case.base.reference) == case.base


@pytest.mark.parametrize("changed", ["usecase.yaml", "src/imaged/features.py", "Dockerfile", "contracts/sensors.json"])
def test_other_content_has_another_key(case, copy: Path, changed: str) -> None:
    with (copy / changed).open("a") as file:
        file.write("\n")
    assert build_of(copy).key != case.base.settings["Labels"][KEY]


def test_other_versions_have_another_key_and_a_lock_has_none(case, copy: Path) -> None:
    usecase = load_usecase(copy)
    lock = write_lock(usecase, copy)
    pinned = BaseBuild.of(usecase, copy)
    lock.write_text(lock.read_text().replace("threadpoolctl==", "threadpoolctl>="))
    assert BaseBuild.of(usecase, copy).key != pinned.key


def test_only_what_scoring_and_training_need_is_pinned(case) -> None:
    build = build_of(case.root)
    names = {line.partition("==")[0] for line in build.requirements.splitlines()}
    assert {"mlflow", "numpy", "pandas", "scikit-learn", "skops", "pyarrow", "uvicorn"} <= names
    assert not names & {"apache-airflow", "cookiecutter", "docker", "flask", "great-expectations", "imaged", "pytest"}
    assert build.wheel is None or "datadriver" not in names


def test_great_expectations_comes_along_where_the_contract_needs_it(copy: Path) -> None:
    suite = copy / "contracts" / "sensors.json"
    content = json.loads(suite.read_text())
    content["expectations"].append(
        {"type": "expect_column_kl_divergence_to_be_less_than", "kwargs": {"column": "flow", "threshold": 0.1}}
    )
    suite.write_text(json.dumps(content))
    assert "great-expectations==" in build_of(copy).requirements


def test_it_runs_as_nobody_in_particular_without_network_or_a_root_that_can_be_written(case) -> None:
    options = ("--read-only", "--user", "54321:54321")
    said = run_in(case.base.reference, "--version", entrypoint="datadriver", options=options)
    assert said.startswith("datadriver ")
    assert run_in(case.base.reference, "-c", "id -u").strip() == "10001"


def test_no_installer_and_no_compiler_are_left_and_bytecode_is_there(case) -> None:
    found = run_in(
        case.base.reference,
        "-c",
        "command -v pip pip3 gcc cc make; find / -xdev -path '*-packages/pip*' -prune;"
        "cd /opt/venv/lib/python3*/site-packages/; ls /usecase;"
        "test -e datadriver/__pycache__/errors.cpython-3*.pyc && test -e imaged/__pycache__/models.cpython-3*.pyc &&"
        "test -e sklearn/__pycache__/base.cpython-3*.pyc && echo compiled",
    )
    assert found.split() == ["contracts", "usecase.yaml", "compiled"]


def test_floating_point_is_pinned(case) -> None:
    environment = dict(entry.split("=", 1) for entry in case.base.settings["Env"])
    assert {name: environment.get(name) for name in PINNED} == PINNED


def test_labels_say_what_it_is(case) -> None:
    labels = case.base.settings["Labels"]
    assert labels["org.opencontainers.image.revision"] == "0" * 40
    assert labels["org.opencontainers.image.base.name"] == case.usecase.package.base_image
    assert case.base.reference == f"imaged/base:{labels[KEY][:12]}"


def test_the_list_of_contents_names_distributions_and_debian_packages(case) -> None:
    listed = json.loads(run_in(case.base.reference, "/usr/share/sbom/usecase.cdx.json", entrypoint="cat"))
    names = {one["purl"].partition("@")[0] for one in listed["components"]}
    assert listed["bomFormat"] == "CycloneDX"
    assert {"pkg:pypi/datadriver", "pkg:pypi/imaged", "pkg:pypi/scikit-learn", "pkg:deb/debian/libc6"} <= names
    assert "pkg:pypi/pip" not in names


def test_secrets_of_the_build_are_in_no_layer_configuration_or_history(case) -> None:
    assert SECRET in (case.root / "pip.conf").read_text()
    assert SECRET in (case.root / "certificates.pem").read_text()
    needle, marker, end, size = SECRET.encode(), b"io.datadriver.content-key", b"", 0
    seen = False
    with subprocess.Popen(["docker", "save", case.base.reference], stdout=subprocess.PIPE) as saved:
        assert saved.stdout is not None
        while piece := saved.stdout.read(1 << 22):
            assert needle not in end + piece
            seen = seen or marker in end + piece  # the search finds what is there
            end, size = piece[-len(needle) :], size + len(piece)
    assert saved.returncode == 0
    assert seen
    assert size > 100_000_000


def test_a_container_that_serves_nothing_is_healthy(case) -> None:
    assert run_in(case.base.reference, "-m", "datadriver.images.health", entrypoint="python") == ""


def test_training_inside_gives_the_same_bytes_as_outside(case, copy: Path, tmp_path: Path) -> None:
    (copy / "fleet.csv").write_text("".join((copy / "fleet.csv").read_text().splitlines(keepends=True)[:3]))
    inside = tmp_path / "records"
    inside.mkdir(mode=0o777)
    inside.chmod(0o777)
    options = ("--read-only", "--tmpfs", "/tmp", "-v", f"{inside}:/usecase/.datadriver")
    options += ("-v", f"{copy / 'fleet.csv'}:/usecase/fleet.csv:ro")
    run_in(case.base.reference, "train", "--workers", "1", entrypoint="datadriver", options=options)
    subprocess.run(
        [sys.executable, "-m", "datadriver", "train", "--workers", "1"], cwd=copy, check=True, capture_output=True
    )
    outside = digests(copy)
    shutil.rmtree(copy / ".datadriver")
    shutil.copytree(inside, copy / ".datadriver")
    assert digests(copy) == outside
    assert len(outside) == 2


def digests(root: Path) -> dict[str, str]:
    ledger = Project.open(root).ledger
    found = {str(key): version.sha256 for key, version in queries.latest_versions(ledger).items()}
    ledger.close()
    return found


def test_a_parent_of_another_platform_is_refused(case, copy: Path, engine: Engine) -> None:
    edit(copy, "package:", "package:\n  platform: linux/s390x")
    build = build_of(copy)
    with pytest.raises((ConfigError, UnavailableError), match=r"base image for linux/s390x was not built"):
        build.run(engine, build.name, network="host")


def test_a_mistake_in_the_dockerfile_shows_the_end_of_the_output(copy: Path, engine: Engine) -> None:
    (copy / "Dockerfile").write_text("ARG PARENT\nFROM ${PARENT}\nRUN echo so far && nonsense-command\n")
    build = build_of(copy)
    with pytest.raises(ConfigError, match=r"(?s)was not built\. The end of the output:.*nonsense-command"):
        build.run(engine, build.name)
    assert engine.base(build.name) is None


def test_an_index_that_does_not_answer_is_worth_a_retry(copy: Path, engine: Engine) -> None:
    (copy / "pip.conf").write_text("[global]\nindex-url = http://127.0.0.1:9/simple\nretries = 1\n")
    (copy / "requirements.lock").write_text("threadpoolctl==0.0.1\n")
    build = build_of(copy)
    with pytest.raises(UnavailableError, match=r"(?s)index of packages did not answer.*package\.secrets"):
        build.run(engine, build.name, network="host")


def test_secrets_that_are_not_there_are_named(copy: Path, engine: Engine) -> None:
    (copy / "pip.conf").unlink()
    build = build_of(copy)
    with pytest.raises(ConfigError, match=r"package\.secrets\.pip: there is no file .*pip\.conf"):
        build.run(engine, build.name)


def test_without_a_dockerfile_it_is_said_where_one_comes_from(copy: Path) -> None:
    (copy / "Dockerfile").unlink()
    with pytest.raises(ConfigError, match=r"package\.dockerfile: there is no file 'Dockerfile'.*datadriver new"):
        build_of(copy)


def test_a_need_that_is_not_installed_is_named(copy: Path) -> None:
    edit(copy, '"numpy"', '"numpy", "not-installed-anywhere>=1"', "pyproject.toml")
    with pytest.raises(ConfigError, match="not-installed-anywhere: imaged needs it, and it is not installed here"):
        build_of(copy)


def edit(root: Path, old: str, new: str, file: str = "usecase.yaml") -> None:
    text = (root / file).read_text()
    assert old in text
    (root / file).write_text(text.replace(old, new, 1))
