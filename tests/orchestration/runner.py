"""Runs DAGs of a plan as Airflow runs them, one after the other, in a process of its own; told what to do line by line.

A line is a JSON object: `file` of the plan, `dag` to run, and `answer`, a file to wait for with what a person says,
where the DAG asks. What became of the run is written as a line of JSON to the file that is the first argument.
"""

from __future__ import annotations

import json
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any

from airflow.models.asset import AssetEvent, AssetModel
from airflow.models.hitl import HITLDetail
from airflow.models.taskinstance import TaskInstance
from airflow.models.trigger import handle_event_submit
from airflow.models.xcom import XComModel
from airflow.sdk.timezone import utcnow
from airflow.triggers.base import TriggerEvent
from airflow.utils.session import create_session
from sqlalchemy import select

from datadriver.orchestration.airflow.loader import load


def answer(dag_id: str, file: Path) -> None:
    """Wait for the question and for the answer, and give it as the API does."""
    while not file.exists():
        time.sleep(0.2)
    said = json.loads(file.read_text("utf-8"))
    while True:
        with create_session() as session:
            waiting = select(TaskInstance).where(TaskInstance.dag_id == dag_id, TaskInstance.state == "awaiting_input")
            instance = session.scalar(waiting)
            if instance is not None:
                detail = session.scalar(select(HITLDetail).where(HITLDetail.ti_id == instance.id))
                detail.responded_by = said["by"] and {"id": said["by"], "name": said["by"]}
                detail.responded_at, detail.chosen_options, detail.params_input = utcnow(), [said["option"]], {}
                session.add(detail)
                event = TriggerEvent(detail.as_resume_event_payload())
                handle_event_submit(event, task_instance=instance, session=session)
                return
        time.sleep(0.2)


def run(file: str, dag: str, answer_file: str | None) -> dict[str, Any]:
    """Run a DAG to its end and say what became of it."""
    if answer_file:
        threading.Thread(target=answer, args=(dag, Path(answer_file)), daemon=True).start()
    made = load(file)[dag].test()
    with create_session() as session:
        tasks = session.scalars(
            select(TaskInstance).where(TaskInstance.dag_id == dag, TaskInstance.run_id == made.run_id)
        ).all()
        asked = session.scalars(select(HITLDetail).where(HITLDetail.ti_id.in_([one.id for one in tasks]))).all()
        known = select(XComModel.task_id, XComModel.key, XComModel.value).where(
            XComModel.dag_id == dag, XComModel.run_id == made.run_id
        )
        events = session.execute(
            select(AssetModel.name, AssetEvent.extra)
            .join(AssetEvent, AssetEvent.asset_id == AssetModel.id)
            .where(AssetEvent.source_dag_id == dag, AssetEvent.source_run_id == made.run_id)
        )
        return {
            "run": made.run_id,
            "state": str(made.state),
            "tasks": {one.task_id: str(one.state) for one in tasks},
            "questions": [{"subject": one.subject, "body": one.body} for one in asked],
            "xcoms": {f"{task}.{key}": str(value) for task, key, value in session.execute(known)},
            "events": [{"asset": name, "extra": extra} for name, extra in events],
        }


def main() -> None:
    """Do what stdin says."""
    with Path(sys.argv[1]).open("a", encoding="utf-8") as results:
        for line in sys.stdin:
            job = json.loads(line)
            try:
                result = run(job["file"], job["dag"], job.get("answer"))
            except Exception:
                result = {"error": traceback.format_exc()}
            results.write(json.dumps(result, default=str) + "\n")
            results.flush()


if __name__ == "__main__":
    main()
