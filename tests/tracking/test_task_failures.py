"""Failed tasks of a scheduler in the ledger, on SQLite and on PostgreSQL alike."""

from __future__ import annotations

from dataclasses import replace

import pytest

from datadriver.tracking.ledger import Ledger
from datadriver.tracking.task_failures import (
    TASK,
    TaskFailure,
    close_failures,
    close_own_failures,
    newest_by_task,
    open_failures,
    record_failures,
)

SCORE = TaskFailure(
    "pumps__P-101__score", "scheduled__1", "score", 1, "score", "P-101", "rejected: no rows", ("P-101",), 3
)


def said(ledger: Ledger) -> list[str]:
    return [f"{one.run_id} {one}" for one in open_failures(ledger)]


def test_a_failure_is_kept_as_it_was_recorded_first(ledger: Ledger) -> None:
    record_failures(ledger, [SCORE])
    record_failures(ledger, [replace(SCORE, reason="another word")])
    [found] = open_failures(ledger)
    assert replace(found, at="", number=None) == SCORE
    assert found.at


def test_each_try_and_run_counts_and_the_newest_speaks_for_the_task(ledger: Ledger) -> None:
    others = [replace(SCORE, try_number=2), replace(SCORE, run_id="scheduled__2", reason="again")]
    record_failures(ledger, [SCORE, *others])
    assert said(ledger) == [
        "scheduled__1 scoring failed: rejected: no rows",
        "scheduled__1 scoring failed: rejected: no rows",
        "scheduled__2 scoring failed: again",
    ]
    assert [one.reason for one in newest_by_task(open_failures(ledger)).values()] == ["again"]


def test_a_success_ends_the_failures_of_its_task_and_of_those_before_it_and_no_others(ledger: Ledger) -> None:
    others = [
        replace(SCORE, task_id="contract"),
        replace(SCORE, task_id="publish"),
        replace(SCORE, dag_id="pumps__P-102__score"),
    ]
    record_failures(ledger, [SCORE, *others])
    assert close_own_failures(ledger, {TASK: "pumps__P-101__score/score,contract"}) == 2
    assert [(one.dag_id, one.task_id) for one in open_failures(ledger)] == [
        ("pumps__P-101__score", "publish"),
        ("pumps__P-102__score", "score"),
    ]
    assert close_failures(ledger, "pumps__P-101__score", ["score"]) == 0


@pytest.mark.parametrize("environment", [{}, {TASK: ""}, {TASK: "pumps__P-101__score"}])
def test_a_command_that_no_scheduler_runs_ends_nothing(ledger: Ledger, environment: dict[str, str]) -> None:
    record_failures(ledger, [SCORE])
    assert close_own_failures(ledger, environment) == 0
    assert len(open_failures(ledger)) == 1


def test_recorded_again_a_failure_that_is_over_stays_over(ledger: Ledger) -> None:
    record_failures(ledger, [SCORE])
    close_failures(ledger, SCORE.dag_id, ["score"])
    record_failures(ledger, [SCORE])
    assert open_failures(ledger) == ()
