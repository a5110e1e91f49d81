"""Release, requests and failures as tasks of Airflow, run by Airflow's own runner on a database of its own."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

from datadriver.orchestration.plan import DagPlan, Header, Limits, TaskPlan, Trigger
from datadriver.project import Project
from datadriver.tracking import queries
from datadriver.tracking.ledger import Ledger
from datadriver.tracking.monitor_records import RetrainRequest
from datadriver.tracking.monitoring import MonitorResult, record_monitoring
from datadriver.tracking.records import Key, Outcome

if TYPE_CHECKING:
    from conftest import TinyCase

pytestmark = [pytest.mark.timeout(600), pytest.mark.xdist_group("dags")]
HERE = Path(__file__).parent


@dataclass
class Airflow:
    """A process that runs DAGs of the plan of `runs`."""

    process: subprocess.Popen[str]
    runs: Any
    results: Path
    log: Path
    asked: list[Path] = field(default_factory=list)

    def write(self, case: TinyCase, *plans: DagPlan, **header: Any) -> None:
        """Put DAGs into the one file that there is, instead of those before."""
        self.runs.plan(Header("tiny", str(case.root), **header), *plans)

    def start(self, dag: str, answer: Path | None = None) -> int:
        """Let a DAG run; returns which result is its."""
        assert self.process.stdin is not None
        job = {"file": str(self.runs.home / "dags" / "plan.py"), "dag": dag, "answer": str(answer) if answer else None}
        number = len(self.results.read_text("utf-8").splitlines())
        self.asked += [answer] if answer else []
        self.process.stdin.write(json.dumps(job) + "\n")
        self.process.stdin.flush()
        return number

    def result(self, number: int) -> dict[str, Any]:
        """Wait for a run to end."""
        until = time.monotonic() + 240
        while len(lines := self.results.read_text("utf-8").splitlines()) <= number:
            assert self.process.poll() is None, self.log.read_text("utf-8")[-4000:]
            assert time.monotonic() < until, self.log.read_text("utf-8")[-4000:]
            time.sleep(0.1)
        found: dict[str, Any] = json.loads(lines[number])
        assert "error" not in found, found["error"]
        return found

    def run(self, dag: str) -> dict[str, Any]:
        """Let a DAG run to its end."""
        return self.result(self.start(dag))

    def end_waiting(self) -> None:
        """Answer what a test that failed has left without an answer."""
        for file in self.asked:
            if not file.exists():
                say(file, None, "Reject")


def say(answer: Path, by: str | None, option: str) -> None:
    """Answer a question, all at once for whoever waits for the file."""
    answer.with_suffix(".part").write_text(json.dumps({"by": by, "option": option}), "utf-8")
    answer.with_suffix(".part").rename(answer)


@pytest.fixture
def airflow(_airflow: Airflow) -> Iterator[Airflow]:
    yield _airflow
    _airflow.end_waiting()


@pytest.fixture(scope="module")
def _airflow(new_runs: Callable[..., Any], dag_runs: ModuleType) -> Iterator[Airflow]:
    runs = new_runs()
    home: Path = runs.home
    (home / "results").touch()
    command = [sys.executable, str(HERE / "runner.py"), str(home / "results")]
    with (home / "log").open("w") as log:
        process = subprocess.Popen(
            command, env=dag_runs.environment(home), stdin=subprocess.PIPE, stdout=log, stderr=log, text=True
        )
    with process:
        yield Airflow(process, runs, home / "results", home / "log")
        process.kill()


def release_dag(*tasks: TaskPlan) -> DagPlan:
    return DagPlan("tiny__release", "release", "tiny", Trigger("@daily"), tasks, limits=Limits(retries=0), owner="ada")


GATE = TaskPlan("gate", kind="gate", command=("diff", "--json", "--propose", "run-{run}"))
PROMOTE = ("promote", "--proposal", "run-{run}")
MIXED = release_dag(
    GATE,
    TaskPlan("promote", kind="promote", command=(*PROMOTE, "--approval", "auto"), after=("gate",)),
    TaskPlan("approve", kind="approve", after=("gate",)),
    TaskPlan("promote_approved", kind="promote", command=(*PROMOTE, "--approval", "manual"), after=("approve",)),
)
ASKING = release_dag(
    GATE,
    TaskPlan("approve", kind="approve", after=("gate",)),
    TaskPlan("promote", kind="promote", command=PROMOTE, after=("approve",)),
)


def champions(case: TinyCase) -> dict[str, int]:
    with closing(Project.open(case.root).ledger) as ledger:
        return {key.unit: one.version for key, one in queries.champions(ledger).items()}


def better(case: TinyCase, key: Key) -> None:
    """Let a newer version be on record, that the gate would let through."""
    with closing(Project.open(case.root).ledger) as ledger:
        last = queries.latest_versions(ledger)[key]
        newer = replace(last, version=last.version + 1, result_key="b" * 64, created_at="")
        batch = ledger.start_batch("train").id
        ledger.record_result(Outcome(batch, *key, "trained", result_key=newer.result_key), version=newer)


def releases(case: TinyCase) -> list[tuple[str, str]]:
    return [(one.by, one.reason) for one in Project.open(case.root).releases()]


def wait_for(found: Callable[[], bool]) -> None:
    until = time.monotonic() + 180
    while not found():
        assert time.monotonic() < until
        time.sleep(0.5)


@pytest.fixture(scope="module")
def _trained(new_tiny: Callable[[Path], TinyCase], tmp_path_factory: pytest.TempPathFactory) -> TinyCase:
    case = new_tiny(tmp_path_factory.mktemp("trained") / "tiny")
    manual = "{where: 'country == \"GB\"', set: {models.temperature.promote.approval: manual}}"
    case.edit("scores:", f"overrides: [{manual}]\nscores:")
    case.edit("    alarm:", "    promote: {beats: [baseline]}\n    alarm:")
    done = case.run("train")
    assert done.returncode == 0, done.stderr
    return case


@pytest.fixture
def trained(_trained: TinyCase, tmp_path: Path) -> TinyCase:
    """Three challengers; the model of P-2 needs approval, and none of them need beat a champion."""
    shutil.copytree(_trained.root, tmp_path / "tiny")
    return type(_trained)(tmp_path / "tiny")


def test_a_release_from_gate_to_approval(airflow: Airflow, trained: TinyCase, tmp_path: Path) -> None:
    airflow.write(trained, MIXED)
    number = airflow.start("tiny__release", tmp_path / "answer")
    # What needs no approval does not wait.
    wait_for(lambda: champions(trained) == {"P-1": 1, "15/9-F-1 C": 1})
    # A challenger that comes while somebody thinks is not what they approve.
    better(trained, Key("P-2", "temperature"))
    say(tmp_path / "answer", "grace", "Approve")
    result = airflow.result(number)
    assert result["tasks"] == dict.fromkeys(("gate", "promote", "approve", "promote_approved"), "success")
    assert champions(trained) == {"P-1": 1, "15/9-F-1 C": 1, "P-2": 1}
    [approved, auto] = releases(trained)
    assert auto == ("airflow", f"passed the gate in Airflow, run {result['run']} of tiny__release")
    assert approved == ("grace", f"approved in Airflow, run {result['run']} of tiny__release")
    [question] = result["questions"]
    assert question["subject"] == "tiny: release 1 new champion?"
    assert "1 challenger passed the gate: 1 temperature." in question["body"]
    assert "| P-2 | temperature | nothing yet | v1 | " in question["body"]
    assert "P-1" not in question["body"]


def test_what_is_refused_is_on_record_and_not_asked_again(airflow: Airflow, trained: TinyCase, tmp_path: Path) -> None:
    airflow.write(trained, ASKING)
    say(tmp_path / "answer", "grace", "Reject")
    result = airflow.result(airflow.start("tiny__release", tmp_path / "answer"))
    assert result["state"] == "success"
    assert result["tasks"] == {"gate": "success", "approve": "success", "promote": "skipped"}
    assert champions(trained) == {}
    assert all("was refused by grace" in one.reason for one in Project.open(trained.root).diff())
    # Nothing is left to propose, so the rest of the next run is skipped.
    result = airflow.run("tiny__release")
    assert result["state"] == "success"
    assert result["tasks"] == {"gate": "success", "approve": "skipped", "promote": "skipped"}


def test_a_question_that_nobody_answers_releases_and_refuses_nothing(
    airflow: Airflow, trained: TinyCase, tmp_path: Path
) -> None:
    airflow.write(trained, ASKING)
    # As the scheduler answers with the default, when the time is over.
    say(tmp_path / "answer", None, "Reject")
    result = airflow.result(airflow.start("tiny__release", tmp_path / "answer"))
    assert result["tasks"]["promote"] == "skipped"
    assert champions(trained) == {}
    assert all(one.promotes for one in Project.open(trained.root).diff())


def test_requests_to_train_again_are_events_of_airflow_assets(airflow: Airflow, tiny: TinyCase) -> None:
    with closing(Project.open(tiny.root).ledger) as ledger:
        ask(ledger, ("P-1", "drift"), ("15/9-F-1 C", "performance"))
    requests = TaskPlan("requests", kind="requests", command=("requests", "--json", "--announce", "{run}"))
    airflow.write(tiny, DagPlan("tiny__monitor", "monitor", "tiny", Trigger(), [requests]))
    events = sorted(airflow.run("tiny__monitor")["events"], key=lambda one: str(one["asset"]))
    assert [one["asset"] for one in events] == ["tiny/retrain/15-9-F-1-C-525d4a6b", "tiny/retrain/P-1"]
    assert events[1]["extra"]["reason"] == "drift is 0.4"
    assert events[1]["extra"]["model"] == "temperature"
    assert airflow.run("tiny__monitor")["events"] == []


def ask(ledger: Ledger, *asked: tuple[str, str]) -> None:
    batch = ledger.start_batch("monitor").id
    requests = [
        RetrainRequest(asset, "temperature", f"{check} is 0.4", asset, check, "2026-03-05T00:00:00+00:00", batch)
        for asset, check in asked
    ]
    record_monitoring(ledger, MonitorResult(batch, requests=requests))


def scoring(*commands: Sequence[str]) -> DagPlan:
    tasks = [
        TaskPlan(f"step{number}" if number else "score", command=command, after=("score",) if number else ())
        for number, command in enumerate(commands)
    ]
    limits = Limits(retries=0)
    return DagPlan("tiny__P-1__score", "score", "P-1", Trigger(), tasks, ("P-1",), limits, owner="ada")


def test_a_failed_task_is_on_record_until_it_succeeds(airflow: Airflow, tiny: TinyCase) -> None:
    airflow.write(tiny, scoring(("score", "--assets", "P-l")), urls={"airflow": "https://airflow.example/"})
    result = airflow.run("tiny__P-1__score")
    assert result["tasks"] == {"score": "failed"}
    [failure] = Project.open(tiny.root).failures()
    assert (failure.work, failure.subject, failure.owner, failure.exit_code) == ("scoring", "P-1", "ada", 2)
    assert "'P-l'" in failure.reason
    assert "exit code" not in failure.reason
    assert failure.url == (
        f"https://airflow.example/dags/tiny__P-1__score/runs/{result['run'].replace(':', '%3A').replace('+', '%2B')}"
        "/tasks/score?try_number=1"
    )
    shown = tiny.run("status").stdout
    assert f"1 failed task:\n  P-1: scoring failed: {failure.reason}" in shown
    [listed] = json.loads(tiny.run("status", "--json").stdout)["failures"]
    assert listed["reason"] == failure.reason
    # Another one that comes after it succeeds, so it has.
    airflow.write(tiny, scoring(("check",), ("status",)))
    assert airflow.run("tiny__P-1__score")["state"] == "success"
    assert Project.open(tiny.root).failures() == ()
