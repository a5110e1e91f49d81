"""Run the DAGs of a plan on this machine, each task by Airflow's own task runner: `run_dags.py PLAN INSTANT`.

The run's name follows from the instant. The last line that is printed says of each task of each DAG how it ended, at
which try, and what it said in one word.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pendulum
import sqlalchemy as sa
from airflow.models.taskinstance import TaskInstance
from airflow.models.xcom import XComModel
from airflow.utils.session import create_session

from datadriver.orchestration.airflow.loader import load


def main(plan: Path, instant: str) -> None:
    found = {}
    when = pendulum.parse(instant)
    for dag_id, dag in load(str(plan.with_suffix(".py"))).items():
        run_id = dag.test(logical_date=when, run_after=when).run_id
        with create_session() as session:
            words = sa.select(XComModel).where(XComModel.dag_id == dag_id, XComModel.key == "outcome")
            said = {one.task_id: XComModel.deserialize_value(one) for one in session.scalars(words)}
            tasks = sa.select(TaskInstance).where(TaskInstance.dag_id == dag_id, TaskInstance.run_id == run_id)
            found[dag_id] = {
                one.task_id: {"state": one.state, "tries": one.try_number, "outcome": said.get(one.task_id)}
                for one in session.scalars(tasks)
            }
    sys.stdout.write(f"\n{json.dumps(found)}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
