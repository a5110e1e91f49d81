"""A release in Airflow: the gate proposes, a person approves where that is asked for, and exactly that is promoted.

What was proposed is kept in the ledger under a number. Gate, question and promotion go by it, so nothing that is
trained in between can slip in.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.hitl import ApprovalOperator, HITLOperator
from airflow.providers.standard.utils.skipmixin import XCOM_SKIPMIXIN_KEY, XCOM_SKIPMIXIN_SKIPPED
from airflow.sdk.bases.operator import BaseOperator
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException, DownstreamTasksSkipped

from datadriver.orchestration.airflow.runtimes import AnswerTask, on_runtime
from datadriver.orchestration.airflow.tasks import CommandTask, Ended
from datadriver.orchestration.plan import DagPlan, Header, TaskPlan

if TYPE_CHECKING:
    from airflow.sdk import Context

_SHOWN = 20
_LONGEST = 300  # characters of a reason in a table
_NOBODY = "airflow"
"""Who answers for a release that nobody had to approve."""

ALL = "all"


class GateTask(AnswerTask):
    """Asks the gate over all new challengers; if it lets none through, the rest of the run is skipped."""

    inherits_from_skipmixin = True  # what it does to others holds when they are cleared, too

    def finish(self, ended: Ended, context: Context) -> Any:
        """Return the number of the proposal and what a person must see of it."""
        document = ended.document()
        proposed = document["instances"]
        if not proposed:
            self.log.info("None of %s instances has a challenger that would win: nothing to release.", document["of"])
            assert isinstance(self, BaseOperator)  # noqa: S101 - for mypy: it is combined with a runtime's
            rest = [task.task_id for task in self.get_flat_relatives(upstream=False) if not task.is_teardown]
            context["ti"].xcom_push(key=XCOM_SKIPMIXIN_KEY, value={XCOM_SKIPMIXIN_SKIPPED: rest})
            raise DownstreamTasksSkipped(tasks=rest)  # type: ignore[no-untyped-call]
        self.log.info("Proposal %s: %s challengers would win.", document["proposal"], len(proposed))
        parts = {name: [one for one in proposed if name in (ALL, one["approval"])] for name in (ALL, "auto", "manual")}
        return {"proposal": document["proposal"], **{name: _summary(part) for name, part in parts.items()}}


class PromoteTask(CommandTask):
    """Releases what was proposed, in the name of whoever approved it; what was refused is put on record as that."""

    _options: Sequence[str] = ()

    def execute(self, context: Context) -> Any:
        """Promote, refuse, or do neither where there is nothing of this task's share or nobody answered."""
        gate = _gate_of(self.dag_plan)
        found = context["ti"].xcom_pull(task_ids=gate)
        if not found:
            raise AirflowFailException(f"the task {gate} did not come to its end, so nothing is proposed or released")
        self._options = self._answered(context) if self._question else _unasked(found, context)
        if self._share != ALL and not found[self._share]["count"]:
            raise AirflowSkipException("nothing of this share was proposed")
        super().execute(context)
        if "--refuse" in self._options:
            raise AirflowSkipException(f"refused by {self._options[self._options.index('--by') + 1]}: not released")

    def command_line(self, context: Context) -> list[str]:
        """Return the command, for this proposal and in this name."""
        return [*super().command_line(context), *self._options]

    @property
    def _share(self) -> str:
        return share_of(self.task_plan)

    @property
    def _question(self) -> str | None:
        """Id of the task in which this release is approved, None where nobody has to."""
        asked = {one.id for one in self.dag_plan.tasks if one.kind == "approve"}
        return next((name for name in self.task_plan.after if name in asked), None)

    def _answered(self, context: Context) -> list[str]:
        answer = context["ti"].xcom_pull(task_ids=self._question)
        if not answer:
            raise AirflowSkipException("nothing was asked, so there is nothing to release")
        if not answer["responded_by_user"]:
            raise AirflowSkipException("nobody answered in time; the next run asks again")
        person = str(answer["responded_by_user"]["name"])
        approved = answer["chosen_options"] == [ApprovalOperator.APPROVE]
        word = "approved" if approved else "refused"
        options = ["--proposal", str(answer["proposal"]), "--by", person, "--reason", f"{word} in {_run(context)}"]
        return options if approved else [*options, "--refuse"]


class ApproveOperator(ApprovalOperator):
    """Asks a person whether the winners shall serve; waits without holding a worker.

    A question that nobody has answered when the next run is about to ask a newer one is withdrawn: there is never more
    than one, and it is about the newest challengers.
    """

    def __init__(self, *, task: TaskPlan, dag_plan: DagPlan, header: Header, **kwargs: Any) -> None:
        kwargs["execution_timeout"] = None  # that of a command; Airflow would take it for the time to answer
        super().__init__(subject=f"{header.usecase}: release?", defaults=self.REJECT, **kwargs)
        self.task_plan, self.dag_plan, self.header = task, dag_plan, header

    def execute(self, context: Context) -> Any:
        """Say what it is about, and wait for the answer."""
        found = context["ti"].xcom_pull(task_ids=_gate_of(self.dag_plan))
        if not found:
            raise AirflowFailException("the gate did not come to its end, so there is nothing to approve")
        part = found[self._share]
        if not part["count"]:
            raise AirflowSkipException("nothing that was proposed needs approval")
        self.subject = f"{self.header.usecase}: release {_count(part['count'], 'new champion')}?"
        self.body = question(found["proposal"], part, self.header)
        self.response_timeout = _left(context["dag_run"])
        context["ti"].xcom_push(key="proposal", value=found["proposal"])
        return super().execute(context)

    def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:
        """Return the answer and what it is about; of a refusal, what follows makes a record, and then skips itself."""
        answer = HITLOperator.execute_complete(self, context, event)
        asked = context["ti"].xcom_pull(task_ids=self.task_id, key="proposal")
        return {**answer, "proposal": asked}

    @property
    def _share(self) -> str:
        promotes = [one for one in self.dag_plan.tasks if one.kind == "promote" and self.task_id in one.after]
        return share_of(promotes[0]) if promotes else ALL


def GateOperator(*, task: TaskPlan, dag_plan: DagPlan, header: Header, **kwargs: Any) -> BaseOperator:  # noqa: N802 - an operator to whoever calls it
    """Make the gate of a release, on the runtime of the header."""
    return on_runtime(GateTask, task, header)(task=task, dag_plan=dag_plan, header=header, **kwargs)


def PromoteOperator(*, task: TaskPlan, dag_plan: DagPlan, header: Header, **kwargs: Any) -> BaseOperator:  # noqa: N802 - an operator to whoever calls it
    """Make the last step of a release, on the runtime of the header."""
    return on_runtime(PromoteTask, task, header)(task=task, dag_plan=dag_plan, header=header, **kwargs)


def share_of(task: TaskPlan) -> str:
    """Return which models a promotion is about: those whose approval is `auto`, `manual`, or all.

    >>> share_of(TaskPlan("promote", command=("promote", "--approval", "auto"))), share_of(TaskPlan("promote"))
    ('auto', 'all')
    """
    command = [*task.command]
    return command[command.index("--approval") + 1] if "--approval" in command else ALL


def question(proposal: int, part: dict[str, Any], header: Header) -> str:
    """Write in Markdown what a person is asked: how many of which model, the first of them, and where to look."""
    counts = ", ".join(f"{count:,} {name}" for name, count in part["models"].items())
    lines = [f"{_count(part['count'], 'challenger')} passed the gate: {counts}.", ""]
    lines += ["| unit | model | serves | would serve | why |", "| --- | --- | --- | --- | --- |"]
    lines += [_table_row(one) for one in part["first"]]
    if more := part["count"] - len(part["first"]):
        lines += ["", f"And {more:,} more: `datadriver diff --proposal {proposal}` lists all."]
    links = [
        f"[{name}]({header.urls[key]})"
        for key, name in (("report", "report"), ("mlflow", "MLflow"))
        if header.urls.get(key)
    ]
    lines += ["", f"Proposal {proposal}. " + " ".join(links)]
    return "\n".join(lines).rstrip()


def _summary(proposed: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return what a question shows, of a size that Airflow's database may keep."""
    keys = ("unit", "model", "champion", "challenger", "reason")
    return {
        "count": len(proposed),
        "models": dict(Counter(one["model"] for one in proposed).most_common()),
        "first": [{key: one[key] for key in keys} for one in proposed[:_SHOWN]],
    }


def _table_row(one: dict[str, Any]) -> str:
    serves = "nothing yet" if one["champion"] is None else f"v{one['champion']}"
    cells = (one["unit"], one["model"], serves, f"v{one['challenger']}", str(one["reason"])[:_LONGEST])
    return "| " + " | ".join(" ".join(str(cell).replace("|", "\\|").split()) for cell in cells) + " |"


def _left(run: Any) -> timedelta | None:
    """Return the time until the next run of the schedule; None where there is none, and the question stays."""
    start, end = run.data_interval_start, run.data_interval_end
    if start is None or end is None or start >= end:
        return None
    left: timedelta = end + (end - start) - datetime.now(UTC)
    return left if left > timedelta() else end - start


def _gate_of(plan: DagPlan) -> str:
    return next(one.id for one in plan.tasks if one.kind == "gate")


def _unasked(found: dict[str, Any], context: Context) -> list[str]:
    return ["--proposal", str(found["proposal"]), "--by", _NOBODY, "--reason", f"passed the gate in {_run(context)}"]


def _run(context: Context) -> str:
    return f"Airflow, run {context['run_id']} of {context['dag_run'].dag_id}"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")
