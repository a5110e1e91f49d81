"""Monitoring's requests to train again become events of Airflow assets, which start the training DAGs in question."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset, AssetAlias
from airflow.sdk.bases.operator import BaseOperator

from datadriver.orchestration.airflow.runtimes import AnswerTask, on_runtime
from datadriver.orchestration.airflow.tasks import Ended
from datadriver.orchestration.plan import DagPlan, Header, TaskPlan

if TYPE_CHECKING:
    from airflow.sdk import Context

_SAID = ("unit", "model", "asset", "check", "reason", "opened", "announced")


class RequestsTask(AnswerTask):
    """Asks for the requests that Airflow is to be told of now; the ledger remembers which it was."""

    def finish(self, ended: Ended, context: Context) -> Any:
        """Add an event for each of them; Airflow takes them when the task has succeeded."""
        asked = ended.document()["requests"]
        events = context["outlet_events"][_alias(self.header.usecase)]
        for one in asked:
            self.log.info("%s: %s/%s, %s", one["event"], one["unit"], one["model"], one["reason"])
            events.add(Asset(one["event"]), extra={key: one[key] for key in _SAID})
        self.log.info("%s requests to train again", len(asked))
        return len(asked)


def RequestsOperator(*, task: TaskPlan, dag_plan: DagPlan, header: Header, **kwargs: Any) -> BaseOperator:  # noqa: N802 - an operator to whoever calls it
    """Make the task that passes requests on, on the runtime of the header."""
    operator = on_runtime(RequestsTask, task, header)
    return operator(task=task, dag_plan=dag_plan, header=header, outlets=[_alias(header.usecase)], **kwargs)


def _alias(usecase: str) -> AssetAlias:
    return AssetAlias(f"{usecase}/retrain")
