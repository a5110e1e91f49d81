"""What the pages of the report show, as frozen dataclasses of plain values: gathered first, rendered later.

Instants are text as the ledger keeps it (ISO 8601 in UTC, or the digits of a step); what plots take are arrays of
whole numbers, as `data.window.as_number` makes them: microseconds since 1970 in UTC, or the step. `Heading.when` writes
both for people, in the zone of the use case.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from datadriver.config.fleet import AttributeValue
from datadriver.data.window import Window
from datadriver.fleet.status import InstanceStatus
from datadriver.reporting.bands import Bound
from datadriver.tracking.monitor_records import Alarm, CheckState, Health, RetrainRequest
from datadriver.tracking.records import Version
from datadriver.tracking.task_failures import TaskFailure

Instants = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

ATTENTION: tuple[Health, ...] = ("alarm", "pending", "unknown", "silenced", "ok")
"""States of an asset in the order in which an engineer wants to see them: what may turn into an alarm comes before
what is already being worked on."""


@dataclass(frozen=True)
class Heading:
    """What every page says at its top.

    Attributes:
        usecase: its name; `description` is its sentence.
        index: kind of the index.
        timezone: in which times are shown.
        end: end of the newest window of the fleet.
        window: length of a window, as people write it: `1d`.
        made_at: when the report was made, an ISO 8601 time in UTC whatever the index.
        since: alarms that opened after this are news.
        since_at: releases and trainings recorded after this are news; a time like `made_at`.
        old: a sentence if the fleet's data is old, else empty.
        mlflow: address of MLflow's pages, or the command that starts them (then it does not start with `http`).
    """

    usecase: str
    description: str
    index: Literal["time", "step"]
    timezone: str
    end: str
    window: str
    made_at: str
    since: str
    since_at: str
    old: str = ""
    mlflow: str = ""

    def when(self, instant: str | int | None) -> str:
        """Write an instant for people, in the use case's zone; a step as it is, nothing as a dash."""
        if instant is None or instant == "":
            return "—"
        if isinstance(instant, str) and not instant.lstrip("-").isdigit():
            return self._local(datetime.fromisoformat(instant))
        if self.index == "step":
            return f"step {int(instant):,}"
        return self._local(datetime.fromtimestamp(int(instant) / 1e6, UTC))

    def age(self, instant: str) -> str:
        """Write how long before the end of the newest window it was: `3 d`, `200 steps`; nothing for the end itself."""
        if instant == self.end:
            return ""
        if self.index == "step":
            return f"{int(self.end) - int(instant):,} steps"
        hours = (datetime.fromisoformat(self.end) - datetime.fromisoformat(instant)).total_seconds() / 3600
        return f"{hours:.0f} h" if hours < 24 else f"{hours / 24:.0f} d"

    def _local(self, time: datetime) -> str:
        return f"{time.astimezone(ZoneInfo(self.timezone)):%Y-%m-%d %H:%M}"


@dataclass(frozen=True)
class Change:
    """One change of an instance's champion, or an attempt to find a better one that failed.

    Attributes:
        at: when, an ISO 8601 time.
        kind: `promote` and `rollback` come from releases, `request` from monitoring.
        version: in service afterwards, None for none; `previous` before.
        by: who did it.
        reason: why.
        release: number of the release.
    """

    at: str
    kind: Literal["promote", "rollback", "request"]
    version: int | None = None
    previous: int | None = None
    by: str = ""
    reason: str = ""
    release: int | None = None


@dataclass(frozen=True)
class InstanceLine:
    """An instance: how it stands, who serves it, and how that came about.

    Attributes:
        status: as `datadriver status` shows it; `status.primary` names the metric that decides.
        problem: `regression`, `classification` or `anomaly`.
        greater_is_better: of the primary metric; None if unknown.
        assets: ids of the unit's assets.
        champion: the version that serves; its `role` says whether that is the baseline.
        versions: the newest ones, newest first, the champion among them.
        changes: of the champion and requests to train again, newest first.
        requests: to train again that no training has answered yet.
        link: address of the registered model in MLflow, empty without a server.
    """

    status: InstanceStatus
    problem: str
    assets: tuple[str, ...]
    champion: Version | None = None
    greater_is_better: bool | None = None
    versions: tuple[Version, ...] = ()
    changes: tuple[Change, ...] = ()
    requests: tuple[RetrainRequest, ...] = ()
    link: str = ""

    @property
    def unit(self) -> str:
        """Key of the unit."""
        return self.status.unit

    @property
    def model(self) -> str:
        """Name of the model."""
        return self.status.model


@dataclass(frozen=True)
class AssetLine:
    """An asset as the fleet page lists it.

    Attributes:
        id: as the plant writes it; `page` is the name of its page's file, without folder.
        attributes: of the fleet table.
        state: its gravest, see `monitoring.standing`.
        reason: of that state, in words; never empty.
        checks: how each check stands, the gravest first.
        instances: the models that serve it.
        alarms: of the period that the report covers, and open ones, newest first.
        failures: tasks of the scheduler about it that failed and have not succeeded since.
    """

    id: str
    page: str
    attributes: Mapping[str, AttributeValue]
    state: Health
    reason: str
    checks: tuple[CheckState, ...] = ()
    instances: tuple[InstanceLine, ...] = ()
    alarms: tuple[Alarm, ...] = ()
    failures: tuple[TaskFailure, ...] = ()

    @property
    def worst(self) -> CheckState | None:
        """The check that the state comes from."""
        return next((check for check in self.checks if check.state == self.state), None)

    @property
    def severity(self) -> str:
        """How grave that is: `critical`, `warning`, `info`, or empty where all is well."""
        return self.worst.severity if self.worst is not None and self.state != "ok" else ""


@dataclass(frozen=True)
class News:
    """One thing that changed since yesterday; `asset` and `model` are empty where it is about neither."""

    kind: Literal["opened", "closed", "champion", "rollback", "request", "failing", "new", "gone"]
    at: str
    text: str
    asset: str = ""
    model: str = ""
    severity: str = ""


@dataclass(frozen=True)
class Trend:
    """One check of one model over the windows of the period and all assets that the model serves.

    Attributes:
        measure: unit of the figures.
        start: start of each window; `at` is its end.
        middle: median of the assets' figures, NaN where no asset has one; `low` and `high` are their 10% and 90%
            quantiles.
        limit: of all assets; where they have different ones, figures are `relative` to the limit, and it is 1.
        side: on which side of the limit figures breach.
        judged: assets with an outcome of `ok` or `breach`; `breaches` of them breached.
        unknown: assets with the outcome `unknown`.
    """

    check: str
    measure: str
    start: Instants
    at: Instants
    middle: Floats
    low: Floats
    high: Floats
    limit: Floats
    judged: Instants
    breaches: Instants
    unknown: Instants
    side: Literal["above", "below"] = "above"
    relative: bool = False


@dataclass(frozen=True)
class ModelFacts:
    """Everything that the page of one model shows.

    Attributes:
        heading: of every page.
        name: of the model, such as `failure[horizon=3d]`; `page` is the name of its page's file.
        problem: `regression`, `classification` or `anomaly`.
        primary: metric that decides; `greater_is_better` None if unknown.
        lines: its instances, those that need attention first.
        checks: of the model's instances, by instance key and asset: drift, score drift, performance, alarms.
        trends: each check over time and fleet, as `trends.trends` makes them.
        pages: file of the page of each asset of the fleet.
    """

    heading: Heading
    name: str
    page: str
    problem: str
    primary: str | None
    greater_is_better: bool | None
    lines: tuple[InstanceLine, ...]
    checks: tuple[CheckState, ...] = ()
    trends: tuple[Trend, ...] = ()
    pages: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class FleetFacts:
    """Everything that the fleet page shows, and what the other pages are made of.

    Attributes:
        period: what pages look back on; its end is that of the newest window.
        assets: worst first.
        attributes: names of the fleet table's columns, in its order.
        models: in the order of `usecase.yaml`.
        news: what changed since yesterday, gravest kind first; `first` says that there was no yesterday.
    """

    heading: Heading
    period: Window
    assets: tuple[AssetLine, ...]
    attributes: tuple[str, ...]
    models: tuple[ModelFacts, ...]
    news: tuple[News, ...] = ()
    first: bool = False


@dataclass(frozen=True)
class TagCurve:
    """One tag over the period, in the buckets in which monitoring keeps it.

    Attributes:
        tag: its name; `unit` its physical unit, if the configuration says it.
        at: start of each bucket, sorted.
        mean: of the bucket, NaN without a reading; `low` and `high` are its smallest and largest reading.
        rows: readings in the bucket.
        limits: what is physically possible, from `range`.
        bounds: what the contract expects of a value, as `bands.contract_bounds` tells.
    """

    tag: str
    unit: str
    at: Instants
    mean: Floats
    low: Floats
    high: Floats
    rows: Floats
    limits: tuple[float | None, float | None] = (None, None)
    bounds: tuple[Bound, ...] = ()


@dataclass(frozen=True)
class ScoreCurve:
    """Every stored score of one instance on one asset over the period.

    Attributes:
        on: what alarms are raised on, `residual` or `score`; None where the model raises none.
        limit: threshold of the champion, in the unit of `on`; a residual beyond it on either side counts.
        measure: unit of a regression's score, actual and residual: that of the target's tag, if it is known.
        at: instants, sorted.
        alarm: flags.
        version: which version scored.
    """

    unit: str
    model: str
    at: Instants
    score: Floats
    actual: Floats
    residual: Floats
    alarm: npt.NDArray[np.bool_]
    version: Instants
    on: Literal["residual", "score"] | None = None
    limit: float | None = None
    measure: str = ""


@dataclass(frozen=True)
class CheckCurve:
    """One check over the windows of the period, oldest first; `unit` and `model` are empty for checks of data.

    Attributes:
        measure: unit of `value` and `limit`.
        start: start of each window; `at` is its end.
        outcome: `ok`, `breach` or `unknown`.
        state: after each window.
        about: tag, feature or metric with the worst figure.
        reason: in words.
        details: figure of every tag, feature or metric in each window, by its name; NaN where there was none.
    """

    check: str
    unit: str
    model: str
    measure: str
    start: Instants
    at: Instants
    value: Floats
    limit: Floats
    outcome: tuple[str, ...]
    state: tuple[str, ...]
    about: tuple[str, ...]
    reason: tuple[str, ...]
    details: Mapping[str, Floats] = field(default_factory=dict)


@dataclass(frozen=True)
class Mark:
    """One event of an asset, such as a failure or a visit: a mark on its plots, a line in its list.

    Attributes:
        at: when it happened, a number like those of the curves.
        source: the table that says so.
        text: what its columns say.
        grave: it is what a model predicts, such as a failure.
    """

    at: int
    source: str
    text: str
    grave: bool = False


@dataclass(frozen=True)
class AssetFacts:
    """Everything that the page of one asset shows; `line` says how it stands, the curves how that came about.

    Attributes:
        start: of the period, a number like those of the curves; `end` is its end.
        models: file of the page of each model.
        events: of the period, oldest first, as `events.read_marks` reads them.
        notes: sentences about what could not be shown, and why.
        before: id and file of the asset whose page comes before, in the order of the fleet page; `after` likewise.
    """

    heading: Heading
    line: AssetLine
    start: int
    end: int
    tags: tuple[TagCurve, ...] = ()
    scores: tuple[ScoreCurve, ...] = ()
    checks: tuple[CheckCurve, ...] = ()
    models: Mapping[str, str] = field(default_factory=dict)
    events: tuple[Mark, ...] = ()
    notes: tuple[str, ...] = ()
    before: tuple[str, str] | None = None
    after: tuple[str, str] | None = None
