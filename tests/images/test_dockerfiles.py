"""The examples build their base images as a new use case does, and a build sees no more than it must."""

from __future__ import annotations

from pathlib import Path

import pytest

from datadriver.cli.new import render
from datadriver.images.context import context_files
from datadriver.images.health import healthy, served_port

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.parametrize("file", ["Dockerfile", ".dockerignore"])
@pytest.mark.parametrize("name", ["pumps", "wells", "wind"])
def test_an_example_has_the_files_of_the_template(name: str, file: str, tmp_path: Path) -> None:
    root = render(name, problem="regression", ci="none", sample_data=True, folder=tmp_path)
    assert (EXAMPLES / name / file).read_text("utf-8") == (root / file).read_text("utf-8")


def test_a_build_sees_neither_data_nor_records_nor_credentials(tmp_path: Path) -> None:
    root = render("pumps", problem="classification", ci="github", sample_data=True, folder=tmp_path)
    for name in ("pip.conf", ".env", "data/P-101.parquet", ".datadriver/ledger.db", "src/pumps/__pycache__/x.pyc"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("")
    (root / "wheels").mkdir()
    (root / "wheels" / "own-1.0-py3-none-any.whl").write_text("")
    source = {f"src/pumps/{name}.py" for name in ("__init__", "features", "models", "sample")}
    assert set(context_files(root, "Dockerfile")) == source | {
        ".dockerignore",
        "Dockerfile",
        "contracts/sensors.json",
        "pyproject.toml",
        "usecase.yaml",
        "wheels/own-1.0-py3-none-any.whl",
    }


def test_an_ignore_file_of_the_dockerfile_comes_first(tmp_path: Path) -> None:
    for name in ("a.txt", "b.txt", "Dockerfile", "Dockerfile.dockerignore"):
        (tmp_path / name).write_text("# what is left out\nb.txt\n" if name.endswith("ignore") else "")
    (tmp_path / ".dockerignore").write_text("a.txt\n")
    assert {"a.txt", "b.txt"} & set(context_files(tmp_path, "Dockerfile")) == {"a.txt"}


@pytest.mark.parametrize(
    ("command", "port"),
    [
        ("/opt/venv/bin/python /opt/venv/bin/datadriver-model serve --host 0.0.0.0 --port 9001", 9001),
        ("datadriver-model serve --port=9002 --workers 2", 9002),
        ("/sbin/docker-init -- datadriver-model serve", 8080),
        ("datadriver-model serve --port 0", None),
        ("datadriver-model score --out /out", None),
    ],
)
def test_health_knows_the_port_from_the_command(command: str, port: int | None) -> None:
    assert served_port(command.split()) == port


def test_a_server_that_is_not_there_is_not_healthy() -> None:
    assert not healthy(9)
