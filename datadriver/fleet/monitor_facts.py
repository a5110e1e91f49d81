"""Facts about one asset, inside of a worker: its frame is read once, and whatever goes wrong is a finding, too."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from datadriver.config.fleet import Instance
from datadriver.config.sections import UseCase
from datadriver.data.fingerprint import extent
from datadriver.data.frame import SensorFrame
from datadriver.data.read import read_frame
from datadriver.data.spans import bin_size
from datadriver.data.window import Instant, Window, as_instant, as_number, frame_index, shift
from datadriver.errors import DatadriverError, DataError
from datadriver.fleet.monitor_look import Findings, Look, References, all_of, truth_reach
from datadriver.fleet.monitor_models import Eye
from datadriver.fleet.outcomes import Miss
from datadriver.monitoring.facts import DATA_CHECKS, Fact, Subject
from datadriver.monitoring.health import data_facts
from datadriver.monitoring.rules import is_watched
from datadriver.monitoring.series import series
from datadriver.monitoring.windows import length_of, since_first_reading
from datadriver.monitoring.words import moment, unknowns
from datadriver.training.features import operating_mask
from datadriver.training.scoring import reading_window


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
    found, sensor = Findings(), None
    try:
        sensor = _read(look, root)
    except DataError as error:
        found.misses.append(Miss(look.asset.id, error.message, error.exit_code))
        found.facts += _unreadable(look, error)
    else:
        if sensor is None:
            return found
        look = _since_it_is_there(look, sensor, root)
        _judge_data(look, sensor, found, _moving(look, references, root), root)
    eye = Eye(look, sensor, scores, references, found, root)
    for watch in look.watches:
        eye.judge(watch)
    return found


def _read(look: Look, root: Path) -> SensorFrame | None:
    """Read the frame; of an asset that has fallen silent from its last readings on; None if it was not there yet.

    Raises:
        DataError: it has no data at all, or they cannot be read.
    """
    start, end = _reading_start(look), _last_end(look)
    try:
        return read_frame(look.usecase, look.asset, Window(start, end), root)
    except DataError:
        whole = extent(look.usecase, look.asset, root)
        if whole.start is not None and as_number(whole.start) >= as_number(end):
            return None
        if whole.start is None or as_number(whole.start) >= as_number(start):
            raise
        last = extent(look.usecase, look.asset, root, until=start).end or start
    return read_frame(look.usecase, look.asset, Window(shift(last, -length_of(look.usecase)), end), root)


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
            starts += [start for start in [reading_window(watch.instance, all_of(windows)).start] if start is not None]
            starts += [shift(watch.since, -truth_reach(watch.instance))] if _has_truth_in_frame(watch.instance) else []
    return min(starts, key=as_number)


def _has_truth_in_frame(instance: Instance) -> bool:
    return instance.spec.target is not None and instance.spec.target.column is not None


def _last_end(look: Look) -> Instant:
    windows = look.windows(look.first)
    return windows[-1].end if windows and windows[-1].end is not None else look.end


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


def _moving(look: Look, references: References, root: Path) -> Collection[str] | None:
    """Return the tags that moved when champions were trained; None if none of them kept that."""
    kept: list[Collection[str]] = []
    for watch in look.watches:
        with suppress(DatadriverError):  # the checks of the model say so
            reference = references.of(watch.champion, look.usecase, root) or {}
            kept += [reference["moving"]] if "moving" in reference else []
    return frozenset().union(*kept) if kept else None


def _judge_data(look: Look, sensor: SensorFrame, found: Findings, moving: Collection[str] | None, root: Path) -> None:
    windows, subject = look.windows(look.since), Subject(look.asset.id)
    found.series = series(sensor, windows, look.usecase)
    if not windows:
        return
    mask = None
    with found.noting(look.asset.id, lambda _: ()):
        mask = operating_mask(look.usecase, sensor, root)
    with found.noting(look.asset.id, lambda reason: _unknown_data(look, reason)):
        whole = _to_the_end(sensor, windows, look.usecase)
        facts = data_facts(whole, windows, look.usecase, root, mask=mask, moving=moving)
        found.facts += _with_clock(facts, look, subject, windows)


def _to_the_end(sensor: SensorFrame, windows: Sequence[Window], usecase: UseCase) -> SensorFrame:
    """Add the empty bins after the newest reading, so that a window looks the same before and after data come again."""
    size, kind = bin_size(usecase), usecase.data.index
    last, end = as_number(as_instant(sensor.frame.index[-1])), as_number(windows[-1].end or 0)
    if size is None or last + size >= end:
        return sensor
    missing = frame_index(np.arange(last + size, end, size, dtype="int64"), kind)
    return replace(sensor, frame=sensor.frame.reindex(sensor.frame.index.append(missing)))


def _with_clock(facts: Sequence[Fact], look: Look, subject: Subject, windows: Sequence[Window]) -> list[Fact]:
    """Say in the newest window that the asset's clock is ahead of ours."""
    if look.ahead is None or not is_watched(look.usecase.monitor, "freshness", ""):
        return list(facts)
    stamp = moment(as_number(look.ahead), look.usecase.data.index)
    reason = f"its newest reading is in the future ({stamp}): a wrong clock or zone"
    wrong = Fact(subject, "freshness", windows[-1], "breach", reason=reason, spare=-1.0)
    return [wrong if (one.check, one.window) == ("freshness", windows[-1]) else one for one in facts]


def _unknown_data(look: Look, reason: str) -> list[Fact]:
    subject, windows, monitor = Subject(look.asset.id), look.windows(look.since), look.usecase.monitor
    watched = [check for check in DATA_CHECKS if is_watched(monitor, check, "")]
    return [fact for check in watched for fact in unknowns(subject, check, windows, reason)]


def _unreadable(look: Look, error: DataError) -> list[Fact]:
    """Say of an asset whose data cannot be read that it has none that is fresh: it must show up, not vanish."""
    reason = f"its data cannot be read: {error.message}"
    return [
        replace(fact, outcome="breach", spare=-1.0) if fact.check == "freshness" else fact
        for fact in _unknown_data(look, reason)
    ]
