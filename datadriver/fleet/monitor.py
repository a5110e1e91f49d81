"""Monitor the fleet: groups of assets go out to the workers, verdicts come back and are recorded group by group."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pandas as pd

from datadriver import failpoints
from datadriver.config.fleet import Asset, Instance
from datadriver.config.sections import UseCase
from datadriver.data.window import Instant, Window, as_number, parse_instant
from datadriver.errors import ConfigError, DatadriverError, DataError, UnavailableError
from datadriver.fleet.batches import batch
from datadriver.fleet.monitor_job import MonitoredGroup, MonitorJob, Newest, NewestJob
from datadriver.fleet.monitor_look import Look
from datadriver.fleet.monitor_outputs import HandedOn, hand_on
from datadriver.fleet.monitor_plan import MonitorPlan, groups, in_chunks, retired_checks
from datadriver.fleet.outcomes import Miss, failure
from datadriver.fleet.pool import Workers
from datadriver.fleet.progress import Progress, Silent
from datadriver.fleet.worker import Answer, Call
from datadriver.monitoring.standing import SEVERITIES, gravity
from datadriver.monitoring.store import monitor_path
from datadriver.monitoring.windows import hull, known_until, length_of
from datadriver.tracking import queries
from datadriver.tracking.behind import Behind
from datadriver.tracking.ledger import Ledger
from datadriver.tracking.mlflow_runs import Tracker
from datadriver.tracking.monitor_records import Alarm, CheckState, RetrainRequest
from datadriver.tracking.monitoring import MonitorResult, Recorded, check_states, record_monitoring
from datadriver.tracking.records import Batch

_OLD = 2  # windows


@dataclass(frozen=True)
class MonitorReport:
    """What a monitoring batch did.

    Attributes:
        batch: its id in the ledger.
        path: where facts are written.
        span: from the first window that was looked at to the end of the newest; None if there was none.
        windows: of all assets together, that were looked at; `written` of them were new or had changed.
        states: how every check of the chosen assets stands now, the gravest first.
        opened: alarms that opened, worst first; some of them have closed in a later window again.
        closed: alarms that closed.
        requests: to train again.
        misses: assets and instances that could not be judged whole, and why.
        unsent: what could not be handed on: MLflow, metrics, messages.
        sent: how many messages went out.
        metrics: the OpenMetrics file.
        traces: tracebacks of the use case's code.
        age: how long ago the newest window ended, by the wall clock; None where the index is no time.
        subjects: how many assets, and instances on assets, were looked at; an asset that was lost whole counts once.
    """

    batch: str
    path: str
    span: Window | None = None
    windows: int = 0
    written: int = 0
    states: tuple[CheckState, ...] = ()
    opened: tuple[Alarm, ...] = ()
    closed: tuple[Alarm, ...] = ()
    requests: tuple[RetrainRequest, ...] = ()
    misses: tuple[Miss, ...] = ()
    unsent: tuple[Miss, ...] = ()
    sent: int = 0
    metrics: Path | None = None
    traces: Mapping[str, str] = field(default_factory=dict)
    age: pd.Timedelta | None = None
    subjects: int = 0
    seconds: float = 0.0

    @property
    def failure(self) -> DatadriverError | None:
        """What the command ends with, if not all is well; what could not be handed on is worth a retry."""
        if self.unsent:
            kind = ConfigError if all(miss.exit_code == ConfigError.exit_code for miss in self.unsent) else None
            more = f" (and {len(self.unsent) - 1} more)" if len(self.unsent) > 1 else ""
            said = f"the verdicts are recorded, but not handed on everywhere: {self.unsent[0]}{more}"
            return (kind or UnavailableError)(said)
        return failure(self.misses, of=self.subjects, what="assets and instances")


@dataclass
class Monitoring:
    """One batch of monitoring: the stores it writes to, and what it knows of the use case.

    Attributes:
        usecase: before overrides.
        fleet: every asset, and `served` every instance: what is on record of others is closed.
        tracker: gives the MLflow experiment when it is needed.
        start: where the first window may start, as asked for.
        until: nothing from this instant on counts.
    """

    usecase: UseCase
    root: Path
    ledger: Ledger
    workers: Workers
    fleet: Sequence[Asset]
    served: Sequence[Instance]
    tracker: Callable[[], Tracker | Behind]
    start: Instant | None = None
    until: Instant | None = None
    progress: Progress = field(default_factory=Silent)

    def run(self, instances: Sequence[Instance], assets: Sequence[Asset]) -> MonitorReport:
        """Judge the windows of the chosen assets, and of the chosen instances on them.

        Raises:
            ConfigError: `start` is given, and no whole window lies between it and the end.
            DataError: nobody knows how far the data reach: no asset can be read, and the index is no time.
        """
        started, self._now = time.monotonic(), pd.Timestamp.now("UTC").as_unit("us")
        self._recorded: list[Recorded] = []
        self._groups: list[MonitoredGroup] = []
        self._misses: list[Miss] = []
        self._traces: dict[str, str] = {}
        with batch(self.ledger, "monitor") as made:
            self._retire(made)
            newest = self._newest(assets)
            plan = self._plan(instances, assets, newest)
            looks = plan.looks()
            self._work(looks, made)
        failpoints.reach("facts-recorded")
        # Once the batch is done: the metrics say when that was.
        handed = hand_on(self.usecase, self.root, self.ledger, self.tracker, self.fleet, end=plan.end)
        return self._report(made, plan, looks, handed, time.monotonic() - started)

    def _retire(self, made: Batch) -> None:
        """Close what is on record of assets, instances and checks that there are not any more."""
        gone = retired_checks(self.ledger, self.usecase, self.fleet, self.served)
        if gone:
            self._recorded.append(record_monitoring(self.ledger, MonitorResult(made.id, retired=gone)))

    def _newest(self, assets: Sequence[Asset]) -> Mapping[str, Newest]:
        """Find how far the data of the fleet reach; of the chosen assets alone where it is said how far counts."""
        kind, length = self.usecase.data.index, length_of(self.usecase)
        if kind == "time" and self.until is not None and self.until <= self._now - length:  # type: ignore[operator]
            return {}
        asked = assets if self.until is not None and kind == "time" else self.fleet
        now = self._now if kind == "time" else None
        calls = [
            Call("datadriver.fleet.monitor_job:newest_readings", NewestJob(self.root, self.usecase, tuple(some), now))
            for some in in_chunks(asked, 64)
        ]
        found: dict[str, Newest] = {}
        for _, answer in self.workers.answers(calls, at_most=len(calls)):
            found |= answer.value if answer.error is None else {}  # looking at those assets will say why
        return found

    def _end(self, newest: Mapping[str, Newest]) -> Instant:
        """Return the instant from which on nothing is known."""
        known = [one.instant for one in newest.values() if one.instant is not None]
        reached = known_until(self.usecase, max(known, key=as_number)) if known else None
        if self.usecase.data.index == "time":
            asked = reached if self.until is None else self.until
            return self._now if asked is None else min(asked, self._now, key=as_number)
        if reached is None:
            raise DataError(f"none of the {len(self.fleet)} assets has data that can be read; see datadriver validate")
        return reached if self.until is None else min(self.until, reached, key=as_number)

    def _plan(
        self, instances: Sequence[Instance], assets: Sequence[Asset], newest: Mapping[str, Newest]
    ) -> MonitorPlan:
        states = check_states(self.ledger, assets=[asset.id for asset in assets])
        ahead = {asset: one.ahead for asset, one in newest.items() if one.ahead is not None}
        return MonitorPlan(
            usecase=self.usecase,
            assets=tuple(assets),
            instances=tuple(instances),
            champions=queries.champions(self.ledger),
            states=states,
            end=self._end(newest),
            start=self.start,
            ahead=ahead,
        )

    def _work(self, looks: Sequence[Look], made: Batch) -> None:
        self.progress.begin("monitoring", len(looks))
        try:
            for job, answer in self._answers(looks, made):
                self._sort_out(job, answer, made)
        finally:
            self.progress.end()

    def _answers(self, looks: Sequence[Look], made: Batch) -> Iterator[tuple[MonitorJob, Answer]]:
        """Hand out groups of assets, each with the states of its checks."""
        parts = groups(self.usecase, looks)
        calls = (Call("datadriver.fleet.monitor_job:monitor_group", self._job(some, made)) for some in parts)
        for call, answer in self.workers.answers(calls, at_most=len(parts)):
            yield call.argument, answer

    def _job(self, looks: Sequence[Look], made: Batch) -> MonitorJob:
        states = check_states(self.ledger, assets=[look.asset.id for look in looks])
        return MonitorJob(self.root, self.usecase, tuple(looks), states, made.id)

    def _sort_out(self, job: MonitorJob, answer: Answer, made: Batch) -> None:
        """Record the verdicts of one group; facts are written already, and are written again if this is killed."""
        if answer.error is not None:
            names = [look.asset.id for look in job.looks]
            self._misses += [Miss(name, answer.error.message, answer.error.exit_code) for name in names]
            self._traces |= {names[0]: answer.trace} if answer.trace else {}
        else:
            group: MonitoredGroup = answer.value
            self._recorded.append(record_monitoring(self.ledger, group.result))
            self._groups.append(replace(group, result=MonitorResult(made.id), misses=(), traces={}))
            self._misses += group.misses
            self._traces |= group.traces
        lost = {miss.name for miss in self._misses}
        for look in job.looks:
            self.progress.advance(failed=look.asset.id in lost)

    def _report(
        self, made: Batch, plan: MonitorPlan, looks: Sequence[Look], handed: HandedOn, seconds: float
    ) -> MonitorReport:
        states = check_states(self.ledger, assets=[asset.id for asset in plan.assets])
        lost = {miss.name for miss in self._misses}
        return MonitorReport(
            batch=made.id,
            path=monitor_path(self.usecase, self.root),
            span=hull(group.span for group in self._groups if group.span is not None),
            windows=sum(group.windows for group in self._groups),
            written=sum(group.written for group in self._groups),
            states=tuple(sorted(states.values(), key=gravity)),
            opened=tuple(sorted((one for part in self._recorded for one in part.opened), key=_alarm_gravity)),
            closed=tuple(one for part in self._recorded for one in part.closed),
            requests=tuple(one for part in self._recorded for one in part.requests),
            misses=tuple(self._misses),
            unsent=handed.unsent,
            sent=handed.sent,
            metrics=handed.metrics,
            traces=self._traces,
            age=self._age(plan.end, states.values()),
            subjects=sum(1 if look.asset.id in lost else 1 + len(look.watches) for look in looks),
            seconds=seconds,
        )

    def _age(self, end: Instant, states: Iterable[CheckState]) -> pd.Timedelta | None:
        """Return how old the newest window is, of those that were judged before, too, if that is worth a word."""
        if isinstance(end, int):
            return None
        known = (parse_instant(state.window_end, self.usecase) for state in states)
        age = self._now - max([end, *(one for one in known if not isinstance(one, int))])
        return age if age > _OLD * pd.Timedelta(length_of(self.usecase)) else None


def _alarm_gravity(alarm: Alarm) -> tuple[bool, int, str, str]:
    return alarm.closed is not None, SEVERITIES.index(alarm.severity), alarm.asset, alarm.model
