"""What `dags doctor` says of Airflow's settings: rules over facts, and a real Airflow with a real PostgreSQL."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from datadriver.errors import UnavailableError
from datadriver.orchestration.advice import Finding, Needs, advise
from datadriver.orchestration.airflow.settings import Database, Facts, Request, ask
from datadriver.orchestration.doctor import Diagnosis, examine, needs_of
from datadriver.orchestration.plan import DagPlan, Header, Limits, TaskPlan, Trigger
from datadriver.project import Project

if TYPE_CHECKING:
    from conftest import TinyCase

GOOD = {
    "core.executor": "LocalExecutor",
    "core.load_examples": "False",
    "core.multi_team": "False",
    "core.parallelism": "4",
    "dag_processor.dag_file_processor_timeout": "50",
    "dag_processor.min_file_process_interval": "600",
    "scheduler.task_instance_heartbeat_timeout": "300",
    "usage_data_collection.enabled": None,
    "workers.execution_api_retries": "30",
    "workers.execution_api_retry_wait_max": "5",
    "workers.execution_api_retry_wait_min": "1",
    "workers.max_failed_heartbeats": "30",
    "workers.min_heartbeat_interval": "5",
}
WELL = Facts(
    versions={"apache-airflow": "3.3.2", "apache-airflow-providers-docker": "4.6.1"},
    options=dict(GOOD),
    jwt_secret=True,
    bundles={"dags-folder": "/dags"},
    plugins=("datadriver",),
    plugin_errors={},
    database=Database("postgresql+psycopg://airflow:***@db/airflow", "postgresql", 10.0, ("default_pool", "gpu")),
)


def plan(asset: str, **fields: object) -> DagPlan:
    task = TaskPlan("train", command=("train", "--units", asset), span="until")
    return DagPlan(f"tiny__{asset}__train", "train", asset, Trigger("@daily"), [task], assets=[asset], **fields)  # type: ignore[arg-type]


def text(*plans: DagPlan, header: Header | None = None) -> str:
    lines = [(header or Header("tiny", "../..")).to_line(), *(one.to_line() for one in plans)]
    return "".join(f"{line}\n" for line in lines)


def said(facts: Facts, needs: Needs | None = None) -> dict[str, Finding]:
    return {one.what: one for one in advise(facts, needs or Needs(dags=20, largest_file=20)) if one.state != "right"}


def test_good_settings_get_no_advice() -> None:
    assert said(WELL, Needs(["docker"], ["gpu"], ["registry"], ["token"], dags=2000, largest_file=250)) == {}


@pytest.mark.parametrize(
    ("option", "value", "advice"),
    [
        ("core.executor", "my.company.FastExecutor", "LocalExecutor, CeleryExecutor, KubernetesExecutor"),
        ("core.load_examples", "True", "core.load_examples=False"),
        ("core.parallelism", "3200", "heartbeats come late"),
        ("scheduler.task_instance_heartbeat_timeout", "100", "more than 150 s"),
        ("usage_data_collection.enabled", "True", "enabled=False"),
        ("workers.execution_api_retries", "5", "fails every task that runs"),
        ("workers.max_failed_heartbeats", "3", "workers.max_failed_heartbeats=30"),
    ],
)
def test_a_risk_is_named_with_what_to_set(option: str, value: str, advice: str) -> None:
    found = said(replace(WELL, options={**GOOD, option: value}))
    assert list(found) == [option]
    assert found[option].state == "risk"
    assert advice in found[option].advice


def test_airflows_own_defaults_survive_an_api_server_for_seconds_only() -> None:
    defaults = {"workers.execution_api_retries": "5", "workers.execution_api_retry_wait_max": "90.0"}
    found = said(replace(WELL, options={**GOOD, **defaults}))
    assert "about 10 s" in found["workers.execution_api_retries"].found


@pytest.mark.parametrize(
    ("name", "is_known"),
    [
        ("LocalExecutor", True),
        ("airflow.providers.celery.executors.celery_executor.CeleryExecutor", True),
        ("LocalExecutor;norway=CeleryExecutor", True),
        ("CeleryExecutor,KubernetesExecutor", True),
        ("SequentialExecutor", False),
    ],
)
def test_executors_are_known_by_name_path_and_team(name: str, is_known: bool) -> None:
    assert ("core.executor" not in said(replace(WELL, options={**GOOD, "core.executor": name}))) is is_known


def test_containers_of_docker_do_not_go_with_workers_that_are_pods() -> None:
    facts = replace(WELL, options={**GOOD, "core.executor": "KubernetesExecutor"})
    assert "core.executor" not in said(facts, Needs(["process"]))
    assert "runtime: kubernetes" in said(facts, Needs(["docker"]))["core.executor"].advice


def test_many_dags_need_rarer_looks_and_smaller_files() -> None:
    facts = replace(WELL, options={**GOOD, "dag_processor.min_file_process_interval": "30"})
    assert said(facts) == {}
    found = said(facts, Needs(dags=20_000, largest_file=1_250))
    assert found["dag_processor.min_file_process_interval"].advice.startswith("1600: ")
    assert "schedule.shards" in found["dag_processor.dag_file_processor_timeout"].advice


@pytest.mark.parametrize("seconds", [0.0, 3600.0])
def test_a_database_that_keeps_idle_sessions_is_a_risk(seconds: float) -> None:
    found = said(replace(WELL, database=replace(WELL.database, idle_timeout=seconds)))
    advice = found["idle_in_transaction_session_timeout"].advice
    assert advice.startswith("ALTER DATABASE \"airflow\" SET idle_in_transaction_session_timeout = '30s'")


def test_what_the_plan_names_must_be_there() -> None:
    facts = replace(
        WELL,
        versions={"apache-airflow": "3.3.2"},
        absent_connections=["registry"],
        absent_variables=["token"],
        plugins=(),
        plugin_errors={"datadriver.orchestration.airflow.plugin": "No module named 'datadriver'"},
        jwt_secret=False,
    )
    needs = Needs(["docker", "kubernetes"], ["cpu", "gpu"], ["db", "registry"], ["token"], ["norway"])
    found = [one for one in advise(facts, needs) if one.state == "wrong"]
    assert {(one.what, one.found) for one in found} == {
        ("plugin", "datadriver is not loaded: No module named 'datadriver'"),
        ("schedule.runtime: docker", "the provider docker is not installed"),
        ("schedule.runtime: kubernetes", "the provider cncf-kubernetes is not installed"),
        ("pool", "there is no pool cpu"),
        ("connection", "there is no connection registry"),
        ("variable", "there is no variable token"),
        ("api_auth.jwt_secret", "is not set"),
        ("core.multi_team", "off, and the plan has teams: norway"),
    }
    assert all(one.advice for one in found)


def test_a_plan_says_what_it_needs() -> None:
    environment = {"PLAIN": "x", "URI": {"connection": "warehouse"}, "TOKEN": {"variable": "token"}}
    header = Header("tiny", "../..", runtime="docker", settings={"connection": "registry"}, environment=environment)
    first = text(plan("P-1", limits=Limits(pool="gpu"), team="norway"), plan("P-2"), header=header)
    assert needs_of([first, text(plan("P-3"))]) == Needs(
        runtimes=["docker", "process"],
        pools=["gpu"],
        connections=["registry", "warehouse"],
        variables=["token"],
        teams=["norway"],
        dags=3,
        largest_file=2,
    )


class Place:
    """A use case with its plan, and an Airflow that is set by environment variables."""

    def __init__(self, case: TinyCase) -> None:
        self.case = case
        self.folder = case.root / "dags" / "plan"

    def build(self, schedule: str = "") -> None:
        self.case.edit("tracking: {plots: false}", f"tracking: {{plots: false}}\n{schedule}")
        Project.open(self.case.root).dags().build()

    def examine(self) -> Diagnosis:
        return examine(Project.open(self.case.root).dags())


@pytest.fixture
def place(tiny: TinyCase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    for name in list(os.environ):
        if name.startswith("AIRFLOW"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path / "home"))
    for option, value in GOOD.items():
        if value is not None:
            monkeypatch.setenv(f"AIRFLOW__{option.upper().replace('.', '__')}", value)
    monkeypatch.setenv("AIRFLOW__CORE__DAGS_FOLDER", str(tiny.root / "dags"))
    monkeypatch.setenv("AIRFLOW__API_AUTH__JWT_SECRET", "s" * 64)
    return Place(tiny)


@pytest.fixture(scope="module")
def airflow_database(
    new_database: Callable[..., str], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[], sa.Engine]:
    """Airflow's database with its tables; each test gets a copy."""
    template = new_database()
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    driver = template.replace("://", "+psycopg://")
    own = {
        "AIRFLOW_HOME": str(tmp_path_factory.mktemp("migrate")),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": driver,
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC": driver,
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    }
    command = [sys.executable, "-m", "airflow", "db", "migrate"]
    subprocess.run(command, env={**kept, **own}, check=True, capture_output=True, timeout=240)
    return lambda: sa.create_engine(new_database(template).replace("://", "+psycopg://"))


@pytest.fixture
def airflow(
    place: Place, airflow_database: Callable[[], sa.Engine], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., None]:
    """Set up Airflow on a database with its tables; the fixture runs SQL in it."""
    engine = airflow_database()
    address = engine.url.render_as_string(hide_password=False)
    monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", address)
    monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC", address)

    def execute(*statements: str) -> None:
        with engine.begin() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement.replace("{database}", engine.url.database or ""))
        engine.dispose()

    execute("ALTER DATABASE {database} SET idle_in_transaction_session_timeout = '30s'")
    return execute


def states(diagnosis: Diagnosis) -> dict[str, str]:
    return {one.what: one.found for one in diagnosis.findings if one.state != "right"}


@pytest.mark.postgres
@pytest.mark.airflow
def test_a_real_airflow_that_is_set_well_is_right(place: Place, airflow: Callable[..., None]) -> None:
    place.build("schedule: {pool: gpu, environment: {URI: {connection: warehouse}}}")
    airflow(
        "INSERT INTO slot_pool (pool, slots, include_deferred) VALUES ('gpu', 2, false)",
        "INSERT INTO connection (conn_id, conn_type, host, is_encrypted, is_extra_encrypted) "
        "VALUES ('warehouse', 'postgres', 'db', false, false)",
    )
    done = place.case.run("dags", "doctor", "--json")
    document = json.loads(done.stdout)
    assert [one for one in document["findings"] if one["state"] != "right"] == []
    assert done.returncode == 0
    assert document["dags"] == 8
    right = {one["what"]: one["found"] for one in document["findings"]}
    assert right["idle_in_transaction_session_timeout"] == "30 s"
    assert (right["pool"], right["connection"]) == ("gpu", "warehouse")
    assert right["parsing"].startswith("8 DAGs in ")
    assert document["versions"]["apache-airflow"].startswith("3.")
    assert not (Path(os.environ["AIRFLOW_HOME"]) / "airflow.cfg").exists(), "looking changes nothing"


@pytest.mark.postgres
@pytest.mark.airflow
def test_a_real_airflow_and_a_plan_with_everything_wrong(
    place: Place, airflow: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    names = "{URI: {connection: warehouse}, KEY: {variable: key}, TOKEN: {variable: token}}"
    place.build(f"schedule: {{pool: gpu, environment: {names}}}")
    (place.folder / "tiny.py").write_text("import nowhere  # airflow dag\n")
    monkeypatch.setenv("AIRFLOW_VAR_KEY", "there")
    monkeypatch.setenv("AIRFLOW__CORE__DAGS_FOLDER", str(place.folder / "elsewhere"))
    monkeypatch.delenv("AIRFLOW__API_AUTH__JWT_SECRET")
    airflow("ALTER DATABASE {database} RESET idle_in_transaction_session_timeout")
    diagnosis = place.examine()
    found = states(diagnosis)
    assert found["plan"] == "tiny.py: not as a build would write it now"
    assert found["parsing"] == "tiny.py: ModuleNotFoundError: No module named 'nowhere'"
    assert found["dag bundle"].endswith(f"and not into {place.folder}")
    assert found["pool"] == "there is no pool gpu"
    assert found["connection"] == "there is no connection warehouse"
    assert found["variable"] == "there is no variable token"
    assert found["api_auth.jwt_secret"] == "is not set"
    assert found["idle_in_transaction_session_timeout"] == "never"
    assert diagnosis.exit_code == 2
    order = [("wrong", "risk", "right").index(one.state) for one in diagnosis.findings]
    assert order == sorted(order)


@pytest.mark.airflow
def test_without_tables_and_with_the_plan_of_another_fleet(place: Place) -> None:
    place.build()
    place.case.edit("P-2,GB\n", "", "fleet.csv")
    done = place.case.run("dags", "doctor")
    assert done.returncode == 2
    assert re.search(r"wrong  plan: .*tiny_\d\d\.jsonl: of no DAG any more\n", done.stdout)
    assert "\n       airflow db migrate\n" in done.stdout


@pytest.mark.airflow
def test_a_database_that_does_not_answer_is_worth_another_try(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("", "_ASYNC"):
        address = "postgresql+psycopg://airflow:hidden@127.0.0.1:9/airflow"
        monkeypatch.setenv(f"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN{name}", address)
    done = place.case.run("dags", "doctor")
    assert done.returncode == 5
    assert "postgresql+psycopg://airflow:***@127.0.0.1:9/airflow: " in done.stdout
    assert "hidden" not in done.stdout + done.stderr


@pytest.mark.airflow
def test_an_airflow_that_does_not_start_says_why(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "postgresql+psycopg://airflow@127.0.0.1:9/airflow")
    with pytest.raises(UnavailableError, match=r"asyncpg.*sql_alchemy_conn_async"):
        ask(Request())
