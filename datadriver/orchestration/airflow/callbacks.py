"""What Airflow calls when a task has failed for good: the use case's ledger and whom it tells learn of it.

It runs in the task's own process, or, when that was killed, in Airflow's DAG processor. Both hand it to a command of
the use case, whose environment has the ledger's address and the receivers' URLs; Airflow's own process learns neither.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow.sdk.exceptions import AirflowException, AirflowRuntimeError

from datadriver.errors import DatadriverError
from datadriver.orchestration.airflow.tasks import TASK, UNAVAILABLE, CommandTask, Ended, without_airflow
from datadriver.orchestration.plan import DagPlan, Header

if TYPE_CHECKING:
    from airflow.sdk import Context

_LONGEST = 40.0
"""Seconds; the DAG processor ends what takes longer than `dag_processor.dag_file_processor_timeout`, usually 50."""

_CODE = re.compile(r"\s*\(exit code (\d+)\)$")


def record_failure(context: Context) -> None:
    """Put the failed task of a context on record, and have messages sent; what hinders that is in the log."""
    task: Any = context["task"]
    failure = described(context, task.dag_plan, task.header)
    try:
        ended = _record(failure, task.dag_plan, task.header, task.task_plan)
    except (OSError, subprocess.SubprocessError) as error:
        task.log.error("This failure is not on record: %s", error)
        return
    if ended.code == UNAVAILABLE:
        task.log.warning("This failure is on record or not yet, and not told to all: %s", ended.sentence)
    elif ended.code:
        task.log.error("This failure is not on record: %s", ended.sentence)


def described(context: Context, plan: DagPlan, header: Header) -> dict[str, Any]:
    """Return a failure as `datadriver failures --record` reads it."""
    ti: Any = context["ti"]
    reason, code = _reason(context.get("exception"), plan)
    return {
        "dag_id": plan.dag_id,
        "run_id": ti.run_id,
        "task_id": ti.task_id,
        "try_number": ti.try_number,
        "kind": plan.kind,
        "subject": plan.subject,
        "assets": [*plan.assets],
        "exit_code": code,
        "reason": reason,
        "url": _url(ti, header),
        "owner": plan.owner,
        "at": datetime.now(UTC).isoformat(timespec="microseconds"),
    }


def _record(failure: dict[str, Any], plan: DagPlan, header: Header, task: Any) -> Ended:
    known = CommandTask()
    known.planned(task, plan, header)
    python = header.settings.get("python") if header.runtime == "process" else None
    line = [python or sys.executable, "-P", "-m", "datadriver", "failures", "--record", "-"]
    line += ["--project", header.folder, *(["--env", header.env] if header.env else [])]
    done = subprocess.run(  # noqa: S603 - our own command
        line,
        input=json.dumps([failure]),
        env={**without_airflow(), **_variables(known)},
        cwd=header.folder,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        timeout=_LONGEST,
        check=False,
    )
    return Ended(done.returncode, [*done.stdout.splitlines(), *done.stderr.splitlines()])


def _variables(known: CommandTask) -> dict[str, str]:
    """Return the environment of the command; what Airflow does not have is left out: it may be why the task failed."""
    try:
        found = known.variables()
    except (DatadriverError, AirflowException, AirflowRuntimeError):
        return {name: value for name, value in known.header.environment.items() if isinstance(value, str)}
    return {name: value for name, value in found.items() if name != TASK}  # no failure is over by this


def _reason(error: object, plan: DagPlan) -> tuple[str, int | None]:
    """Return what went wrong in a sentence, and the exit code of the command where it has one."""
    if error is None:
        return "killed or lost: Airflow heard no more of it", None
    if type(error).__name__ == "AirflowTaskTimeout":
        return f"took longer than {plan.limits.timeout:g} s, the timeout of the schedule", None
    text = str(error) or type(error).__name__
    if found := _CODE.search(text):
        return text[: found.start()], int(found[1])
    return text, UNAVAILABLE if text.startswith("unavailable: ") else None


def _url(ti: Any, header: Header) -> str:
    """Return the address of the task's log; Airflow's own idea of it, unless the use case says where people look."""
    if not header.urls.get("airflow"):
        return str(ti.log_url)
    place = f"dags/{ti.dag_id}/runs/{quote(ti.run_id)}/tasks/{ti.task_id}?try_number={ti.try_number}"
    return f"{header.urls['airflow'].rstrip('/')}/{place}"
