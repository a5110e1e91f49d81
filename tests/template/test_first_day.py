"""A use case on its first day: it runs as rendered, its tests pass, its types are right, it installs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from datadriver.cli.new import files
from datadriver.data.check import check

PROBLEMS = {"regression": "P-101/temperature", "classification": "fleet/failure", "anomaly": "P-101/behaviour"}
REPOSITORY = Path(__file__).parents[2]


def run(folder: Path, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *command],
        cwd=folder,
        env={**os.environ, "PYTEST_ADDOPTS": "-p no:cacheprovider", **variables},
        check=False,
        capture_output=True,
        text=True,
    )


def succeed(folder: Path, *command: str, **variables: str) -> str:
    done = run(folder, *command, **variables)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("problem", PROBLEMS)
def test_one_command_ends_with_champions_and_scores(copied, problem: str) -> None:
    folder = copied(problem)
    succeed(folder, "datadriver", "check")
    succeed(folder, "datadriver", "run")
    instances = json.loads(succeed(folder, "datadriver", "status", "--json"))["instances"]
    assert [one["champion_version"] for one in instances] == [1] * (1 if problem == "classification" else 6)
    assert PROBLEMS[problem] in {f"{one['unit']}/{one['model']}" for one in instances if one["state"] == "champion"}
    assert list((folder / ".datadriver" / "scores").rglob("*.parquet"))


@pytest.mark.parametrize("problem", PROBLEMS)
def test_its_own_tests_pass(copied, problem: str) -> None:
    folder = copied(problem)
    said = succeed(folder, "pytest", "-q", "-W", "error::FutureWarning", "-W", "error::UserWarning")
    assert "skipped" not in said


@pytest.mark.parametrize("problem", PROBLEMS)
def test_without_data_it_is_sound(rendered, problem: str) -> None:
    assert check(rendered(problem, sample_data=False)) == ()


def test_without_data_it_says_what_is_missing(copied) -> None:
    folder = copied("regression", sample_data=False)
    done = run(folder, "datadriver", "run")
    assert done.returncode == 3, done.stdout + done.stderr
    assert "P-101.csv does not exist" in done.stdout + done.stderr
    assert "there is no data yet" in succeed(folder, "pytest", "-q", "-rs")


def test_its_types_are_right(copied, tmp_path: Path) -> None:
    for problem in PROBLEMS:
        succeed(copied(problem), "mypy", "--cache-dir", str(tmp_path))


def test_it_installs_and_brings_its_package(copied, tmp_path: Path) -> None:
    folder = copied("anomaly")
    succeed(folder, "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path))
    (wheel,) = tmp_path.glob("*.whl")
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info" not in name}
    package = folder.name
    assert names == {f"{package}/{module}.py" for module in ("__init__", "features", "models", "sample")}


def test_the_wheel_of_datadriver_renders_use_cases_by_itself(rendered, tmp_path: Path) -> None:
    succeed(REPOSITORY, "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path))
    (wheel,) = tmp_path.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(tmp_path / "installed")
    ours = rendered("regression", "github")
    succeed(tmp_path, "datadriver", "new", ours.name, PYTHONPATH=str(tmp_path / "installed"))
    theirs = tmp_path / ours.name
    assert files(theirs) == files(ours)
    assert all((theirs / name).read_bytes() == (ours / name).read_bytes() for name in files(ours))
