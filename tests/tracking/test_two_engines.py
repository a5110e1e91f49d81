"""Two engines at once on one fleet: each instance is trained once, in the ledger and in MLflow."""

from __future__ import annotations

import collections
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pandas as pd
import pytest

from datadriver.project import Project
from datadriver.tracking import leases, queries
from datadriver.tracking.records import Key

COUNT = 40
CONTAINER = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")
"""Runs a command as a container with its host's name does: with process ids of its own, the same few as in others."""
CRASH = """
import os, sys
from datadriver.project import Project
from datadriver.tracking import leases
project = Project.open(sys.argv[1])
batch = project.ledger.start_batch("train")
leases.take(project.ledger, [item.key for item in project.plan()][:5], batch.id, seconds=4)
os._exit(137)
"""


@pytest.fixture
def fleet(tiny: Any, ledger_uri: str) -> Any:
    """Forty assets, and a ledger of either kind."""
    names = [f"A-{number}" for number in range(COUNT)]
    (tiny.root / "fleet.csv").write_text("asset_id,country\n" + "".join(f"{name},NO\n" for name in names))
    tiny.write(pd.concat([tiny.rows(name, rows=60) for name in names]))
    tiny.edit("name: tiny", f"name: tiny\nledger: {{uri: '{ledger_uri}'}}")
    return tiny


@pytest.fixture
def opened(fleet: Any, ledger_uri: str) -> Iterator[Callable[[], Project]]:
    """Opens the use case, again and again."""
    projects: list[Project] = []

    def open_() -> Project:
        projects.append(Project.open(fleet.root))
        return projects[-1]

    yield open_
    if ledger_uri.startswith("postgresql"):
        with open_().ledger.writing() as connection:
            connection.exec_driver_sql("DROP SCHEMA tiny CASCADE")
    for project in projects:
        project.ledger.close()


def start(case: Any, *, within: tuple[str, ...] = ()) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*within, sys.executable, "-m", "datadriver", "train", "--workers", "1"],
        cwd=case.root,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ,
    )


def slow_down(case: Any) -> None:
    """Let a unit take a while."""
    case.edit(
        "def load(frame: pd.DataFrame) -> pd.DataFrame:\n",
        "def load(frame: pd.DataFrame) -> pd.DataFrame:\n    time.sleep(0.15)\n",
        "src/tiny/features.py",
    )
    case.edit("import pandas as pd\n", "import time\nimport pandas as pd\n", "src/tiny/features.py")


def check_once(project: Project, *, versions: int = 1) -> None:
    """Every instance has just so many versions in the ledger, and in MLflow the same ones and no other run."""
    for instance in project.instances:
        key = Key(instance.unit.key, instance.model)
        assert [one.version for one in queries.versions(project.ledger, key)] == list(range(1, versions + 1))
    client = project.tracker.client
    runs = client.search_runs([project.tracker.experiment_id], max_results=1000)
    of_instances = [run for run in runs if "mlflow.parentRunId" in run.data.tags]
    assert len(of_instances) == COUNT * versions
    assert {run.info.status for run in of_instances} == {"FINISHED"}
    assert len(client.search_model_versions(max_results=1000)) == COUNT * versions


def test_two_engines_train_each_instance_once(fleet: Any, opened: Callable[[], Project]) -> None:
    check_engines([start(fleet), start(fleet)], opened())


@pytest.mark.skipif(os.getuid() != 0, reason="process ids of its own for a container need root")
def test_a_container_does_not_take_another_one_for_dead(fleet: Any, opened: Callable[[], Project]) -> None:
    slow_down(fleet)
    first = start(fleet, within=CONTAINER)
    ledger = opened().ledger
    _wait_for(first, lambda: len(queries.last_outcomes(ledger)) >= 2)
    check_engines([first, start(fleet, within=CONTAINER)], opened())


def check_engines(engines: list[subprocess.Popen[str]], project: Project) -> None:
    """Wait for engines, which have trained each instance once between them."""
    said = [engine.communicate(timeout=240)[0] for engine in engines]
    assert [engine.returncode for engine in engines] == [0, 0], said
    outcomes = [one for batch in queries.batches(project.ledger) for one in queries.outcomes(project.ledger, batch.id)]
    assert collections.Counter(one.unit for one in outcomes) == dict.fromkeys(
        (instance.unit.key for instance in project.instances), 1
    )
    assert {one.state for one in outcomes} == {"trained"}
    check_once(project)
    assert not leases.holders(project.ledger, [one.key for one in outcomes])


def test_an_engine_leaves_what_another_holds_and_says_so(fleet: Any, opened: Callable[[], Project]) -> None:
    project = opened()
    other = project.ledger.start_batch("train")
    keys = [item.key for item in project.plan()]
    leases.take(project.ledger, keys[:5], other.id)
    report = project.train(workers=1)
    assert len(report.outcomes) == COUNT - 5
    assert report.left == {str(key): f"batch {other.id} is at work on it" for key in keys[:5]}
    told = fleet.run("train", "--workers", "1")
    assert told.returncode == 0, told.stderr
    assert "5 instances left to another run: A-0/temperature: batch" in told.stdout
    project.ledger.finish_batch(other.id, "killed")
    assert len(project.train(workers=1).outcomes) == 5
    check_once(project)


def test_what_another_engine_has_done_since_the_plan_is_not_done_again(opened: Callable[[], Project]) -> None:
    from datadriver.fleet.train import Training  # noqa: PLC0415 - what a second engine is inside

    project = opened()
    stale = project.plan()
    assert len(project.train(workers=1).outcomes) == COUNT
    with project._workers(1) as crew:
        report = Training(project.usecase, project.root, project.ledger, project.tracker, crew).run(stale)
    assert report.outcomes == ()
    assert len(report.left) == COUNT
    assert "has just done it (trained)" in next(iter(report.left.values()))
    check_once(project)


def test_a_killed_engine_leaves_its_part_to_the_one_at_work(fleet: Any, opened: Callable[[], Project]) -> None:
    slow_down(fleet)
    first = start(fleet)
    ledger = opened().ledger
    _wait_for(first, lambda: len(queries.last_outcomes(ledger)) >= 2)
    second = start(fleet)
    _wait_for(second, lambda: len(queries.batches(ledger)) == 2)
    first.send_signal(signal.SIGKILL)
    first.communicate()
    said, _ = second.communicate(timeout=240)
    assert second.returncode == 0, said
    project = opened()
    assert len(queries.last_outcomes(project.ledger)) == COUNT
    project.train(workers=1)  # clears what the killed one had left in MLflow
    check_once(project)


@pytest.mark.skipif(os.getuid() != 0, reason="process ids of its own for a container need root")
def test_what_a_container_held_that_died_is_waited_for(fleet: Any, opened: Callable[[], Project]) -> None:
    died = subprocess.run([*CONTAINER, sys.executable, "-c", CRASH, str(fleet.root)], check=False, timeout=120)
    assert died.returncode == 137
    report = opened().train(workers=1)
    assert (len(report.outcomes), report.left) == (COUNT, {})


def _wait_for(process: subprocess.Popen[str], condition: Any, seconds: float = 120) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.stdout and process.stdout.read()
        assert time.monotonic() < until, "waited too long"
        time.sleep(0.05)
