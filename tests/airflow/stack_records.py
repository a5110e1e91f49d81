"""What Airflow's database says of DAGs, runs and tasks; read there, as the api-server is busy enough."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa


@dataclass(frozen=True)
class Run:
    """A run of a DAG, as Airflow's database has it."""

    dag_id: str
    run_id: str
    run_type: str
    state: str
    start: datetime | None
    end: datetime | None
    began: datetime | None
    finished: datetime | None


@dataclass(frozen=True)
class Task:
    """The latest try of a task of a run; `pid` is that of the process in which the operator works."""

    dag_id: str
    run_id: str
    task_id: str
    state: str | None
    tries: int
    pid: int | None


class Records:
    """Airflow's database."""

    def __init__(self, database: str) -> None:
        self._engine = sa.create_engine(database.replace("://", "+psycopg://"), isolation_level="AUTOCOMMIT")

    def query(self, text: str, **values: Any) -> list[sa.Row[Any]]:
        """Ask Airflow's database."""
        with self._engine.connect() as connection:
            return list(connection.execute(sa.text(text), values))

    def dag_ids(self) -> set[str]:
        """Return the DAGs that the DAG processor has found."""
        return {row.dag_id for row in self.query("SELECT dag_id FROM dag WHERE NOT is_stale")}

    def import_errors(self) -> dict[str, str]:
        """Return what DAG files failed with."""
        return {row.filename: row.stacktrace for row in self.query("SELECT filename, stacktrace FROM import_error")}

    def runs(self, dag_id: str = "%") -> list[Run]:
        """Return runs of DAGs (a LIKE pattern), the oldest first."""
        text = (
            "SELECT dag_id, run_id, run_type, state, data_interval_start, data_interval_end, start_date, end_date "
            "FROM dag_run WHERE dag_id LIKE :dag_id ORDER BY id"
        )
        return [Run(*row) for row in self.query(text, dag_id=dag_id)]

    def runs_of(self, backfill: int) -> list[tuple[str, str]]:
        """Return DAG and run of each run of a backfill, those that it made and those that it runs again."""
        text = (
            "SELECT dag_id, run_id FROM dag_run JOIN backfill_dag_run ON backfill_dag_run.dag_run_id = dag_run.id "
            "WHERE backfill_dag_run.backfill_id = :backfill ORDER BY sort_ordinal"
        )
        return [(row.dag_id, row.run_id) for row in self.query(text, backfill=backfill)]

    def tasks(self, dag_id: str = "%", run_id: str = "%") -> list[Task]:
        """Return the latest tries of tasks of DAGs (a LIKE pattern) by DAG, run and id."""
        text = (
            "SELECT dag_id, run_id, task_id, state, try_number, pid FROM task_instance "
            "WHERE dag_id LIKE :dag_id AND run_id LIKE :run_id ORDER BY dag_id, run_id, task_id"
        )
        return [Task(*row) for row in self.query(text, dag_id=dag_id, run_id=run_id)]

    def states(self, dag_id: str, run_id: str) -> dict[str, str | None]:
        """Return the state of each task of a run."""
        return {task.task_id: task.state for task in self.tasks(dag_id, run_id)}

    def questions(self, dag_id: str, run_id: str) -> list[str]:
        """Return the tasks of a run that wait for somebody's answer."""
        text = (
            "SELECT task_id FROM task_instance JOIN hitl_detail ON hitl_detail.ti_id = task_instance.id "
            "WHERE dag_id = :dag_id AND run_id = :run_id AND responded_at IS NULL ORDER BY task_id"
        )
        return [row.task_id for row in self.query(text, dag_id=dag_id, run_id=run_id)]

    def close(self) -> None:
        """Leave the database."""
        self._engine.dispose()
