"""Tasks of the scheduler that failed for good, and which of them still stand."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

import sqlalchemy as sa

from datadriver.tracking import schema
from datadriver.tracking.ledger import Ledger, insert
from datadriver.tracking.liveness import now

TASK = "DATADRIVER_TASK"
"""Environment variable of a command that a scheduler runs: `pumps__P-101__score/publish,score`. When the command ends
well, the failures of these tasks are over: its own, and those of the tasks that had to succeed before it."""

WORK: Mapping[str, str] = {
    "train": "training",
    "score": "scoring",
    "release": "release",
    "monitor": "monitoring",
    "base": "base image",
}
"""What a kind of DAG does, in a word."""


class TaskKey(NamedTuple):
    """What names a task over all of its runs."""

    dag_id: str
    task_id: str


@dataclass(frozen=True)
class TaskFailure:
    """One task that failed, and will not be tried again by itself.

    Attributes:
        dag_id: with `run_id`, `task_id` and `try_number` it names the failure; recorded again it changes nothing.
        kind: of the DAG; `subject`: asset, pooled unit, group or use case that it is for.
        assets: ids of the assets that it is about; none for DAGs of the whole use case.
        exit_code: of the command; None where it is not known, because the task was killed or never ran.
        reason: a sentence.
        url: of the task's log.
        owner: who is accountable.
        at: when it was recorded; `closed_at`: when the task succeeded again.
    """

    dag_id: str
    run_id: str
    task_id: str
    try_number: int
    kind: str
    subject: str
    reason: str
    assets: tuple[str, ...] = ()
    exit_code: int | None = None
    url: str | None = None
    owner: str | None = None
    at: str = ""
    closed_at: str | None = None
    number: int | None = None
    """Of the record in the ledger."""

    @property
    def key(self) -> TaskKey:
        """The task."""
        return TaskKey(self.dag_id, self.task_id)

    @property
    def work(self) -> str:
        """What failed, in a word or two.

        >>> failure = TaskFailure("pumps__P-1__score", "r", "contract", 1, "score", "P-1", "no rows")
        >>> failure.work, replace(failure, task_id="score").work
        ('scoring (contract)', 'scoring')
        """
        word = WORK.get(self.kind, self.kind)
        return word if self.task_id == self.kind else f"{word} ({self.task_id})"

    def __str__(self) -> str:
        """Return it as one sentence: `scoring failed: rejected: no rows`."""
        return f"{self.work} failed: {self.reason}"


def record_failures(ledger: Ledger, failures: Sequence[TaskFailure]) -> None:
    """Record failures; one that is on record already stays as it is."""
    rows = [{**asdict(replace(one, at=one.at or now())), "assets": list(one.assets)} for one in failures]
    for row in rows:
        del row["number"]
    if rows:
        with ledger.writing() as connection:
            connection.execute(insert(connection, schema.task_failures).on_conflict_do_nothing(), rows)


def close_failures(ledger: Ledger, dag_id: str, task_ids: Collection[str]) -> int:
    """Record that tasks of a DAG have succeeded by now; returns how many failures that ends."""
    table = schema.task_failures.c
    chosen = sa.and_(table.closed_at.is_(None), table.dag_id == dag_id, table.task_id.in_(task_ids))
    with ledger.reading() as connection:  # nearly always there is none: nobody waits for a lock then
        found = connection.execute(sa.select(table.id).where(chosen)).scalars().all()
    if not found:
        return 0
    with ledger.writing() as connection:
        ended = schema.task_failures.update().where(table.id.in_(found), table.closed_at.is_(None))
        count: int = connection.execute(ended.values(closed_at=now())).rowcount
    return count


def close_own_failures(ledger: Ledger, environment: Mapping[str, str] = os.environ) -> int:
    """Record that the task that runs this command has succeeded; nothing where no scheduler runs it."""
    dag_id, _, tasks = environment.get(TASK, "").partition("/")
    return close_failures(ledger, dag_id, tasks.split(",")) if tasks else 0


def open_failures(ledger: Ledger) -> tuple[TaskFailure, ...]:
    """Return the failures that stand, oldest first; a task that failed in several runs is there as often."""
    table = schema.task_failures
    statement = sa.select(table).where(table.c.closed_at.is_(None)).order_by(table.c.id)
    with ledger.reading() as connection:
        return tuple(failure_of(dict(row)) for row in connection.execute(statement).mappings())


def newest_by_task(failures: Sequence[TaskFailure]) -> Mapping[TaskKey, TaskFailure]:
    """Return of each task its newest failure, in the order of the first ones."""
    found: dict[TaskKey, TaskFailure] = {}
    for one in failures:
        found[one.key] = one
    return found


def failure_of(row: Mapping[str, Any]) -> TaskFailure:
    """Return a row of the table as a record."""
    known = {name: value for name, value in row.items() if name not in {"id", "assets"}}
    return TaskFailure(**known, assets=tuple(row["assets"]), number=row["id"])
