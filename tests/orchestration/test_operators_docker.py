"""Tasks as containers in a real engine: what they publish, what they may, and that they survive the task."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow.parquet as pq
import pytest

from datadriver.orchestration.plan import DagPlan, Header, Limits, TaskPlan, Trigger

pytestmark = [pytest.mark.docker, pytest.mark.xdist_group("images"), pytest.mark.timeout(1200)]


def _module(name: str, file: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


_images = _module("images_of_operators", Path(__file__).parents[1] / "images" / "conftest.py")
engine, parent, case = _images.engine, _images.parent, _images.case

INSTANT = "2025-03-02T00:30:00Z"
WINDOW = ("--start", "2025-03-01T00:00:00+00:00", "--end", "2025-03-02T00:00:00+00:00")
MOUNTS = ("./.datadriver:/usecase/.datadriver", "./fleet.csv:/usecase/fleet.csv:ro")
SETTINGS = {"mounts": MOUNTS, "user": f"{os.getuid()}:{os.getgid()}"}
ONCE = Limits(retries=0, cpus=1.5, memory=1 << 30)


@dataclass(frozen=True)
class Fleet:
    """A use case with two champions, of which one has an image."""

    root: Path

    def command(self, *arguments: str, code: int = 0) -> str:
        line = [sys.executable, "-m", "datadriver", *arguments]
        done = subprocess.run(line, cwd=self.root, capture_output=True, text=True, timeout=1000, check=False)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout

    def copy(self, folder: Path) -> Fleet:
        return Fleet(Path(shutil.copytree(self.root, folder / "imaged")))

    def header(self, **settings: Any) -> Header:
        return Header("imaged", str(self.root), runtime="docker", settings={**SETTINGS, **settings})

    def recorded(self) -> list[tuple[Any, ...]]:
        """Return what the ledger says of scores and of the verdicts behind them, but for times and batches."""
        with closing(sqlite3.connect(self.root / ".datadriver" / "ledger.db")) as ledger:
            names = "unit, model, asset, window_start, window_end, last_instant, version, rows, alarms, verdict, path"
            scores = ledger.execute(f"SELECT {names} FROM scores").fetchall()
            return [*scores, *ledger.execute("SELECT asset, stage, action, rows FROM verdicts WHERE stage = 'score'")]

    def files(self) -> dict[str, Any]:
        """Return the scores by file, but for the time of writing."""
        return {
            str(path.relative_to(self.root)): pq.read_table(path).drop_columns("written_at").to_pylist()
            for path in sorted((self.root / ".datadriver").rglob("scores-*.parquet"))
        }


@pytest.fixture(scope="module")
def fleet(case: Any, tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    fleet = Fleet(Path(shutil.copytree(case.root, tmp_path_factory.mktemp("operators") / "imaged")))
    fleet.command("train", "--assets", "P-101,P-102")
    fleet.command("promote")
    fleet.command("package", "--assets", "P-101")
    return fleet


@pytest.fixture(autouse=True)
def _swept() -> Iterator[None]:
    yield
    for name in containers("imaged"):
        docker("rm", "--force", name)


def docker(*arguments: str) -> str:
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, timeout=120, check=True).stdout


def containers(usecase: str) -> list[str]:
    label = f"label=io.datadriver.usecase={usecase}"
    return docker("ps", "--all", "--filter", label, "--format", "{{.Names}}").split()


def dag(name: str, *tasks: TaskPlan, limits: Limits = ONCE, asset: str = "P-101") -> DagPlan:
    return DagPlan(f"imaged__{name}", "score", asset, Trigger("@daily"), tasks, assets=[asset], limits=limits)


def scoring(asset: str = "P-101", **changes: Any) -> TaskPlan:
    command = ("score", "--publish", "--assets", asset)
    known = {"span": "interval", "image": "model", "model": "temperature", "network": False, **changes}
    return TaskPlan(f"score_{asset}", command=command, **known)


def test_a_champions_image_publishes_what_datadriver_score_records_and_once(fleet, new_runs, tmp_path):
    runs, mine, other = new_runs(), fleet.copy(tmp_path / "a"), fleet.copy(tmp_path / "b")
    runs.plan(mine.header(), dag("P-101", scoring()), dag("P-102", scoring("P-102"), asset="P-102"))
    first = runs.run(INSTANT)
    assert first.task("score_P-101") == ("success", 1, None)
    assert first.task("score_P-102") == ("failed", 1, "unavailable")
    assert "unavailable: there is no image of the champion P-102/temperature v1 yet: `datadriver package`" in first.log

    other.command("score", "--assets", "P-101", *WINDOW)
    assert mine.recorded() == other.recorded()
    assert mine.files() == other.files()
    assert mine.files()

    before = {path: path.stat().st_mtime_ns for path in (mine.root / ".datadriver").rglob("scores-*.parquet")}
    assert runs.run(INSTANT).task("score_P-101") == ("success", 1, None)
    assert mine.recorded()[:1] == other.recorded()[:1]
    assert len([one for one in mine.recorded() if "temperature" in one]) == 1
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert containers("imaged") == []


@dataclass
class Serving:
    """A task whose container would run for ever."""

    runs: Any
    process: subprocess.Popen[str]
    container: str

    def again(self) -> Any:
        return self.runs.start(INSTANT)


@pytest.fixture
def serving(fleet: Fleet, new_runs: Callable[..., Any], dag_runs: ModuleType) -> Iterator[Serving]:
    runs = new_runs()
    command = ("serve", "--port", "8080")
    task = TaskPlan("serve", command=command, image="model", model="temperature", network=False)
    runs.plan(fleet.header(), dag("serve", task))
    with runs.start(INSTANT) as process:
        try:
            dag_runs.heard(process, "serving http")
            yield Serving(runs, process, *containers("imaged"))
        finally:
            process.kill()


def inspected(name: str) -> dict[str, Any]:
    return json.loads(docker("inspect", name))[0]


def test_a_retry_attaches_to_the_container_of_a_task_that_was_killed(serving, dag_runs):
    os.kill(serving.process.pid, signal.SIGKILL)
    serving.process.communicate()
    before = inspected(serving.container)
    assert before["State"]["Running"]
    host = before["HostConfig"]
    assert (host["ReadonlyRootfs"], host["NetworkMode"], host["CapDrop"]) == (True, "none", ["ALL"])
    assert (host["NanoCpus"], host["Memory"], host["Tmpfs"]) == (1_500_000_000, 1 << 30, {"/tmp": ""})

    with serving.again() as process:
        dag_runs.heard(process, "is at work: attaching to it")
        dag_runs.heard(process, "serving http")
        assert containers("imaged") == [serving.container]
        assert inspected(serving.container)["Id"] == before["Id"]
        docker("stop", serving.container)
        said, _ = process.communicate(timeout=60)
    assert json.loads(said.rstrip().splitlines()[-1])["imaged__serve"]["serve"]["state"] == "success"
    assert containers("imaged") == []


def test_the_result_of_a_container_that_ended_meanwhile_is_taken(serving, dag_runs):
    os.kill(serving.process.pid, signal.SIGKILL)
    serving.process.communicate()
    docker("stop", serving.container)
    assert inspected(serving.container)["State"]["ExitCode"] == 0
    with serving.again() as process:
        dag_runs.heard(process, "has ended: taking its result")
        said, _ = process.communicate(timeout=60)
    assert json.loads(said.rstrip().splitlines()[-1])["imaged__serve"]["serve"]["state"] == "success"
    assert containers("imaged") == []


def test_a_container_that_is_killed_is_tried_again(serving):
    docker("kill", serving.container)
    said, _ = serving.process.communicate(timeout=60)
    assert "AirflowException: killed: the command was ended from outside (exit code 137)" in said
    assert json.loads(said.rstrip().splitlines()[-1])["imaged__serve"]["serve"]["outcome"] == "killed"
    assert containers("imaged") == []


def test_a_task_that_is_stopped_stops_its_container_and_removes_it(serving):
    serving.process.terminate()
    serving.process.communicate(timeout=60)
    for _ in range(50):
        if not containers("imaged"):
            break
        time.sleep(0.1)
    assert containers("imaged") == []


def test_an_engine_that_is_not_there_and_an_image_that_cannot_be_pulled_may_pass(fleet, new_runs, tmp_path):
    runs = new_runs()
    runs.plan(fleet.header(engine=f"unix://{tmp_path}/gone.sock"), dag("gone", TaskPlan("one", command=("status",))))
    ran = runs.run(INSTANT)
    assert f"AirflowException: unavailable: no Docker engine answers at unix://{tmp_path}/gone.sock" in ran.log
    mine = fleet.copy(tmp_path)
    with (mine.root / "pyproject.toml").open("a") as file:  # another content, another base image
        file.write("# changed\n")
    runs.plan(mine.header(), dag("missing", TaskPlan("two", command=("status",))))
    assert "is not in the Docker engine, and cannot be pulled" in runs.run(INSTANT).log


def test_what_the_engine_refuses_is_not_tried_again(fleet, new_runs):
    runs = new_runs()
    header = fleet.header(mounts=("./nowhere:/usecase/nowhere",))
    runs.plan(header, dag("refused", TaskPlan("one", command=("status",)), limits=Limits(retries=1, wait=0)))
    ran = runs.run(INSTANT)
    assert ran.task("one") == ("failed", 1, "failed")
    assert "bind source path does not exist" in ran.log
