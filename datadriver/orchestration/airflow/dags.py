"""A plan becomes an Airflow DAG: parameters only, no decisions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, timedelta
from functools import lru_cache
from importlib import import_module
from typing import Any

import pendulum
from airflow.sdk import DAG, Asset, AssetAny, AssetOrTimeSchedule, Context
from airflow.sdk.bases.operator import BaseOperator

from datadriver.orchestration.airflow.runtimes import operator_of
from datadriver.orchestration.airflow.timetables import OffsetCronTimetable
from datadriver.orchestration.plan import DagPlan, Header, Limits, TaskPlan, Trigger

_HERE = "datadriver.orchestration.airflow."
_OPERATORS = {
    "gate": "release.GateOperator",
    "approve": "release.ApproveOperator",
    "promote": "release.PromoteOperator",
    "requests": "requests.RequestsOperator",
}
"""Of the kinds of tasks that are more than a command."""


def dag_of(plan: DagPlan, header: Header, *, access: bool = False) -> DAG:
    """Return the DAG of a plan.

    Args:
        plan: of the DAG.
        header: of the file; its folder is absolute.
        access: whether Airflow's auth manager reads the roles of a DAG, and the plan's team is to be one.
    """
    dag = DAG(
        plan.dag_id,
        schedule=_schedule(plan.trigger, plan.dag_id),
        start_date=_midnight(plan.start, plan.trigger.timezone),
        catchup=plan.catchup,
        max_active_runs=1,
        max_active_tasks=len(plan.tasks),
        tags=plan.tags,
        doc_md=plan.doc,
        is_paused_upon_creation=plan.paused,
        access_control={plan.team: _RIGHTS} if access and plan.team else None,
        auto_register=False,
    )
    common = _common(plan)
    tasks = {one.id: _task(one, plan, header, {**common, "dag": dag}) for one in plan.tasks}
    for one in plan.tasks:
        if one.after:
            tasks[one.id].set_upstream([tasks[name] for name in one.after])
    return dag


_RIGHTS: Mapping[str, Any] = {"DAGs": {"can_read", "can_edit"}, "DAG Runs": {"can_create"}}
"""What a role of the FAB auth manager may do: see the DAG, clear, pause and start it."""


def record_failure(context: Context) -> None:
    """Hand a failed task over to the ledger and the notifier; what that takes is imported only then."""
    import_module(_HERE + "callbacks").record_failure(context)


def _schedule(trigger: Trigger, dag_id: str) -> Any:
    timetable: Any = (  # of Airflow's core, which its DAG classes take and do not tell mypy of
        OffsetCronTimetable(trigger.cron, trigger.timezone, offset=trigger.offset, dag_id=dag_id)
        if trigger.cron
        else None
    )
    if not trigger.assets:
        return timetable
    events = AssetAny(*[Asset(name) for name in trigger.assets])
    return events if timetable is None else AssetOrTimeSchedule(timetable=timetable, assets=events)


@lru_cache(maxsize=64)
def _midnight(day: str, timezone: str) -> pendulum.DateTime:
    first = date.fromisoformat(day)
    return pendulum.datetime(first.year, first.month, first.day, tz=timezone)


def _common(plan: DagPlan) -> dict[str, Any]:
    """Return what all tasks of a DAG have."""
    limits: Limits = plan.limits
    return {
        "owner": plan.owner,
        "retries": limits.retries,
        "retry_delay": timedelta(seconds=limits.wait),
        "retry_exponential_backoff": 2.0,
        "max_retry_delay": timedelta(seconds=limits.longest_wait),
        "execution_timeout": timedelta(seconds=limits.timeout),
        "priority_weight": limits.priority,
        "weight_rule": "absolute",
        "on_failure_callback": record_failure,
        **({"pool": limits.pool} if limits.pool else {}),
    }


def _task(task: TaskPlan, plan: DagPlan, header: Header, common: Mapping[str, Any]) -> BaseOperator:
    special = _OPERATORS.get(task.kind)
    operator: Callable[..., BaseOperator] = _operator(special) if special else operator_of(task, header)
    rule = {"trigger_rule": "all_done"} if task.always else {}
    return operator(task=task, dag_plan=plan, header=header, task_id=task.id, **common, **rule)


@lru_cache
def _operator(name: str) -> Callable[..., BaseOperator]:
    """Import an operator when a plan has a task of it."""
    module, _, kind = name.rpartition(".")
    found: Callable[..., BaseOperator] = getattr(import_module(_HERE + module), kind)
    return found
