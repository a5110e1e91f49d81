"""What `datadriver new` writes: exactly the expected files, with nothing of the template left in them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from datadriver.cli.boundary import run
from datadriver.cli.new import choices, files, render, template

PROBLEMS, CIS = choices("problem"), choices("ci")
CI_FILES = {
    "github": [".github/workflows/check.yml"],
    "gitlab": [".gitlab-ci.yml"],
    "azure": ["azure-pipelines.yml"],
    "none": [],
}
STEPS = ['pip install -e ".[dev]"', "ruff check . && ruff format --check .", "mypy", "pytest", "datadriver check"]


def expected_files(name: str, problem: str, ci: str, *, sample_data: bool) -> list[str]:
    return sorted(
        [
            ".dockerignore",
            ".gitignore",
            "Dockerfile",
            "README.md",
            "contracts/sensors.json",
            f"dags/{name}.py",
            "docs/adr/0001-what-the-model-does.md",
            "fleet.csv",
            "notebooks/explore.ipynb",
            "pyproject.toml",
            f"src/{name}/__init__.py",
            f"src/{name}/features.py",
            f"src/{name}/models.py",
            "tests/test_features.py",
            "tests/test_notebook.py",
            "tests/test_use_case.py",
            "usecase.yaml",
            *CI_FILES[ci],
            *([f"src/{name}/sample.py"] if sample_data else ["data/README.md"]),
            *(["failures.csv"] if problem == "classification" else []),
        ]
    )


@pytest.mark.parametrize("sample_data", [True, False], ids=["sample", "empty"])
@pytest.mark.parametrize("ci", CIS)
@pytest.mark.parametrize("problem", PROBLEMS)
def test_a_variant_has_exactly_the_expected_files(rendered, problem: str, ci: str, sample_data: bool) -> None:
    folder = rendered(problem, ci, sample_data=sample_data)
    assert files(folder) == expected_files(folder.name, problem, ci, sample_data=sample_data)
    assert not [path for path in folder.rglob("*") if path.is_dir() and not any(path.iterdir())], "empty folders"


@pytest.mark.parametrize("sample_data", [True, False], ids=["sample", "empty"])
@pytest.mark.parametrize("problem", PROBLEMS)
def test_nothing_of_the_template_is_left_in_a_file(rendered, problem: str, sample_data: bool) -> None:
    folder = rendered(problem, sample_data=sample_data)
    for name in files(folder):
        text = (folder / name).read_text("utf-8")
        assert not [trace for trace in ("{{", "{%", "%}", "cookiecutter") if trace in text], name
        assert text.endswith("\n"), name
        assert not text.endswith("\n\n"), name
        assert "\n\n\n\n" not in text, name


def test_plain_cookiecutter_renders_the_same(rendered, tmp_path: Path) -> None:
    ours = rendered("classification", "gitlab")
    answers = [f"name={ours.name}", "problem=classification", "ci=gitlab", "sample_data=yes"]
    subprocess.run(
        [sys.executable, "-m", "cookiecutter", str(template()), "--no-input", "-o", str(tmp_path / "out"), *answers],
        env={**os.environ, "HOME": str(tmp_path)},
        check=True,
        capture_output=True,
    )
    theirs = tmp_path / "out" / ours.name
    assert files(theirs) == files(ours)
    assert all((theirs / name).read_bytes() == (ours / name).read_bytes() for name in files(ours))


def test_plain_cookiecutter_refuses_a_bad_name_before_it_writes(tmp_path: Path) -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "cookiecutter",
            str(template()),
            "--no-input",
            "-o",
            str(tmp_path / "out"),
            "name=Pumps!",
        ],
        env={**os.environ, "HOME": str(tmp_path)},
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode != 0
    assert "lower-case letters" in done.stdout + done.stderr
    assert not list((tmp_path / "out").glob("*"))


def test_rendering_needs_no_home_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "nowhere"))
    render("pumps", problem="regression", ci="none", sample_data=True, folder=tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pumps"]


@pytest.mark.parametrize(
    "name",
    ["Pumps", "1st", "my-pumps", "p", "x" * 49, "", "pumps!", "pümpe", "../pumps", "class", "statistics", "pandas"],
)
def test_a_bad_name_is_refused_and_nothing_is_written(name: str, tmp_path: Path, capsys) -> None:
    assert run(["new", "--output", str(tmp_path), "--", name]) == 2
    assert f"{name!r} cannot be the name of a use case" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("there", ["folder", "file", "dangling link"])
def test_what_exists_already_is_left_alone(there: str, tmp_path: Path, capsys) -> None:
    path = tmp_path / "pumps"
    if there == "folder":
        path.mkdir()
        (path / "precious.txt").write_text("mine")
    elif there == "file":
        path.write_text("mine")
    else:
        path.symlink_to(tmp_path / "gone")
    assert run(["new", "pumps", "--output", str(tmp_path)]) == 2
    assert "exists already" in capsys.readouterr().err
    assert [entry.name for entry in tmp_path.iterdir()] == ["pumps"]
    assert there != "folder" or [entry.name for entry in path.iterdir()] == ["precious.txt"]


def test_an_output_folder_that_cannot_be_written_is_named(tmp_path: Path, capsys) -> None:
    (tmp_path / "file").write_text("")
    assert run(["new", "pumps", "--output", str(tmp_path / "file" / "below")]) == 2
    assert str(tmp_path / "file") in capsys.readouterr().err


def test_a_use_case_may_be_rendered_again_where_its_package_is_importable(tmp_path: Path, monkeypatch) -> None:
    first = render("pumps", problem="anomaly", ci="none", sample_data=True, folder=tmp_path / "one")
    monkeypatch.syspath_prepend(str(first / "src"))
    assert render("pumps", problem="anomaly", ci="none", sample_data=True, folder=tmp_path / "two").exists()


@pytest.mark.parametrize("ci", [ci for ci in CIS if ci != "none"])
def test_ci_runs_the_steps_that_the_tests_here_run(rendered, ci: str) -> None:
    folder = rendered("regression", ci)
    pipeline = yaml.safe_load((folder / CI_FILES[ci][0]).read_text("utf-8"))
    if ci == "github":
        commands = [step["run"] for step in pipeline["jobs"]["check"]["steps"] if "run" in step]
    elif ci == "gitlab":
        commands = pipeline["check"]["script"]
    else:
        commands = [step["script"] for step in pipeline["steps"] if "script" in step]
    assert commands == STEPS


def test_ruff_finds_nothing_in_any_variant(rendered, tmp_path: Path) -> None:
    folders = [rendered(problem, sample_data=sample) for problem in PROBLEMS for sample in (True, False)]
    for name in ("ab", "x" * 48):  # lines must not grow too long, imports not change their order
        folders += [
            render(name, problem=problem, ci="none", sample_data=True, folder=tmp_path / problem)
            for problem in PROBLEMS
        ]
    for arguments in (["check", "--no-cache"], ["format", "--check", "--no-cache"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *arguments, *folders], check=False, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
