"""From sensor frames to the rows that count, with their features and labels; scoring takes the same way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd

from datadriver.config.fleet import Instance
from datadriver.data.frame import SensorFrame
from datadriver.data.window import Window, as_instant, shift
from datadriver.errors import ConfigError, DataError, UseCaseError, nearest
from datadriver.training.features import build_features, only_floats, operating_mask
from datadriver.training.problems import find_problem
from datadriver.training.splits import Table
from datadriver.training.targets import NO_EVENT, Labels, horizon, observed_until


@dataclass(frozen=True)
class Prepared:
    """The rows of a unit that count, in the order of asset id and instant.

    Attributes:
        features: Index (asset_id, instant), one column per feature.
        target: The labels on the same index, float64; NaN only for problems that need none.
        events: Number of what makes a row positive (see `Labels`), counted over the unit; `NO_EVENT` elsewhere.
        horizon: How far ahead a label looks.
        counts: What became of the rows that were read.
    """

    features: pd.DataFrame
    target: pd.Series
    events: np.ndarray
    horizon: timedelta | int
    counts: Mapping[str, int]

    def __len__(self) -> int:
        return len(self.features)

    @property
    def positive(self) -> int:
        """Number of positive rows; 0 where the target is no class."""
        return int((self.events != NO_EVENT).sum())

    @property
    def event_count(self) -> int:
        """Number of different events that rows are positive for; of positive rows, where the target is a column."""
        return len(np.unique(self.events[self.events != NO_EVENT]))

    def only(self, rows: np.ndarray) -> Prepared:
        """Return some of the rows, chosen by a boolean array."""
        return replace(
            self, features=_only(self.features, rows), target=_only(self.target, rows), events=self.events[rows]
        )

    def table(self, instance: Instance, attribute: str) -> Table:
        """Return the identity of the rows, with an attribute of the assets as their group."""
        index = cast("pd.MultiIndex", self.features.index)
        codes, assets = np.asarray(index.codes[0]), np.array([str(name) for name in index.levels[0]], dtype=object)
        groups = np.array([_attribute(instance, asset, attribute) for asset in assets], dtype=object)
        return Table(assets[codes], groups[codes], index.get_level_values(1))


def prepare(
    instance: Instance,
    frames: Sequence[SensorFrame],
    events: Mapping[str, pd.DataFrame],
    root: Path,
    window: Window,
) -> Prepared:
    """Return the labelled rows of a unit inside of a window; those of each asset's first lookback are left out.

    `events` holds the event table of the target by asset id.

    Raises:
        DataError: if no row is left, with what became of them.
        UseCaseError: if a function of the use case fails, or assets differ in their feature columns.
    """
    frames = [in_reach(instance, sensor, window) for sensor in sorted(frames, key=lambda sensor: sensor.asset.id)]
    labels = label_assets(instance, frames, events)
    parts = [_prepare_asset(instance, sensor, own, root, window) for sensor, own in zip(frames, labels, strict=True)]
    prepared = _pool(instance, frames, parts)
    if not len(prepared):
        raise DataError(f"{instance.key}, prepare: no row is left to learn from ({in_words(prepared.counts)})")
    return prepared


def counted_features(
    instance: Instance, sensor: SensorFrame, root: Path, window: Window, *, warm: bool
) -> tuple[pd.DataFrame, dict[str, int]]:
    """Return the features of the rows that count inside of a window, and what became of the others.

    A row counts if the mask says so and at least one of its features has a value; with `warm` also only if the frame
    reaches back over its whole lookback.
    """
    features = window.slice(build_features(instance, sensor, root))
    mask = window.slice(operating_mask(instance.usecase, sensor, root).to_frame()).iloc[:, 0].to_numpy()
    if warm:
        is_warm = _is_warm(instance, sensor, features)
        features, mask = _only(features, is_warm), mask[is_warm]
    running = _only(features, mask)
    counted = _only(running, np.asarray(~_nulls(running).all(axis=1)))
    counts = {
        "read": len(sensor.frame),
        "outside": len(sensor.frame) - len(features),
        "masked": len(features) - len(running),
        "empty": len(running) - len(counted),
    }
    return counted, counts


def _nulls(frame: pd.DataFrame) -> np.ndarray:
    """Flag the nulls of a frame."""
    if only_floats(frame):
        return np.asarray(np.isnan(frame.to_numpy()))
    return frame.isna().to_numpy()


def in_reach(instance: Instance, sensor: SensorFrame, window: Window) -> SensorFrame:
    """Return the frame without rows that neither lie in the window nor in the lookback before it."""
    lookback = instance.spec.window.lookback
    return replace(sensor, frame=(window.starting_earlier(lookback) if lookback else window).slice(sensor.frame))


def training_window(instance: Instance, frames: Sequence[SensorFrame]) -> Window:
    """Return the window that a fit uses of these frames: `window.train` up to the end of what was asked or read."""
    starts = [sensor.window.start for sensor in frames if sensor.window.start is not None]
    ends = [sensor.window.end for sensor in frames if sensor.window.end is not None]
    asked = Window(min(starts, default=None), max(ends, default=None))
    length = instance.spec.window.train
    end = asked.end or max((as_instant(sensor.frame.index[-1]) for sensor in frames if len(sensor.frame)), default=None)
    if length is None or end is None:
        return asked
    start = shift(end, -length)
    return Window(start if asked.start is None else max(start, asked.start), asked.end)


def in_words(counts: Mapping[str, int]) -> str:
    """Say what became of rows.

    >>> in_words({"read": 1000, "masked": 800, "empty": 0})
    '1,000 read, 800 masked'
    """
    return ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in counts.items() if count)


def label_assets(
    instance: Instance, frames: Sequence[SensorFrame], events: Mapping[str, pd.DataFrame]
) -> tuple[Labels, ...]:
    """Return the labels of each asset, on the index of its sensor frame."""
    problem = find_problem(instance.spec.problem)
    logs = [events.get(sensor.asset.id) for sensor in frames]
    ends = observed_until(frames, logs, instance.spec.target)
    return tuple(
        problem.labels(instance, sensor, log, end) for sensor, log, end in zip(frames, logs, ends, strict=True)
    )


def _prepare_asset(instance: Instance, sensor: SensorFrame, labels: Labels, root: Path, window: Window) -> Prepared:
    features, counts = counted_features(instance, sensor, root, window, warm=True)
    rows = sensor.frame.index.get_indexer(features.index)
    target, events = labels.values.iloc[rows], labels.events[rows]
    if find_problem(instance.spec.problem).needs_labels:
        known = target.notna().to_numpy()
        features, target, events = _only(features, known), _only(target, known), events[known]
        counts["unlabelled"] = int((~known).sum())
    return Prepared(features, target, events, horizon(instance.spec.target), counts)


def _only(rows: Any, wanted: np.ndarray) -> Any:
    """Return some rows of a frame or series: as a rule all, or a stretch, which is cut out in half the time."""
    count = int(np.count_nonzero(wanted))
    if count == len(wanted):
        return rows
    first = int(wanted.argmax())
    return rows.iloc[first : first + count].copy() if wanted[first : first + count].all() else rows[wanted]


def _pool(instance: Instance, frames: Sequence[SensorFrame], parts: Sequence[Prepared]) -> Prepared:
    """Put the rows of all assets under each other, with the asset id in front of the instant."""
    _same_columns(instance, frames, parts)
    named = {sensor.asset.id: part for sensor, part in zip(frames, parts, strict=True) if len(part)}
    counts = {name: sum(part.counts[name] for part in parts) for name in (parts[0].counts if parts else ())}
    if not named:
        return Prepared(pd.DataFrame(), pd.Series(dtype="float64"), np.array([], dtype=int), 0, counts)
    names = ["asset_id", frames[0].frame.index.name or instance.usecase.data.index]
    shifted, first = [], 0
    for part in named.values():
        shifted.append(np.where(part.events == NO_EVENT, NO_EVENT, part.events + first))
        first += int(part.events.max()) + 1
    return Prepared(
        features=_under_each_other({name: part.features for name, part in named.items()}, names),
        target=_under_each_other({name: part.target for name, part in named.items()}, names),
        events=np.concatenate(shifted),
        horizon=parts[0].horizon,
        counts={**counts, "assets": len(named)},
    )


def _under_each_other(parts: Mapping[str, Any], names: list[Any]) -> Any:
    """Return `pd.concat` with the asset id in front of the index; most units are one asset, and need no sorting out."""
    if len(parts) > 1:
        return pd.concat(parts, names=names)
    ((name, part),) = parts.items()
    levels: Any = [pd.Index([name]), part.index]
    codes: Any = [np.zeros(len(part), dtype=np.int8), np.arange(len(part))]
    return part.set_axis(pd.MultiIndex(levels, codes, names=names, verify_integrity=False))


def _same_columns(instance: Instance, frames: Sequence[SensorFrame], parts: Sequence[Prepared]) -> None:
    for sensor, part in zip(frames[1:], parts[1:], strict=True):
        expected, found = list(parts[0].features.columns), list(part.features.columns)
        if expected != found:
            missing, more = sorted(set(expected) - set(found)), sorted(set(found) - set(expected))
            raise UseCaseError(
                f"{instance.key}, features: assets of one fit must have the same features; {sensor.asset.id} "
                f"lacks {missing} and has {more} beyond those of {frames[0].asset.id}"
                if missing or more
                else f"{instance.key}, features: {sensor.asset.id} has its features in another order than "
                f"{frames[0].asset.id}"
            )


def _is_warm(instance: Instance, sensor: SensorFrame, rows: pd.DataFrame) -> np.ndarray:
    lookback = instance.spec.window.lookback
    if not lookback or sensor.frame.empty:
        return np.ones(len(rows), dtype=bool)
    return np.asarray(rows.index >= shift(as_instant(sensor.frame.index[0]), lookback))


def _attribute(instance: Instance, asset_id: str, attribute: str) -> str:
    if attribute == "asset_id":
        return asset_id
    asset = next(asset for asset in instance.unit.assets if asset.id == asset_id)
    value = asset.attributes.get(attribute)
    if value is None:
        raise ConfigError(
            f"{instance.key}, split: {asset_id} has no value of the attribute {attribute!r} to group by"
            + nearest(attribute, [*asset.attributes, "asset_id"])
        )
    return str(value)
