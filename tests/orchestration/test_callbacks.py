"""What becomes of a task that was killed: Airflow's DAG processor calls back, in a context as it makes it."""

from __future__ import annotations

import uuid
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowTaskTimeout
from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

from datadriver.orchestration.airflow.callbacks import described, record_failure
from datadriver.orchestration.airflow.process import ProcessOperator
from datadriver.orchestration.airflow.release import ApproveOperator
from datadriver.orchestration.plan import DagPlan, Header, TaskPlan, Trigger
from datadriver.project import Project

if TYPE_CHECKING:
    from conftest import TinyCase

SCORE = TaskPlan("score", command=("score", "--assets", "P-1"))
PLAN = DagPlan("tiny__P-1__score", "score", "P-1", Trigger(), [SCORE], ("P-1",), owner="ada")


def context(header: Header, operator: Any = ProcessOperator) -> Any:
    with DAG(PLAN.dag_id, schedule=None):
        task = operator(task=SCORE, dag_plan=PLAN, header=header, task_id="score")
    instance = RuntimeTaskInstance.model_construct(
        id=uuid.uuid4(),
        task_id="score",
        dag_id=PLAN.dag_id,
        run_id="scheduled__1",
        try_number=4,
        map_index=-1,
        task=task,
    )
    return instance.get_template_context()


def test_a_killed_task_is_on_record_once_however_often_airflow_says_so(tiny: TinyCase) -> None:
    found = context(Header("tiny", str(tiny.root)))
    record_failure(found)
    record_failure(found)
    project = Project.open(tiny.root)
    with closing(project.ledger):
        [failure] = project.failures()
    assert str(failure) == "scoring failed: killed or lost: Airflow heard no more of it"
    assert (failure.run_id, failure.try_number, failure.exit_code, failure.assets) == (
        "scheduled__1",
        4,
        None,
        ("P-1",),
    )
    assert failure.url is not None
    assert failure.url.endswith("/dags/tiny__P-1__score/runs/scheduled__1/tasks/score?try_number=4")


def test_a_connection_that_airflow_does_not_have_hinders_no_record(tiny: TinyCase) -> None:
    header = Header("tiny", str(tiny.root), environment={"PLAIN": "text", "STORE": {"connection": "nobody"}})
    record_failure(context(header))
    assert [one.task_id for one in Project.open(tiny.root).failures()] == ["score"]


def test_a_task_without_a_command_is_on_record_too(tiny: TinyCase) -> None:
    record_failure(context(Header("tiny", str(tiny.root)), ApproveOperator))
    assert [one.task_id for one in Project.open(tiny.root).failures()] == ["score"]


def test_a_use_case_that_is_not_there_fails_nothing_else(tiny: TinyCase) -> None:
    record_failure(context(Header("tiny", f"{tiny.root}/elsewhere")))
    assert Project.open(tiny.root).failures() == ()


@pytest.mark.parametrize(
    ("error", "reason", "code"),
    [
        (AirflowFailException("rejected: P-1 has no rows (exit code 3)"), "rejected: P-1 has no rows", 3),
        (AirflowException("unavailable: the ledger is away"), "unavailable: the ledger is away", 5),
        (AirflowTaskTimeout("Timeout, PID: 7"), "took longer than 7200 s, the timeout of the schedule", None),
        (RuntimeError(), "RuntimeError", None),
        (None, "killed or lost: Airflow heard no more of it", None),
    ],
)
def test_a_failure_says_why_in_the_words_of_the_command(
    tiny: TinyCase, error: Exception | None, reason: str, code: int | None
) -> None:
    header = Header("tiny", str(tiny.root), urls={"airflow": "https://airflow.example/"})
    said = described({**context(header), "exception": error}, PLAN, header)  # type: ignore[typeddict-item]
    assert (said["reason"], said["exit_code"]) == (reason, code)
    assert said["url"] == ("https://airflow.example/dags/tiny__P-1__score/runs/scheduled__1/tasks/score?try_number=4")
