"""The DAGs that a use case has once: release, monitoring, and where models are in images, the base of those."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta

from datadriver.config.fleet import Instance
from datadriver.config.sections import UseCase
from datadriver.orchestration.ids import dag_id
from datadriver.orchestration.plan import RUN, DagKind, DagPlan, TaskPlan, Trigger
from datadriver.orchestration.terms import Terms, retrains
from datadriver.orchestration.texts import Texts, urls


def use_case_dags(usecase: UseCase, instances: Sequence[Instance]) -> Iterator[DagPlan]:
    """Yield them; limits, owner and tags are those of the use case before overrides."""
    terms = Terms.of(usecase)
    spread = int((usecase.schedule.spread or timedelta()).total_seconds())
    asked = any(retrains(one) for one in {id(one.usecase): one.usecase for one in instances}.values())
    yield _dag(usecase, terms, "release", usecase.schedule.release, _release(usecase, instances))
    # When every asset has started to score the same interval.
    yield _dag(usecase, terms, "monitor", usecase.schedule.monitor, _monitoring(terms, asked), offset=spread)
    if usecase.schedule.runtime != "process":
        base = TaskPlan("base", command=(*_package(usecase), "--base"), on_worker=True)
        yield _dag(usecase, terms, "base", None, [base])


def _dag(  # noqa: PLR0913 - what differs
    usecase: UseCase, terms: Terms, kind: DagKind, cron: str | None, tasks: Sequence[TaskPlan], *, offset: int = 0
) -> DagPlan:
    schedule = terms.schedule
    return DagPlan(
        dag_id=dag_id(usecase.name, kind),
        kind=kind,
        subject=usecase.name,
        trigger=Trigger() if cron is None else Trigger(cron, terms.timezone, offset),
        tasks=tasks,
        limits=terms.limits,
        owner=schedule.owner,
        tags=sorted({usecase.name, kind, schedule.runtime}),
        doc=Texts(usecase.name, urls(usecase)).of_usecase(kind),
        start=schedule.start.isoformat(),
        catchup=schedule.catchup if kind == "monitor" else False,
        paused=schedule.paused,
    )


def _release(usecase: UseCase, instances: Sequence[Instance]) -> list[TaskPlan]:
    """Return gate, images of the winners, approval and promotion; models that need no approval do not wait for it.

    What the gate lets through is kept under the name of the run, so that exactly that is packaged, approved, released:
    promotions are told its number. An image that cannot be made holds back its own model only.
    """
    approvals = {"manual" if usecase.schedule.approval else one.spec.promote.approval for one in instances}
    name = f"run-{RUN}"  # a name of digits would be the number of a proposal
    tasks = [TaskPlan("gate", kind="gate", command=("diff", "--json", "--propose", name))]
    promote: tuple[str, ...] = ("promote",)
    images = usecase.schedule.runtime != "process"
    if images:
        command = (*_package(usecase), "--proposal", name)
        tasks.append(TaskPlan("images", command=command, after=("gate",), on_worker=True))
        promote = ("promote", "--packaged")
    last = (tasks[-1].id,)
    if "auto" in approvals:
        command = (*promote, "--approval", "auto") if len(approvals) > 1 else promote
        tasks.append(TaskPlan("promote", kind="promote", command=command, after=last, always=images))
    if "manual" in approvals:
        command = (*promote, "--approval", "manual") if len(approvals) > 1 else promote
        tasks.append(TaskPlan("approve", kind="approve", after=last, always=images))
        tasks.append(TaskPlan("promote_approved", kind="promote", command=command, after=("approve",)))
    return tasks


def _monitoring(terms: Terms, asked: bool) -> list[TaskPlan]:
    """Return monitoring and report, and where monitoring may ask for training, what tells Airflow of it."""
    until = terms.span("until")
    tasks = [
        TaskPlan("monitor", command=("monitor",), span=until),
        TaskPlan("report", command=("report",), span=until, after=("monitor",), always=True),
    ]
    if asked:
        tasks.append(
            TaskPlan(
                "requests",
                kind="requests",
                command=("requests", "--json", "--announce", RUN),
                after=("monitor",),
                always=True,
            )
        )
    return tasks


def _package(usecase: UseCase) -> tuple[str, ...]:
    """Return the command that makes images; without a registry they stay in the engine of the worker."""
    return ("package", "--push") if usecase.package.registry else ("package",)
