"""Facts about one asset, inside of a worker: its frame read once, features once per model, whatever goes wrong."""

from __future__ import annotations

import traceback
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from datadriver.config.fleet import Asset, Instance
from datadriver.config.sections import UseCase
from datadriver.data.events import read_events
from datadriver.data.fingerprint import extent
from datadriver.data.frame import SensorFrame
from datadriver.data.read import read_frame
from datadriver.data.window import Instant, Window, as_instant, as_number, frame_index, shift, span_number
from datadriver.errors import DataError, UnavailableError
from datadriver.fleet.failures import explained
from datadriver.fleet.outcomes import Miss
from datadriver.monitoring.alarms import alarm_facts
from datadriver.monitoring.drift import drift_facts, score_drift_facts
from datadriver.monitoring.facts import DATA_CHECKS, MODEL_CHECKS, Fact, Subject
from datadriver.monitoring.health import data_facts
from datadriver.monitoring.performance import labels_for, performance_facts
from datadriver.monitoring.rules import is_watched
from datadriver.monitoring.series import series
from datadriver.monitoring.windows import length_of, since_first_reading, whole_windows
from datadriver.monitoring.words import as_unit, lasting, moment, unit_of, unknowns
from datadriver.tracking.manifests import manifest_of
from datadriver.tracking.records import Version
from datadriver.training.features import operating_mask
from datadriver.training.prepare import counted_features, in_reach
from datadriver.training.scoring import reading_window
from datadriver.training.targets import horizon


@dataclass(frozen=True)
class Watch:
    """An instance on an asset, its champion, and where its first window may start; overrides are those of the asset."""

    instance: Instance
    champion: Version
    since: Instant


@dataclass(frozen=True)
class Look:
    """What is looked at of one asset.

    Attributes:
        usecase: with the overrides of the asset applied.
        since: where the first window of its data may start.
        end: end of the newest window at the latest.
        watches: the instances that serve it.
        ahead: stamp of its newest reading, if that is in the future.
    """

    asset: Asset
    usecase: UseCase
    since: Instant
    end: Instant
    watches: tuple[Watch, ...] = ()
    ahead: Instant | None = None

    def windows(self, since: Instant) -> tuple[Window, ...]:
        """Return the windows from an instant on."""
        return whole_windows(self.usecase, since, self.end)

    @property
    def first(self) -> Instant:
        """Where the earliest of all windows may start."""
        return min([self.since, *(watch.since for watch in self.watches)], key=as_number)


@dataclass
class Findings:
    """What came of looking at one asset; misses are what could not be done, in addition to what the facts say of it."""

    facts: list[Fact] = field(default_factory=list)
    series: pd.DataFrame | None = None
    misses: list[Miss] = field(default_factory=list)
    traces: dict[str, str] = field(default_factory=dict)

    @contextmanager
    def noting(self, name: str, on_error: Callable[[str], Sequence[Fact]]) -> Iterator[None]:
        """Turn what goes wrong in one step into a miss, and into facts that say so.

        Raises:
            UnavailableError: a source does not answer: next time it may, so nothing is said about the asset now.
        """
        try:
            yield
        except Exception as error:
            known = explained(error)
            if isinstance(known, UnavailableError):
                raise known from error
            self.misses.append(Miss(name, known.message, known.exit_code))
            self.traces[name] = traceback.format_exc()
            self.facts += on_error(known.message)


class References:
    """References of champions that were read lately: a pooled one serves many assets."""

    def __init__(self, size: int = 256) -> None:
        self._size = size
        self._kept: OrderedDict[tuple[str, str], Mapping[str, Any] | None] = OrderedDict()

    def of(self, version: Version, usecase: UseCase, root: Path) -> Mapping[str, Any] | None:
        """Return what training kept with a version, None if nothing."""
        key = (version.path, version.sha256)
        if key not in self._kept:
            manifest = manifest_of(version, usecase, root)
            self._kept[key] = None if manifest is None else manifest.get("reference")
        self._kept.move_to_end(key)
        while len(self._kept) > self._size:
            self._kept.popitem(last=False)
        return self._kept[key]


def look_at(look: Look, scores: Mapping[tuple[str, str], pd.DataFrame], references: References, root: Path) -> Findings:
    """Judge every window of one asset by every check.

    Args:
        look: What to look at.
        scores: Stored scores of the asset by unit and model, on a sorted index.
        references: Of champions.
        root: Folder of the use case.

    Raises:
        UnavailableError: a source does not answer; nothing is said about the asset.
    """
    found, subject = Findings(), Subject(look.asset.id)
    sensor: SensorFrame | None = None
    try:
        sensor = read_frame(look.usecase, look.asset, Window(_reading_start(look), _last_end(look)), root)
    except DataError as error:
        _without_data(look, error, found, root)
    if sensor is not None:
        look = _since_it_is_there(look, sensor, root)
        _data(look, sensor, subject, found, root)
    eye = _Eye(look, sensor, scores, references, found, root)
    for watch in look.watches:
        eye.judge(watch)
    return found


def _reading_start(look: Look) -> Instant:
    """Return where reading must start so that no check and no feature misses what came before the first window."""
    checks = look.usecase.monitor.checks
    spans = [length_of(look.usecase)]
    for name in ("freshness", "gaps", "frozen"):
        longest = getattr(getattr(checks, name), "max", None)
        spans += [longest] if longest is not None else []
    starts = [shift(look.since, -span) for span in spans]
    for watch in look.watches:
        if windows := look.windows(watch.since):
            starts += [start for start in [reading_window(watch.instance, _all_of(windows)).start] if start is not None]
            starts += [shift(watch.since, -truth_reach(watch.instance))] if _has_truth_in_frame(watch.instance) else []
    return min(starts, key=as_number)


def _has_truth_in_frame(instance: Instance) -> bool:
    return instance.spec.target is not None and instance.spec.target.column is not None


def truth_reach(instance: Instance) -> timedelta | int:
    """Return how far before a window's start scores and labels count for its performance."""
    check = instance.usecase.monitor.checks.performance
    longest = None if check is None else check.window
    kind, ahead = instance.usecase.data.index, horizon(instance.spec.target)
    reach = span_number(longest or length_of(instance.usecase)) + span_number(ahead)
    return reach if kind == "step" else timedelta(microseconds=reach)


def _last_end(look: Look) -> Instant:
    windows = look.windows(look.first)
    return windows[-1].end if windows and windows[-1].end is not None else look.end


def _all_of(windows: Sequence[Window]) -> Window:
    return Window(windows[0].start, windows[-1].end)


def _since_it_is_there(look: Look, sensor: SensorFrame, root: Path) -> Look:
    """Leave out windows from before the asset's first reading."""
    if as_number(as_instant(sensor.frame.index[0])) <= as_number(look.first):
        return look
    first = extent(look.usecase, look.asset, root).start
    if first is None:
        return look

    def later(since: Instant) -> Instant:
        windows = since_first_reading(look.usecase, look.windows(since), first)
        return windows[0].start if windows and windows[0].start is not None else look.end

    watches = tuple(replace(watch, since=later(watch.since)) for watch in look.watches)
    return replace(look, since=later(look.since), watches=watches)


def _data(look: Look, sensor: SensorFrame, subject: Subject, found: Findings, root: Path) -> None:
    windows = look.windows(look.since)
    found.series = series(sensor, windows, look.usecase)
    if not windows:
        return
    mask = None
    with found.noting(look.asset.id, lambda _: ()):
        mask = operating_mask(look.usecase, sensor, root)
    with found.noting(look.asset.id, lambda reason: _data_unknown(look, subject, reason)):
        facts = data_facts(sensor, windows, look.usecase, root, mask=mask)
        found.facts += _with_clock(facts, look, subject, windows)


def _with_clock(facts: Sequence[Fact], look: Look, subject: Subject, windows: Sequence[Window]) -> list[Fact]:
    """Say in the newest window that the asset's clock is ahead of ours."""
    if look.ahead is None or not is_watched(look.usecase.monitor, "freshness", ""):
        return list(facts)
    stamp = moment(as_number(look.ahead), look.usecase.data.index)
    reason = f"its newest reading is in the future ({stamp}): a wrong clock or zone"
    wrong = Fact(subject, "freshness", windows[-1], "breach", reason=reason, spare=-1.0)
    return [wrong if (one.check, one.window) == ("freshness", windows[-1]) else one for one in facts]


def _data_unknown(look: Look, subject: Subject, reason: str) -> list[Fact]:
    windows, monitor = look.windows(look.since), look.usecase.monitor
    return [
        fact
        for check in DATA_CHECKS
        if is_watched(monitor, check, "")
        for fact in unknowns(subject, check, windows, reason)
    ]


def _without_data(look: Look, error: DataError, found: Findings, root: Path) -> None:
    """Say what is known of an asset without a row in any window: how old its newest is, or why it cannot be read."""
    subject = Subject(look.asset.id)
    try:
        whole = extent(look.usecase, look.asset, root)
    except DataError:
        whole = Window()
        found.misses.append(Miss(look.asset.id, error.message, error.exit_code))
    if whole.start is not None and as_number(whole.start) >= as_number(_last_end(look)):
        return  # it was not there yet
    for fact in _data_unknown(look, subject, error.message):
        found.facts.append(_stale(fact, look, whole, error) if fact.check == "freshness" else fact)


def _stale(fact: Fact, look: Look, whole: Window, error: DataError) -> Fact:
    kind, end = look.usecase.data.index, as_number(fact.window.end or 0)
    newest = None if whole.end is None else as_number(whole.end) - 1
    if newest is None:
        return replace(fact, outcome="breach", reason=f"its data cannot be read: {error.message}", spare=-1.0)
    if newest >= end:
        return replace(fact, outcome="breach", reason="no reading in this window, nor in the one before", spare=-1.0)
    age = end - newest
    limit = _freshness_limit(look.usecase)
    reason = f"its newest reading is of {moment(newest, kind)}, {lasting(age, kind)} before the window's end"
    return replace(
        fact,
        outcome="breach",
        value=as_unit(age, kind),
        limit=as_unit(limit, kind),
        unit=unit_of(kind),
        reason=f"{reason}; {lasting(limit, kind)} are allowed",
        spare=(limit - age) / limit,
    )


def _freshness_limit(usecase: UseCase) -> int:
    check = usecase.monitor.checks.freshness
    longest = check.max if check is not None else None
    return max(1, span_number(length_of(usecase)) // 4) if longest is None else span_number(longest)


@dataclass
class _Eye:
    """Judges instances on one asset."""

    look: Look
    sensor: SensorFrame | None
    scores: Mapping[tuple[str, str], pd.DataFrame]
    references: References
    found: Findings
    root: Path

    def __post_init__(self) -> None:
        self._features: dict[Any, pd.DataFrame] = {}
        self._events: dict[str, pd.DataFrame] = {}

    def judge(self, watch: Watch) -> None:
        """Add the facts of one instance."""
        instance, version = watch.instance, watch.champion
        windows = self.look.windows(watch.since)
        subject = Subject(self.look.asset.id, instance.unit.key, instance.model)
        if not windows:
            return
        rows = self.scores.get((instance.unit.key, instance.model), _no_scores(self.look.usecase))

        def lost(*checks: str) -> Callable[[str], list[Fact]]:
            return lambda reason: self._unknown(watch, subject, windows, checks, reason)

        reference: Mapping[str, Any] | None = None
        with self.found.noting(str(subject), lambda _: ()):
            reference = self.references.of(version, self.look.usecase, self.root)
        with self.found.noting(str(subject), lost("drift")):
            if is_watched(self.look.usecase.monitor, "drift", instance.model):
                self.found.facts += self._drift(watch, subject, reference, windows)
        with self.found.noting(str(subject), lost("score_drift", "alarms")):
            self.found.facts += score_drift_facts(subject, instance, version, reference, rows, windows)
            self.found.facts += alarm_facts(subject, instance, version, rows, windows, unit=self._unit(instance))
        with self.found.noting(str(subject), lost("performance")):
            if is_watched(self.look.usecase.monitor, "performance", instance.model):
                labels = self._labels(instance, rows)
                self.found.facts += performance_facts(
                    subject, instance, version, rows, labels, windows, reference=reference, root=self.root
                )

    def _unknown(
        self, watch: Watch, subject: Subject, windows: Sequence[Window], checks: Sequence[str], reason: str
    ) -> list[Fact]:
        said = {fact.check for fact in self.found.facts if fact.subject == subject}
        watched = [
            check
            for check in MODEL_CHECKS
            if check in checks
            and check not in said
            and is_watched(self.look.usecase.monitor, check, watch.instance.model)
        ]
        version = watch.champion.version
        return [fact for check in watched for fact in unknowns(subject, check, windows, reason, version=version)]

    def _drift(
        self, watch: Watch, subject: Subject, reference: Mapping[str, Any] | None, windows: Sequence[Window]
    ) -> Sequence[Fact]:
        version = watch.champion
        if self.sensor is None:
            return unknowns(subject, "drift", windows, "its data cannot be read", version=version.version)
        features = self._counted(watch.instance, self.sensor, _all_of(windows))
        return drift_facts(subject, watch.instance, version, reference, features, windows)

    def _counted(self, instance: Instance, sensor: SensorFrame, span: Window) -> pd.DataFrame:
        """Return the features of the rows that count, as scoring sees them; models that share them share one frame."""
        spec = instance.spec
        hidden = spec.target.column if spec.target else None
        key = (spec.features, hidden, spec.window.lookback, spec.alarm and spec.alarm.for_, span)
        if key not in self._features:
            own = replace(sensor, frame=reading_window(instance, span).slice(sensor.frame))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # training has reported them
                self._features[key], _ = counted_features(
                    instance, in_reach(instance, own, span), self.root, span, warm=False
                )
        return self._features[key]

    def _labels(self, instance: Instance, rows: pd.DataFrame) -> pd.Series | None:
        """Return the truth as it is known now: of the scored instants for events, of the frame for a column."""
        target, asset, end = instance.spec.target, self.look.asset, self.look.end
        if target is None or (target.events is None and self.sensor is None):
            return None
        if target.events is None:
            return labels_for(instance, self.sensor or SensorFrame(asset, rows), None, end)
        scored = SensorFrame(asset, pd.DataFrame(index=rows.index), window=Window(None, end))
        return labels_for(instance, scored, self._log(target.events), end)

    def _log(self, source: str) -> pd.DataFrame:
        if source not in self._events:
            look = self.look
            self._events[source] = read_events(look.usecase, source, look.asset, self.root, known_before=look.end)
        return self._events[source]

    def _unit(self, instance: Instance) -> str:
        column = instance.spec.target.column if instance.spec.target else None
        return "" if self.sensor is None or column is None else self.sensor.units.get(column, "")


def _no_scores(usecase: UseCase) -> pd.DataFrame:
    types = {"score": "float64", "actual": "float64", "residual": "float64", "alarm": "bool", "version": "int64"}
    types |= {"verdict": "str", "reason": "str"}
    index = frame_index(np.empty(0, dtype="int64"), usecase.data.index)
    return pd.DataFrame({name: pd.Series(dtype=kind, index=index) for name, kind in types.items()}, index=index)
