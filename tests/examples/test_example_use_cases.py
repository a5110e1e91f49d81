"""Each example keeps the promises of every use case, and its own tests pass."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from datadriver.data.check import check
from datadriver.project import Project

EXAMPLES = Path(__file__).parents[2] / "examples"
LAYOUT = {
    "usecase.yaml",
    "contracts/sensors.json",
    "README.md",
    "pyproject.toml",
    "tests",
    "docs/adr",
    "notebooks/explore.ipynb",
}


def run_tests(root: Path, data: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "DATADRIVER_DATA": data}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"]
    return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=280, check=False)


@pytest.mark.parametrize("name", ["pumps", "wells", "wind"])
def test_the_example_has_the_layout_of_a_rendered_use_case(name: str) -> None:
    missing = sorted(part for part in LAYOUT if not (EXAMPLES / name / part).exists())
    assert missing == []
    assert (EXAMPLES / name / "src" / name / "features.py").exists()


@pytest.mark.parametrize("name", ["wells", "wind"])
def test_without_the_folder_check_says_where_the_data_comes_from(name: str) -> None:
    problems = check(EXAMPLES / name, None, {})
    assert any("DATADRIVER_DATA is not set: README.md says how to get the data" in problem for problem in problems)


@pytest.mark.parametrize("name", ["wells", "wind"])
def test_the_configuration_is_right(name: str) -> None:
    assert check(EXAMPLES / name, None, {"DATADRIVER_DATA": "anywhere"}) == ()


@pytest.mark.xdist_group("pumps")
def test_the_tests_of_pumps_pass(pumps: Project) -> None:
    done = run_tests(pumps.root, "")
    assert done.returncode == 0, done.stdout[-4000:]


@pytest.mark.fleet_data
@pytest.mark.parametrize("name", ["wells", "wind"])
def test_the_tests_of_real_fleets_pass(name: str, copies: Path, real_data: Path) -> None:
    done = run_tests(copies / name, str(real_data))
    assert done.returncode == 0, done.stdout[-4000:]
