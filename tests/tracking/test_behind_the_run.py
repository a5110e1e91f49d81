"""Commands of a fleet whose MLflow is a server: nobody waits for it, and it gets everything once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from datadriver.project import Project
from datadriver.tracking import bulk_database, queries
from datadriver.tracking.backlog import backlog
from datadriver.tracking.mlflow_runs import Tracker

NAMES = [f"A-{number}" for number in range(6)]


@pytest.fixture
def behind(tiny: Any) -> Callable[[str], Any]:
    """Gives the use case another MLflow, and a name of its own there."""

    def make(address: str) -> Any:
        name = f"t{uuid.uuid4().hex[:10]}"
        (tiny.root / "fleet.csv").write_text("asset_id,country\n" + "".join(f"{one},NO\n" for one in NAMES))
        tiny.write(pd.concat([tiny.rows(one, rows=60) for one in NAMES]))
        tiny.edit("name: tiny", f"name: {name}")
        (tiny.root / "src" / "tiny").rename(tiny.root / "src" / name)
        text = tiny.read("usecase.yaml").replace("tiny.features", f"{name}.features")
        (tiny.root / "usecase.yaml").write_text(text.replace("tiny.models", f"{name}.models"))
        tiny.edit("tracking: {plots: false}", f"tracking: {{plots: false, uri: '{address}'}}")
        return tiny

    return make


def start(case: Any, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "datadriver", *arguments],
        cwd=case.root,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ,
    )


def check_once(project: Project, *, champions: bool = False) -> None:
    """Each instance has one finished run, one version of the same number, and the alias that it is to have."""
    tracker = Tracker.open(project.usecase, project.root, bulk=False)
    client = tracker.client
    runs = client.search_runs([tracker.experiment_id], max_results=1000)
    assert {run.info.status for run in runs} == {"FINISHED"}
    of_instances = sorted(run.info.run_name for run in runs if "mlflow.parentRunId" in run.data.tags)
    assert of_instances == [f"{name}/temperature" for name in NAMES]
    assert len(client.search_logged_models([tracker.experiment_id])) == len(NAMES)
    latest = queries.latest_versions(project.ledger).values()
    assert len(latest) == len(NAMES)
    for version in latest:
        name = f"{project.usecase.name}.{version.unit}.temperature"
        [there] = client.search_model_versions(f"name = '{name}'")
        assert (there.version, there.run_id) == (str(version.version), version.run_id)
        alias = "champion" if champions else "challenger"
        assert dict(client.get_registered_model(name).aliases) == {alias: "1"}


def test_a_server_that_is_down_costs_the_run_nothing(behind: Callable[[str], Any], own_server: Any) -> None:
    case = behind(own_server.address)
    told = case.run("run", "--workers", "1", "--json")
    assert told.returncode == 0, told.stderr
    said = json.loads(told.stdout)
    assert said["tracking"]["versions"] == len(NAMES)
    assert own_server.address in said["tracking"]["why"]
    assert len(said["promote"]["instances"]) == said["score"]["scored"] or said["score"]
    told = case.run("track", "--json")
    assert told.returncode == 5, told.stdout
    assert json.loads(told.stdout)["tracking"]["pending"] == said["tracking"]["pending"]
    told = case.run("status")
    assert f"{len(NAMES)} versions and" in told.stdout
    assert "datadriver track writes them" in told.stdout

    own_server.start()
    told = case.run("track", "--json")
    assert told.returncode == 0, told.stdout
    assert json.loads(told.stdout)["tracking"]["pending"] == 0
    assert "not there yet" not in case.run("status", "--mlflow").stdout
    project = Project.open(case.root)
    check_once_with_monitoring(project)


def check_once_with_monitoring(project: Project) -> None:
    """As `check_once`; the fleet's run has the figures of monitoring and the page of the report."""
    check_once(project, champions=True)
    tracker = project.tracker
    [run] = tracker.client.search_runs([tracker.experiment_id], "tags.`datadriver.kind` = 'monitoring'")
    assert run.data.metrics
    folders = [file.path for file in tracker.client.list_artifacts(run.info.run_id, "reports")]
    pages = [file.path for folder in folders for file in tracker.client.list_artifacts(run.info.run_id, folder)]
    assert any(page.endswith("fleet.html") for page in pages)
    assert project.drift() == ()


def test_a_server_that_dies_in_the_middle_is_written_to_again(behind: Callable[[str], Any], own_server: Any) -> None:
    case = behind(own_server.address)
    assert case.run("train", "--workers", "1", "--no-wait").returncode == 0
    project = Project.open(case.root)
    own_server.start()
    projector = start(case, "track")
    wait_until(projector, lambda: backlog(project.ledger).versions < len(NAMES))
    own_server.kill()
    own_server.start()
    said, _ = projector.communicate(timeout=120)
    if projector.returncode == 5:  # it took the server too long
        assert case.run("track").returncode == 0
    else:
        assert projector.returncode == 0, said
    check_once(project)


def test_a_projector_may_be_killed_at_any_moment(behind: Callable[[str], Any], mlflow_server: Any) -> None:
    case = behind(mlflow_server.address)
    assert case.run("train", "--workers", "1", "--no-wait").returncode == 0
    project = Project.open(case.root)
    for left, pause in ((6, 0.05), (4, 0.1), (2, 0.0)):
        projector = start(case, "track")
        # From the first mark of a try on it is at work on the next version.
        wait_until(projector, lambda left=left: backlog(project.ledger).versions <= left and tried(project))
        time.sleep(pause)
        projector.kill()
        projector.communicate()
    told = case.run("train", "--workers", "1")  # the next command of whatever kind goes on
    assert told.returncode == 0, told.stderr
    assert backlog(project.ledger).total == 0
    check_once(project)


def tried(project: Project) -> bool:
    with project.ledger.reading() as connection:
        found = connection.exec_driver_sql("SELECT count(*) FROM pending_versions WHERE tried_at IS NOT NULL")
        return bool(found.scalar())


def test_two_projectors_write_everything_once(behind: Callable[[str], Any], mlflow_server: Any) -> None:
    case = behind(mlflow_server.address)
    assert case.run("train", "--workers", "1", "--no-wait").returncode == 0
    both = [start(case, "track"), start(case, "track")]
    said = [one.communicate(timeout=120)[0] for one in both]
    assert [one.returncode for one in both] == [0, 0], said
    check_once(Project.open(case.root))


def test_ctrl_c_while_waiting_leaves_the_rest_and_keeps_the_exit_code(
    behind: Callable[[str], Any], own_server: Any
) -> None:
    case = behind(own_server.address)  # down, so that it waits
    process = start(case, "train", "--workers", "1")
    ledger = Project.open(case.root).ledger
    wait_until(process, lambda: backlog(ledger).versions == len(NAMES) and backlog(ledger).running == 0)
    wait_until(process, lambda: len(children(process.pid)) == 1)  # the workers are gone, the projector is at work
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=30)
    assert process.returncode == 0, said
    assert "6 trained" in said
    assert "6 versions and" in said


def test_training_again_waits_for_nothing_that_promote_needs(behind: Callable[[str], Any], mlflow_server: Any) -> None:
    case = behind(mlflow_server.address)
    assert case.run("train", "--workers", "1", "--no-wait").returncode == 0
    told = case.run("promote", "--no-wait")
    assert told.returncode == 0
    assert "release 1: 6 champions" in told.stdout
    assert "6 versions and" in told.stdout
    assert case.run("score", "--workers", "1").returncode == 0
    told = case.run("rollback", "--assets", "A-0")
    assert told.returncode == 2
    assert case.run("promote").returncode == 0  # nothing to promote; what is pending is written
    check_once(Project.open(case.root), champions=True)


def test_a_database_of_another_schema_is_written_behind_the_run(tiny: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk_database, "SCHEMA_REVISION", "another")
    project = Project.open(tiny.root)
    report = project.run(workers=1)
    assert report.failure is None
    assert report.lag is not None
    assert (report.lag.left.total, report.lag.error) == (0, None)
    client = project.tracker.client
    assert {int(model.aliases["champion"]) for model in client.search_registered_models()} == {1}
    assert len(client.search_registered_models()) == 3


def children(pid: int) -> list[str]:
    return [child for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()]


def wait_until(process: subprocess.Popen[str], condition: Callable[[], bool], seconds: float = 120) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.stdout and process.stdout.read()
        assert time.monotonic() < until, "waited too long"
        time.sleep(0.02)
