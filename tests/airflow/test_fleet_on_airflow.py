"""Ten pumps on Airflow: trained, released, packaged, scored in containers and monitored, through faults and kills."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd
import pytest
import sqlalchemy as sa
from ten_pumps import BROKEN, FINE, PUMPS, RAISING, REASON, WORN, UseCase, make_pumps

from datadriver.cli.new import render
from datadriver.images.engine import Engine
from datadriver.tracking.images import images
from datadriver.tracking.queries import champions, releases, scores

pytestmark = [
    pytest.mark.airflow,
    pytest.mark.docker,
    pytest.mark.postgres,
    pytest.mark.registry,
    pytest.mark.timeout(900),
    pytest.mark.xdist_group("airflow"),
]

TRAINING = ("2025-02-16T03:00:00Z", "2025-02-23T03:00:00Z")
WEEK = [f"{day:%Y-%m-%d}" for day in pd.date_range("2025-02-24", periods=7)]
FAULTY_DAY = ("2025-02-23T00:00:00Z", "2025-02-24T00:00:00Z")
Run = tuple[str, str]
Finished = dict[Run, str]

SETTINGS = """
package:
  base_image: {parent}
  registry: "${{PUMPED_REGISTRY}}"
  per: asset
  network: host
  secrets: {{pip: pip.conf, certificates: certificates.pem}}
schedule:
  runtime: docker
  train: "0 3 * * 0"
  score: "@daily"
  release: null
  monitor: "@daily"
  approval: true
  retries: {{times: 3, wait: 1s, longest: 5s}}
  timeout: 10min
  docker:
    network: host
    user: "{user}"
    mounts:
      - ./data:/usecase/data:ro
      - ./fleet.csv:/usecase/fleet.csv:ro
      - ./.datadriver:/usecase/.datadriver
      - "${{PUMPED_STORES}}:${{PUMPED_STORES}}"
  environment:
    PUMPED_LEDGER: {{variable: pumped_ledger}}
    PUMPED_TRACKING: {{variable: pumped_tracking}}
    PUMPED_REGISTRY: "${{PUMPED_REGISTRY}}"
    PUMPED_STORES: "${{PUMPED_STORES}}"
"""


@pytest.fixture(scope="module")
def pumped(  # noqa: PLR0913, PLR0917 - everything that a use case in containers needs
    engine: Engine,
    parent: str,
    tools: ModuleType,
    image_tools: ModuleType,
    installed: Path,
    new_database: Callable[..., str],
    migrated_database: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[UseCase]:
    """The use case and its base image in a registry; nothing is trained yet."""
    folder = tmp_path_factory.mktemp("pumped")
    server = tools.RegistryServer(folder / "registry").start()
    stores = {"LEDGER": new_database(), "TRACKING": new_database(migrated_database), "REGISTRY": server.host}
    settings = SETTINGS.format(parent=parent, user=f"{os.getuid()}:{os.getgid()}")
    try:
        usecase = make_pumps(folder, "pumped", stores, settings)
        usecase = replace(usecase, variables={**usecase.variables, "PYTHONPATH": str(installed)})
        image_tools.reach_index(usecase.root)
        with image_tools.locked("base"):
            usecase.run("package", "--base", "--push")
        yield usecase
    finally:
        server.stop()
        for shown in ("{{.Repository}}:{{.Tag}}", "{{.Repository}}@{{.Digest}}"):  # pulled ones have no tag
            for name in listed("images", "--digests", f"--format={shown}", f"{server.host}/pumped/*"):
                subprocess.run(["docker", "rmi", name], check=False, capture_output=True)


@pytest.fixture(scope="module")
def later(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that Airflow looks into, and that is empty at first."""
    return tmp_path_factory.mktemp("later")


@pytest.fixture(scope="module")
def stack(
    airflow: ModuleType,
    airflow_database: Callable[[], str],
    pumped: UseCase,
    later: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Any]:
    """Airflow with the DAGs of the use case, as `dags build` writes them."""
    pumped.run("dags", "build")
    home, folders = tmp_path_factory.mktemp("airflow"), {"pumped": pumped.dags, "later": later}
    with airflow.Stack(home, airflow_database(), folders, variables=pumped.variables) as stack:
        for store in ("ledger", "tracking"):
            value = pumped.variables[f"PUMPED_{store.upper()}"]
            stack.call("POST", "variables", {"key": f"pumped_{store}", "value": value})
        stack.wait_for_dags([*(dag(pump, "train") for pump in PUMPS), *(dag(pump, "score") for pump in PUMPS)])
        yield stack


@pytest.fixture(scope="module")
def trained(stack: Any) -> Finished:
    """A week of training for every pump."""
    runs = [(dag(pump, "train"), stack.trigger(dag(pump, "train"), *TRAINING)) for pump in PUMPS]
    return stack.wait(runs, seconds=600)


@pytest.fixture(scope="module")
def released(stack: Any, trained: Finished) -> Run:
    """A release that Ada has approved, and that Grace has tried to reject afterwards."""
    run = ("pumped__release", stack.trigger("pumped__release"))
    stack.until(lambda: stack.questions(*run), "an approval is asked for", 120)
    [question] = stack.questions(*run)
    stack.answer(run, question, "Approve", user="ada")
    stack.answer(run, question, "Reject", user="grace", code=409)
    assert stack.wait([run]) == {run: "success"}, stack.tasks(*run)
    return run


@pytest.fixture(scope="module")
def scored(stack: Any, released: Run) -> Finished:
    """A day of scoring for every pump that has a champion, while everything is killed once."""
    runs = [(dag(pump, "score"), stack.trigger(dag(pump, "score"), *FAULTY_DAY)) for pump in FINE]
    stack.until(lambda: containers("running"), "a pump is scored", 120)
    victim = next(task for task in stack.tasks("pumped__%__score") if task.state == "running")
    stack.kill_task(victim.dag_id, victim.task_id)
    # Its supervisor tells the scheduler: without that, Airflow would wait for heartbeats for 300 s.
    stack.until(lambda: stack.tasks(victim.dag_id) != [victim], "the death is noticed", 60)
    stack.kill("scheduler")
    stack.kill("api-server")
    stack.start("scheduler", "api-server")
    return stack.wait(runs, seconds=300)


@pytest.fixture(scope="module")
def by_hand(
    pumped: UseCase, scored: Finished, new_database: Callable[..., str], tmp_path_factory: pytest.TempPathFactory
) -> UseCase:
    """The same with stores of its own, in which the command line scores a week of the pump that wears."""
    stores = shutil.copytree(pumped.variables["PUMPED_STORES"], tmp_path_factory.mktemp("by-hand") / "stores")
    ledger = new_database(pumped.variables["PUMPED_LEDGER"])
    usecase = UseCase(pumped.root, {**pumped.variables, "PUMPED_LEDGER": ledger, "PUMPED_STORES": str(stores)})
    for day in WEEK:
        end = f"{pd.Timestamp(day) + pd.Timedelta('1D'):%Y-%m-%d}"
        usecase.run("score", "--assets", WORN, "--start", day, "--end", end)
    return usecase


@pytest.fixture(scope="module")
def week(stack: Any, by_hand: UseCase) -> Finished:
    """A week of scoring the pump that wears, by Airflow's backfill."""
    return stack.finish([stack.backfill(dag(WORN, "score"), WEEK[0], WEEK[-1])])


def dag(pump: str, kind: str) -> str:
    return f"pumped__{pump}__{kind}"


def containers(*status: str) -> list[str]:
    """Return containers of the use case."""
    wanted = [f"--filter=status={one}" for one in status]
    return listed("ps", "--all", "--quiet", "--filter=label=io.datadriver.usecase=pumped", *wanted)


def listed(*arguments: str) -> list[str]:
    """Ask Docker."""
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, check=True).stdout.split()


def rows(usecase: UseCase, query: str) -> list[dict[str, Any]]:
    """Ask the ledger."""
    with closing(usecase.project().ledger) as ledger, ledger.reading() as connection:
        return [dict(row) for row in connection.execute(sa.text(query)).mappings()]


def test_two_pumps_fail_visibly_and_the_others_are_trained(stack: Any, pumped: UseCase, trained: Finished) -> None:
    assert {run[0]: state for run, state in trained.items()} == {
        dag(pump, "train"): "success" if pump in FINE else "failed" for pump in PUMPS
    }
    [broken] = [run for run in trained if run[0] == dag(BROKEN, "train")]
    assert stack.states(*broken) == {"validate": "failed", "train": "upstream_failed"}
    assert "rejected: P-109, contract: load: " in stack.log(*broken, "validate")
    [raising] = [run for run in trained if run[0] == dag(RAISING, "train")]
    assert stack.states(*raising) == {"validate": "success", "train": "failed"}
    assert REASON in stack.log(*raising, "train")
    failures = rows(pumped, "SELECT subject, task_id, exit_code, reason FROM task_failures ORDER BY subject")
    assert [(one["subject"], one["task_id"], one["exit_code"]) for one in failures] == [
        (BROKEN, "validate", 3),
        (RAISING, "train", 4),
    ]
    assert "load" in failures[0]["reason"]
    assert REASON in failures[1]["reason"]


def test_who_approves_in_airflow_has_promoted(pumped: UseCase, released: Run) -> None:
    with closing(pumped.project().ledger) as ledger:
        [release] = releases(ledger)
        assert (release.action, release.by) == ("promote", "ada")
        assert {item.unit for item in release.items} == set(FINE) == {key.unit for key in champions(ledger)}


def test_every_pump_in_service_has_its_image(pumped: UseCase, released: Run) -> None:
    with closing(pumped.project().ledger) as ledger:
        assert {one.unit for record in images(ledger) for one in record.models} == set(FINE)


def test_kills_leave_nothing_undone_and_nothing_twice(stack: Any, pumped: UseCase, scored: Finished) -> None:
    assert {run[0]: state for run, state in scored.items()} == {dag(pump, "score"): "success" for pump in FINE}
    assert recorded(pumped) == [(pump, FAULTY_DAY[0][:10], 72) for pump in FINE]
    every = pumped.project().scores(latest=False)
    assert every.groupby("asset_id").size().to_dict() == dict.fromkeys(FINE, 72)
    assert containers() == []


def test_a_week_of_backfill_is_what_the_command_line_scores(
    stack: Any, pumped: UseCase, by_hand: UseCase, week: Finished
) -> None:
    assert len(week) == len(WEEK)
    assert set(week.values()) == {"success"}
    found, records = pumped.project().scores(latest=False), recorded(pumped)
    assert len(found) == 72 * (len(FINE) + len(WEEK))
    pd.testing.assert_frame_equal(comparable(found), comparable(by_hand.project().scores(latest=False)))

    again = stack.finish([stack.backfill(dag(WORN, "score"), WEEK[0], WEEK[-1], again=True)])
    assert (len(again), set(again.values())) == (len(WEEK), {"success"})
    pd.testing.assert_frame_equal(comparable(pumped.project().scores(latest=False)), comparable(found))
    assert recorded(pumped) == records


def test_a_request_of_monitoring_trains_that_pump_and_no_other(stack: Any, pumped: UseCase, week: Finished) -> None:
    run = ("pumped__monitor", stack.trigger("pumped__monitor", "2025-03-01T00:00:00Z", "2025-03-02T00:00:00Z"))
    assert stack.wait([run]) == {run: "success"}, stack.tasks(*run)
    assert (pumped.root / ".datadriver" / "report" / "index.html").exists()

    def asked() -> list[Any]:
        return [one for one in stack.runs("pumped__%") if one.run_type == "asset_triggered"]

    stack.until(asked, "a training is started", 60)
    assert [one.dag_id for one in asked()] == [dag(WORN, "train")]
    assert stack.wait([(one.dag_id, one.run_id) for one in asked()]) == {
        (one.dag_id, one.run_id): "success" for one in asked()
    }


def test_a_first_deployment_of_many_dags_starts_no_run(stack: Any, later: Path, tmp_path: Path) -> None:
    root = render("many", problem="regression", ci="none", sample_data=True, folder=tmp_path)
    fleet = "".join(f"M-{number},north,large\n" for number in range(100))
    (root / "fleet.csv").write_text("asset_id,site,type\n" + fleet, "utf-8")
    with (root / "usecase.yaml").open("a", encoding="utf-8") as file:
        file.write('\nschedule: {score: "@yearly", spread: 30min, start: 2020-01-01}\n')
    UseCase(root).run("dags", "build", "--out", str(later))
    stack.wait_for_dags([f"many__M-{number}__{kind}" for number in range(100) for kind in ("train", "score")])

    due = "SELECT dag_id, next_dagrun_create_after AS at FROM dag WHERE dag_id LIKE 'many__M%'"
    stack.until(lambda: all(row.at for row in stack.query(due)), "every DAG has a next run", 60)
    assert stack.query(f"{due} AND next_dagrun_create_after <= now()") == []
    assert stack.runs("many__%") == []
    starts = [row.at for row in stack.query(f"{due} AND dag_id LIKE '%score'")]
    assert len(set(starts)) > 50
    assert max(starts) - min(starts) < timedelta(minutes=30)


def recorded(usecase: UseCase) -> list[tuple[str, str, int]]:
    """Return asset, first day and number of the scores that the ledger has."""
    with closing(usecase.project().ledger) as ledger:
        found = [one for key in champions(ledger) for one in scores(ledger, key, key.unit)]
    return sorted((one.asset, str(one.start)[:10], one.rows) for one in found)


def comparable(found: pd.DataFrame) -> pd.DataFrame:
    """Return scores in order, without the time at which they were written."""
    columns = ["asset_id", "model", "time", "version", "score", "actual", "residual", "alarm", "verdict"]
    return found[columns].sort_values(["asset_id", "model", "time"], ignore_index=True)
