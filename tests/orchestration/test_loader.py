"""Files of a plan, loaded as Airflow does: all DAGs for the DAG processor, one for a task."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import DAG, AssetOrTimeSchedule
from airflow.sdk.definitions.timetables.assets import AssetTriggeredTimetable
from airflow.serialization.serialized_objects import DagSerialization
from hypothesis import given
from hypothesis import strategies as st

from datadriver.orchestration.airflow.loader import load, read
from datadriver.orchestration.airflow.timetables import OffsetCronTimetable
from datadriver.orchestration.plan import DagPlan, Header, Limits, TaskPlan, Trigger

LOADER = """
from datadriver.orchestration.airflow.loader import load

globals().update(load(__file__))  # one dag for airflow per line of the plan
"""
VALIDATE = TaskPlan("validate", command=("validate", "--assets", "P-1"), span="until")
TRAIN = TaskPlan("train", command=("train", "--units", "P-1"), span="until", after=("validate",))
SCORE = TaskPlan("score", command=("score", "--assets", "P-1"), span="interval")
DAGS = (
    DagPlan(
        "pumps__P-1__score",
        "score",
        "P-1",
        Trigger(cron="@hourly", timezone="Europe/Paris", offset=420),
        [SCORE],
        tags=("NO", "pumps"),
        doc="# P-1",
        limits=Limits(retries=5, wait=30, longest_wait=600, timeout=3600, priority=7),
        owner="plant",
        paused=True,
    ),
    DagPlan(
        "pumps__P-1__train",
        "train",
        "P-1",
        Trigger(cron="0 3 * * 0", assets=["pumps/retrain/P-1"]),
        [VALIDATE, TRAIN],
        catchup=True,
        start="2026-01-01",
    ),
    DagPlan("pumps__P-10__train", "train", "P-10", Trigger(assets=["pumps/retrain/P-10"]), [VALIDATE]),
    DagPlan("pumps__base", "base", "pumps", Trigger(), [TaskPlan("base", command=("package", "--base"))]),
)
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a file of a plan and its loader, as `datadriver dags build` does."""

    def make(*dags: DagPlan, name: str = "pumps_00", folder: str = "pumps/dags/plan", **header: Any) -> Path:
        place = tmp_path / folder
        place.mkdir(parents=True, exist_ok=True)
        lines = [Header("pumps", "../..", **header).to_line(), *sorted(one.to_line() for one in dags)]
        (place / f"{name}.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
        (place / f"{name}.py").write_text(LOADER, "utf-8")
        return place / f"{name}.py"

    return make


def bag(file: Path) -> DagBag:
    return DagBag(dag_folder=file, bundle_path=file.parent, bundle_name="pumps")


@pytest.fixture
def loaded(write: Write) -> dict[str, DAG]:
    found = bag(write(*DAGS))
    assert not found.import_errors
    return found.dags


def test_airflow_finds_every_dag_of_the_plan(loaded: dict[str, DAG]) -> None:
    assert set(loaded) == {one.dag_id for one in DAGS}
    assert {one.relative_fileloc for one in loaded.values()} == {"pumps_00.py"}


def test_a_dag_is_as_its_plan_says(loaded: dict[str, DAG], write: Write) -> None:
    score, train = loaded["pumps__P-1__score"], loaded["pumps__P-1__train"]
    assert (score.catchup, train.catchup) == (False, True)
    assert (score.is_paused_upon_creation, train.is_paused_upon_creation) == (True, False)
    assert score.start_date is not None
    assert score.start_date.isoformat() == "1999-12-31T23:00:00+00:00", "midnight in Paris"
    assert score.tags == {"NO", "pumps"}
    assert (score.doc_md, score.max_active_runs) == ("# P-1", 1)
    task = score.get_task("score")
    assert (task.owner, task.retries, task.priority_weight, task.pool) == ("plant", 5, 7, "default_pool")
    assert (task.retry_delay, task.max_retry_delay) == (timedelta(seconds=30), timedelta(minutes=10))
    assert (task.retry_exponential_backoff, task.execution_timeout) == (2, timedelta(hours=1))
    assert [one.__name__ for one in task.on_failure_callback] == ["record_failure"]
    assert train.get_task("train").upstream_task_ids == {"validate"}
    assert task.header.folder == str(write(*DAGS).parents[2]), "where the use case lies"


def test_what_starts_a_dag_is_as_its_plan_says(loaded: dict[str, DAG]) -> None:
    score, train = loaded["pumps__P-1__score"].timetable, loaded["pumps__P-1__train"].timetable
    assert score == OffsetCronTimetable("@hourly", "Europe/Paris", offset=420, dag_id="pumps__P-1__score")
    assert isinstance(train, AssetOrTimeSchedule)
    assert [one.name for one in train.asset_condition.objects] == ["pumps/retrain/P-1"]  # type: ignore[attr-defined]
    assert type(loaded["pumps__P-10__train"].timetable) is AssetTriggeredTimetable
    assert loaded["pumps__base"].timetable.can_be_scheduled is False


def test_tasks_may_have_a_pool_and_may_run_whatever_failed_before(write: Write) -> None:
    after = TaskPlan("report", command=("report",), after=("monitor",), always=True)
    first = TaskPlan("monitor", command=("monitor",), span="until")
    plan = DagPlan("pumps__monitor", "monitor", "pumps", Trigger(), [first, after], limits=Limits(pool="pumps"))
    dag = load(str(write(plan)))["pumps__monitor"]
    assert [task.pool for task in dag.tasks] == ["pumps", "pumps"]
    assert [task.trigger_rule.value for task in dag.tasks] == ["all_success", "all_done"]


def test_a_task_builds_its_own_dag_only_and_does_not_read_the_lines_of_others(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(*DAGS)
    whole = {name: DagSerialization.to_dict(dag) for name, dag in load(str(file)).items()}
    plan = file.with_suffix(".jsonl")
    header, *lines = plan.read_text("utf-8").splitlines()
    lines = [header, *sorted([*lines, '{"dag_id":"pumps__P-2__score","trigger":broken'])]
    plan.write_text("\n".join(lines), "utf-8")
    for one in DAGS:
        monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_DAG_ID", one.dag_id)
        assert {name: DagSerialization.to_dict(dag) for name, dag in load(str(file)).items()} == {
            one.dag_id: whole[one.dag_id]
        }


@given(names=st.sets(st.text("AZaz09-._", min_size=1, max_size=9), max_size=20), other=st.text("Aa0-._", min_size=1))
def test_each_dag_of_a_plan_is_found_and_no_other(
    names: set[str], other: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    plan = tmp_path_factory.mktemp("plans") / "pumps.jsonl"
    lines = [Header("pumps", "/").to_line()]
    lines += [DagPlan(name, "base", name, Trigger(), []).to_line() for name in sorted(names)]
    for end in ("", "\n"):
        plan.write_text("\n".join(lines) + end, "utf-8")
        for name in names | {other}:
            assert [one.dag_id for one in read(plan, only=name)[1]] == [name] * (name in names)


def test_a_dag_that_is_in_no_plan_any_more_is_not_there(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write(*DAGS)
    for name in ("pumps__P-1", "pumps__P-1__scor", "P-1__score", "nothing"):
        monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_DAG_ID", name)
        assert load(str(file)) == {}


def test_the_loader_of_the_use_case_itself_has_no_plan_and_gives_no_dags(tmp_path: Path) -> None:
    (tmp_path / "usecase.yaml").touch()
    (tmp_path / "dags").mkdir()
    assert load(str(tmp_path / "dags" / "pumps.py")) == {}


def test_a_missing_plan_is_an_import_error_that_says_what_to_do(write: Write) -> None:
    file = write(*DAGS)
    file.with_suffix(".jsonl").unlink()
    (message,) = bag(file).import_errors.values()
    assert f"{file.with_suffix('.jsonl')} is missing" in message
    assert "run `datadriver dags build` in the use case" in message


@pytest.mark.parametrize(
    ("line", "new", "reason"),
    [
        (0, "", "the line '' cannot be read"),
        (0, '{"format":2}', "is a plan of format 2, and this is datadriver's format 1"),
        (0, "[]", "the line '[]' cannot be read"),
        (2, '{"dag_id":"pumps__P-1__train","trig', 'the line \'{"dag_id":"pumps__P-1__train","trig\' cannot be read'),
        (2, '{"dag_id":"pumps__P-1__train"}', "cannot be read: 'trigger'"),
        (2, '{"dag_id":"x","kind":"score","subject":"x","trigger":{},"tasks":[],"new":1}', "'new'"),
    ],
)
def test_a_damaged_plan_is_an_import_error_that_says_what_to_do(write: Write, line: int, new: str, reason: str) -> None:
    file = write(*DAGS)
    plan = file.with_suffix(".jsonl")
    lines = plan.read_text("utf-8").splitlines()
    lines[line] = new
    plan.write_text("\n".join(lines), "utf-8")
    found = bag(file)
    assert not found.dags
    (message,) = found.import_errors.values()
    assert reason in message
    assert f"{plan}: the line" in message
    assert "Run `datadriver dags build` with the version of datadriver that Airflow has" in message


def test_an_empty_plan_is_an_import_error(write: Write) -> None:
    file = write()
    file.with_suffix(".jsonl").write_bytes(b"")
    (message,) = bag(file).import_errors.values()
    assert "cannot be read" in message


def test_a_team_is_a_role_where_the_auth_manager_has_roles_of_dags(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    team, nobody = replace(DAGS[0], team="norway"), replace(DAGS[2])
    file = write(team, nobody)
    assert load(str(file))[team.dag_id].access_control is None, "the simple auth manager has none"
    monkeypatch.setenv(
        "AIRFLOW__CORE__AUTH_MANAGER", "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager"
    )
    with pytest.warns(match="airflow.security.permissions"):
        dags = load(str(file))
    assert dags[nobody.dag_id].access_control is None
    access = dags[team.dag_id].access_control
    assert access == {"norway": {"DAGs": {"can_read", "can_edit"}, "DAG Runs": {"can_create"}}}


SYNCED = """
import json, os, sys
from airflow import settings
from airflow.dag_processing.bundles.manager import DagBundlesManager
from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db
from airflow.models import import_all_models
from airflow.models.base import Base
from airflow.models.dag_version import DagVersion
from airflow.models.serialized_dag import SerializedDagModel
from airflow.sdk import timezone
from airflow.utils.db import synchronize_log_template
from airflow.utils.session import create_session
from airflow.utils.types import DagRunTriggeredByType, DagRunType
from sqlalchemy import func, select

import_all_models()
Base.metadata.create_all(settings.engine)
synchronize_log_template()
DagBundlesManager().sync_bundles_to_db()
latest = select(DagVersion.dag_id, func.max(DagVersion.version_number)).group_by(DagVersion.dag_id)
for number, folder in enumerate(sys.argv[1:]):
    bag = DagBag(dag_folder=folder, bundle_path=folder, bundle_name="plan")
    assert not bag.import_errors, bag.import_errors
    sync_bag_to_db(bag, "plan", None)
    with create_session() as session:
        for name in bag.dags:  # only a version that has run is followed by another one
            SerializedDagModel.get_dag(name, session=session).create_dagrun(
                run_id=f"{os.getpid()}-{number}", run_type=DagRunType.MANUAL, run_after=timezone.utcnow(),
                logical_date=None, triggered_by=DagRunTriggeredByType.TEST, state="success", session=session,
            )
        print(json.dumps(dict(tuple(row) for row in session.execute(latest))))
"""


def test_a_plan_that_is_written_again_makes_no_new_version_of_a_dag_and_a_changed_one_of_one(
    write: Write, tmp_path: Path
) -> None:
    def versions(seed: str, *folders: Path) -> list[dict[str, int]]:
        """Read the folders one after the other in a process of their own, and return the versions after each."""
        bundle = {"name": "plan", "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle"}
        environment = {
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{tmp_path}/airflow.db",
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__MIN_SERIALIZED_DAG_UPDATE_INTERVAL": "0",
            "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps([{**bundle, "kwargs": {}}]),
            "PYTHONHASHSEED": seed,
        }
        done = subprocess.run(
            [sys.executable, "-c", SYNCED, *map(str, folders)],
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]

    first = {one.dag_id: 1 for one in DAGS}
    other = replace(DAGS[0], trigger=replace(DAGS[0].trigger, offset=421))
    plan, again = write(*DAGS).parent, write(*DAGS, folder="again").parent
    changed = write(other, *DAGS[1:], folder="changed").parent
    assert versions("1", plan) == [first]
    assert versions("2", again, changed) == [first, {**first, other.dag_id: 2}]


IMPORTED = """
import json, sys
from datadriver.orchestration.airflow.loader import load

dags = load(sys.argv[1])
heavy = ("docker", "kubernetes", "pandas", "mlflow")
print(json.dumps([len(dags), [name for name in heavy if name in sys.modules]]))
"""


def test_a_plan_of_processes_imports_neither_docker_nor_kubernetes_nor_pandas(write: Write) -> None:
    done = subprocess.run(
        [sys.executable, "-c", IMPORTED, str(write(*DAGS))],
        env={**os.environ, "AIRFLOW__CORE__LOAD_EXAMPLES": "False"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == [len(DAGS), []]


def test_a_plan_of_containers_gives_container_tasks_but_for_what_is_for_the_worker(write: Write) -> None:
    score = replace(SCORE, image="model", command=("score", "--publish"))
    base = TaskPlan("base", command=("package", "--base"), on_worker=True)
    dags = [
        DagPlan("pumps__P-1__score", "score", "P-1", Trigger(cron="@daily"), [score], assets=["P-1"]),
        DagPlan("pumps__base", "base", "pumps", Trigger(), [base]),
    ]
    found = bag(write(*dags, runtime="docker", settings={"engine": "unix:///nowhere.sock"}))
    assert not found.import_errors
    types = {dag.dag_id: [type(task).__name__ for task in dag.tasks] for dag in found.dags.values()}
    assert types == {"pumps__P-1__score": ["FleetDockerOperator"], "pumps__base": ["ProcessOperator"]}


def test_a_release_is_made_of_gate_approval_and_promotion(write: Write) -> None:
    tasks = [
        TaskPlan("gate", kind="gate", command=("diff", "--json")),
        TaskPlan("approve", kind="approve", after=("gate",)),
        TaskPlan("promote", kind="promote", command=("promote",), after=("approve",)),
    ]
    requests = DagPlan(
        "pumps__monitor", "monitor", "pumps", Trigger(), [TaskPlan("requests", kind="requests", command=("requests",))]
    )
    release = DagPlan("pumps__release", "release", "pumps", Trigger(cron="@daily"), tasks)
    found = bag(write(release, requests))
    assert not found.import_errors
    assert [type(task).__name__ for task in found.dags["pumps__release"].topological_sort()] == [
        "GateTask",
        "ApproveOperator",
        "PromoteTask",
    ]
    assert [type(task).__name__ for task in found.dags["pumps__monitor"].tasks] == ["RequestsTask"]
