"""Tasks as processes, run by Airflow's own task runner: times, secrets, exit codes, and what ends them."""

from __future__ import annotations

import os
import re
import shutil
import signal
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from datadriver.orchestration.plan import DagPlan, Header, Limits, TaskPlan, Trigger

pytestmark = [pytest.mark.timeout(900), pytest.mark.xdist_group("dags")]  # a dozen commands, one after the other

NOWHERE = "postgres://user:open-sesame@127.0.0.1:1/ledger"
RAISES = """
    if (frame["current"] > 1e6).any():
        raise ValueError("no pump draws that much")
    return frame[["current", "flow"]]"""
COMMANDS = {
    "times": (("score", "--assets", "P-1"), "interval"),
    "usage": (("score", "--assets", "P-11"), "interval"),
    "rejected": (("validate", "--assets", "P-2"), "none"),
    "code": (("score", "--assets", "15/9-F-1 C", "--start", "2026-03-08"), "none"),
    "partial": (("validate",), "none"),
    "unavailable": (("status", "--env", "nowhere"), "none"),
    "killed": (("train", "--assets", "P-1", "--force"), "until"),
}


def plan(name: str, *tasks: TaskPlan, limits: Limits | None = None, cron: str | None = "@hourly") -> DagPlan:
    return DagPlan(
        name, "score", "P-1", Trigger(cron), tasks, assets=["P-1"], limits=limits or Limits(retries=1, wait=0)
    )


def spoil(case: Any) -> None:
    """Let the contract reject an asset, and the code raise at another."""
    case.guard()
    case.edit('\n    return frame[["current", "flow"]]', RAISES, "src/tiny/features.py")
    case.edit("scores: {window: 2d}", 'scores: {window: 2d}\nenvironments: {nowhere: {ledger: {uri: "${LEDGER}"}}}')
    data = case.data()
    late = data["ts"] >= "2026-03-07"
    data.loc[late & (data["pump"] == "P-2"), "flow"] = 1000.0
    data.loc[late & (data["pump"] == "15/9-F-1 C"), "current"] = 1e7
    case.write(data)


@pytest.fixture(scope="module")
def ended(_served: Any, new_runs: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Every way in which a command can end, in one DAG, and a DAG that has no schedule."""
    case = type(_served)(tmp_path_factory.mktemp("operators") / "tiny")
    shutil.copytree(_served.root, case.root)
    spoil(case)
    runs = new_runs(AIRFLOW_CONN_LEDGER=NOWHERE, AIRFLOW_VAR_FAIL="leases-taken")
    environment = {"LEDGER": {"connection": "ledger"}, "DATADRIVER_FAILPOINT": {"variable": "fail"}}
    tasks = [TaskPlan(name, command=command, span=span) for name, (command, span) in COMMANDS.items()]
    undated = TaskPlan("undated", command=("validate", "--assets", "P-1"), span="until")
    runs.plan(
        Header("tiny", str(case.root), environment=environment),
        plan("tiny__a", *tasks),
        plan("tiny__b", undated, cron=None),
    )
    return runs.run()


def test_a_command_that_ends_well_is_a_success(ended):
    assert ended.task("times") == ("success", 1, None)
    assert "1 score of 1 asset" in ended.log


@pytest.mark.parametrize(
    ("task", "outcome", "sentence"),
    [
        ("usage", "failed", "failed: there is no asset 'P-11'; did you mean 'P-1'"),
        ("rejected", "rejected", r"rejected: P-2.*flow"),
        ("code", "failed", "failed: .*15/9-F-1 C.*no pump draws that much"),
        ("partial", "failed", r"failed: .*P-2.*\(exit code 6\)"),
    ],
)
def test_what_a_retry_cannot_mend_fails_at_once_in_the_commands_own_words(ended, task, outcome, sentence):
    assert ended.task(task) == ("failed", 1, outcome)
    assert re.search(f"AirflowFailException: {sentence}", ended.log)


@pytest.mark.parametrize(
    ("task", "sentence"),
    [("unavailable", "unavailable: .*127.0.0.1"), ("killed", r"killed: .* from outside \(exit code 137\)")],
)
def test_what_may_pass_is_tried_again(ended, task, sentence):
    assert ended.task(task) == ("failed", 2, task)
    assert re.search(f"AirflowException: {sentence}", ended.log)


def test_scoring_gets_the_interval_of_the_run_and_training_its_end(ended):
    assert "score --assets P-1 --start 2026-03-09T04:00:00+00:00 --end 2026-03-09T05:00:00+00:00 " in ended.log
    assert "train --assets P-1 --force --until 2026-03-09T05:00:00+00:00 " in ended.log


def test_a_run_without_an_interval_gives_no_times(ended):
    assert "-m datadriver validate --assets P-1 --project" in ended.log
    assert ended.task("undated") == ("success", 1, None)


def test_what_airflow_keeps_reaches_the_command_and_no_log(ended):
    assert "open-sesame" not in ended.log
    assert "nowhere" in ended.log


def test_a_connection_that_is_not_there_is_named_with_the_variable(new_runs, tiny):
    runs = new_runs()
    environment = {"LEDGER": {"connection": "ledgre"}}
    runs.plan(
        Header("tiny", str(tiny.root), environment=environment), plan("tiny__d", TaskPlan("one", command=("status",)))
    )
    ran = runs.run()
    assert ran.task("one") == ("failed", 1, "failed")
    assert (
        "the environment variable LEDGER of tasks is the connection 'ledgre' of Airflow, and there is none" in ran.log
    )


def test_a_worker_without_the_use_case_says_where_it_looked(new_runs, tmp_path):
    runs = new_runs()
    runs.plan(Header("tiny", str(tmp_path / "gone")), plan("tiny__e", TaskPlan("one", command=("status",))))
    ran = runs.run()
    assert ran.task("one") == ("failed", 1, "failed")
    assert re.search(rf"there is no folder {tmp_path}/gone; schedule.folder", ran.log)


@pytest.fixture
def serving(served: Any, new_runs: Callable[..., Any], dag_runs: Any) -> Iterator[Any]:
    """A task at work: a server, which would run for ever."""
    runs = new_runs()
    command = ("serve", "--port", "0", "--assets", "P-1")

    started = []

    def start(limits: Limits) -> Any:
        runs.plan(Header("tiny", str(served.root)), plan("tiny__f", TaskPlan("one", command=command), limits=limits))
        started.append(runs.start())
        return started[0], dag_runs.heard(started[0], r"serving (http\S+)")[1]

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def answers(url: str) -> bool:
    with suppress(OSError), urllib.request.urlopen(f"{url}/ping", timeout=5):
        return True
    return False


def silent(url: str, seconds: float = 20) -> bool:
    end = time.monotonic() + seconds
    while answers(url):
        if time.monotonic() > end:
            return False
        time.sleep(0.2)
    return True


def test_a_command_dies_with_its_task(serving):
    process, url = serving(Limits(retries=0))
    assert answers(url)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert silent(url)


def test_a_task_that_is_stopped_stops_its_command(serving):
    process, url = serving(Limits(retries=0))
    assert answers(url)
    process.terminate()
    process.communicate(timeout=60)
    assert silent(url, 0)


def test_a_command_that_takes_too_long_is_ended(served, new_runs):
    runs = new_runs()
    task = TaskPlan("one", command=("serve", "--port", "0", "--assets", "P-1"))
    runs.plan(Header("tiny", str(served.root)), plan("tiny__h", task, limits=Limits(retries=0, timeout=4)))
    ran = runs.run()
    assert ran.task("one") == ("failed", 1, None)
    assert "AirflowTaskTimeout" in ran.log
    assert not any(str(served.root) in line for line in command_lines())


def command_lines() -> Iterator[str]:
    """Return what processes of this machine were started with."""
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            yield file.read_text()
