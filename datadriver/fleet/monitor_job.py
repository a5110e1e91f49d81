"""One monitoring job, inside of a worker: some assets from their sources to verdicts, facts written on the way."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from datadriver.config.fleet import Asset
from datadriver.config.resolve import resolve
from datadriver.config.sections import UseCase
from datadriver.data.fingerprint import extent
from datadriver.data.window import Instant, Window, as_number, from_number, shift
from datadriver.errors import DataError, UnavailableError
from datadriver.fleet.failures import explained
from datadriver.fleet.monitor_facts import look_at
from datadriver.fleet.monitor_look import Findings, Look, References, truth_reach
from datadriver.fleet.monitor_verdicts import Past, Sequel, States, Verdicts
from datadriver.fleet.outcomes import Miss
from datadriver.monitoring.rules import Judged
from datadriver.monitoring.silence import silent_windows
from datadriver.monitoring.store import monitor_path, write_facts, write_series
from datadriver.monitoring.windows import hull
from datadriver.serving.scores import read_scores, scores_path
from datadriver.tracking.monitoring import CheckKey, MonitorResult

_REFERENCES = References()  # one worker process looks at many assets


@dataclass(frozen=True)
class NewestJob:
    """What a worker needs to find the newest reading of some assets.

    Attributes:
        usecase: before overrides.
        now: this moment, None where the index is no time.
    """

    root: Path
    usecase: UseCase
    assets: tuple[Asset, ...]
    now: Instant | None = None


@dataclass(frozen=True)
class Newest:
    """The newest reading of an asset that is not in the future, and of those that are in the future the newest."""

    instant: Instant | None = None
    ahead: Instant | None = None


@dataclass(frozen=True)
class MonitorJob:
    """What a worker needs to monitor a group of assets.

    Attributes:
        usecase: before overrides.
        states: how the checks of these assets stood before.
        batch: id of the batch.
    """

    root: Path
    usecase: UseCase
    looks: tuple[Look, ...]
    states: States
    batch: str


@dataclass(frozen=True)
class MonitoredGroup:
    """What came of one job.

    Attributes:
        result: for the ledger.
        windows: of all assets together, that were looked at; `written` of them were new or had changed.
        span: from the first of them to the end of the last.
        misses: what could not be done.
        traces: tracebacks of the use case's code.
    """

    result: MonitorResult
    windows: int = 0
    written: int = 0
    span: Window | None = None
    misses: tuple[Miss, ...] = ()
    traces: Mapping[str, str] = field(default_factory=dict)


def newest_readings(job: NewestJob) -> Mapping[str, Newest]:
    """Find the newest readings of some assets, without reading more than needed."""
    return {asset.id: _newest(job, asset) for asset in job.assets}


def _newest(job: NewestJob, asset: Asset) -> Newest:
    usecase, ahead = resolve(job.usecase, asset), None
    try:
        last = _last(extent(usecase, asset, job.root), usecase)
        if job.now is not None and as_number(last) > as_number(job.now):
            ahead = last
            last = _last(extent(usecase, asset, job.root, until=job.now), usecase)
    except (DataError, UnavailableError):
        return Newest(None, ahead)  # looking at the asset will say why
    return Newest(last, ahead)


def _last(whole: Window, usecase: UseCase) -> Instant:
    return from_number(as_number(whole.end or 0) - 1, usecase.data.index)


def monitor_group(job: MonitorJob) -> MonitoredGroup:
    """Look at some assets and judge what is found; facts are written here, verdicts are for the parent to record."""
    group = _Group(job)
    for look in job.looks:
        group.add(look)
    return group.written()


class _Group:
    """The assets of one job: what they share is read once."""

    def __init__(self, job: MonitorJob) -> None:
        self._job, self._path = job, monitor_path(job.usecase, job.root)
        self._scores = _scores(job)
        self._verdicts = Verdicts(Past(job.usecase, job.looks, job.states, self._path), job.batch)
        self._rows: list[Judged] = []
        self._series: list[pd.DataFrame] = []
        self._misses: list[Miss] = []
        self._traces: dict[str, str] = {}
        self._windows: list[Window] = []

    def add(self, look: Look) -> None:
        """Look at one asset; what does not answer is a miss of this asset alone."""
        try:
            found = look_at(look, self._scores.get(look.asset.id, {}), _REFERENCES, self._job.root)
            sequels = self._verdicts.sequels(found.facts)
            silent = self._silent(look, sequels, found)
        except Exception as error:
            known = explained(error)
            self._misses.append(Miss(look.asset.id, known.message, known.exit_code))
            self._traces[look.asset.id] = traceback.format_exc()
            return
        self._rows += self._verdicts.judge(look, sequels, silent)
        self._windows += {fact.window for fact in found.facts}
        self._misses += found.misses
        self._traces |= found.traces
        if found.series is not None and len(found.series):
            self._series.append(found.series)

    def written(self) -> MonitoredGroup:
        """Write facts and readings, and return the rest."""
        write_facts(self._path, self._rows)
        if self._series:
            write_series(self._path, pd.concat(self._series, ignore_index=True))
        changed = {(row.fact.subject.asset, row.fact.window) for row in self._rows}
        result = self._verdicts.result()
        span = hull(self._windows)
        return MonitoredGroup(result, len(self._windows), len(changed), span, tuple(self._misses), self._traces)

    def _silent(self, look: Look, sequels: Mapping[CheckKey, Sequel], found: Findings) -> Mapping[Window, str]:
        windows = {fact.window: None for sequel in sequels.values() for fact in sequel.facts}
        try:
            return silent_windows(look.usecase, look.asset, tuple(windows), self._job.root)
        except DataError as error:
            found.misses.append(Miss(look.asset.id, error.message, error.exit_code))
            return {}


def _scores(job: MonitorJob) -> Mapping[str, Mapping[tuple[str, str], pd.DataFrame]]:
    """Read the stored scores of all assets of the job at once: by asset, then by unit and model."""
    watches = [(look, watch) for look in job.looks for watch in look.watches]
    found: dict[str, dict[tuple[str, str], pd.DataFrame]] = {}
    if not watches:
        return found
    start = min((shift(watch.since, -truth_reach(watch.instance)) for _, watch in watches), key=as_number)
    scores = read_scores(
        scores_path(job.root, job.usecase.scores.path),
        assets=sorted({look.asset.id for look, _ in watches}),
        models=sorted({watch.instance.model for _, watch in watches}),
        window=Window(start, max((look.end for look, _ in watches), key=as_number)),
    )
    kind = job.usecase.data.index
    for (unit, model, asset), rows in scores.groupby(["unit", "model", "asset_id"], sort=False):
        found.setdefault(str(asset), {})[str(unit), str(model)] = rows.set_index(kind)
    return found
