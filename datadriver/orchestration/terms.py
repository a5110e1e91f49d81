"""What a cohort's DAGs have in common: limits, triggers, what they reach; made once per cohort."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Self

from datadriver.config.fleet import Asset
from datadriver.config.locations import is_url
from datadriver.config.resolve import attributes_of
from datadriver.config.schedule_section import OnData, Schedule, When
from datadriver.config.sections import UseCase
from datadriver.orchestration.ids import data_event, retrain_event, stable_number
from datadriver.orchestration.plan import Limits, Span, Trigger


@dataclass(frozen=True)
class Terms:
    """The schedule of some assets, overrides applied, and what follows from it and from where their data are.

    Attributes:
        sources: whether reading their data needs a network.
        stores: whether ledger, tracking store or scores need one.
        retrains: whether monitoring may ask for training.
        timed: whether runs have instants to hand on; a use case of steps has none.
    """

    schedule: Schedule
    timezone: str
    limits: Limits
    sources: bool
    stores: bool
    retrains: bool
    timed: bool

    @classmethod
    def of(cls, usecase: UseCase) -> Self:
        """Read them from a use case without overrides, or before they are applied."""
        schedule = usecase.schedule
        return cls(
            schedule=schedule,
            timezone=schedule.timezone or usecase.data.timezone,
            limits=_limits(schedule),
            sources=any(_needs_network(source) for source in usecase.data.sources.values()),
            stores=not usecase.ledger.uri.startswith("sqlite")
            or not usecase.tracking.uri.startswith("sqlite")
            or is_url(usecase.tracking.artifacts)
            or is_url(usecase.scores.path),
            retrains=retrains(usecase),
            timed=usecase.data.index == "time",
        )

    def span(self, wanted: Span) -> Span:
        """Return which times a command gets."""
        return wanted if self.timed else "none"

    def trigger(
        self,
        usecase: str,
        subject: str,
        when: When,
        *,
        assets: Iterable[Asset] = (),
        units: Iterable[str] = (),
    ) -> Trigger:
        """Say when the DAG of a subject runs.

        Args:
            usecase: its name.
            subject: what decides the place within `schedule.spread`.
            when: the time or the data.
            assets: whose data are waited for.
            units: which monitoring may ask to train.
        """
        events = [data_event(when.on, attributes_of(asset)) for asset in assets] if isinstance(when, OnData) else []
        if self.retrains:
            events += [retrain_event(usecase, unit) for unit in units]
        events = list(dict.fromkeys(events))
        if not isinstance(when, str):
            return Trigger(assets=events)
        spread = int((self.schedule.spread or timedelta()).total_seconds())
        offset = stable_number((usecase, subject), spread) if spread else 0
        return Trigger(when, self.timezone, offset, events)


def retrains(usecase: UseCase) -> bool:
    """Tell whether an alarm of any check leads to a request to train again."""
    steps = [usecase.monitor.then, *(check.then for _, check in usecase.monitor.checks if check is not None)]
    return any("retrain" in some for some in steps if some)


def together(usecase: UseCase, found: Sequence[UseCase]) -> Terms:
    """Return the terms of assets that share a DAG: their schedule if all have the same, else that of the use case.

    Args:
        usecase: before overrides.
        found: as each cohort of the assets has it.
    """
    terms = [Terms.of(one) for one in found]
    same = all(one.schedule == terms[0].schedule for one in terms[1:])
    return replace(
        terms[0] if same else Terms.of(usecase),
        sources=any(one.sources for one in terms),
        stores=any(one.stores for one in terms),
        retrains=any(one.retrains for one in terms),
    )


def _limits(schedule: Schedule) -> Limits:
    retries, resources = schedule.retries, schedule.resources
    return Limits(
        retries=retries.times,
        wait=retries.wait.total_seconds(),
        longest_wait=retries.longest.total_seconds(),
        timeout=schedule.timeout.total_seconds(),
        pool=schedule.pool,
        priority=schedule.priority,
        cpus=resources.cpus,
        memory=resources.memory,
    )


def _needs_network(source: Any) -> bool:
    """Tell whether a source is elsewhere; a function may read anything."""
    if source.function is not None:
        return True
    if source.uri is not None:
        return not source.uri.startswith("sqlite")
    return source.path is not None and is_url(source.path)
