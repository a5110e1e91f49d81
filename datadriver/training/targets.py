"""What a model learns from: the value of a tag, or whether an event follows within the horizon."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd

from datadriver.config.fleet import Instance
from datadriver.config.sections import Target
from datadriver.config.values import format_amount, parse_duration
from datadriver.data.frame import SensorFrame
from datadriver.data.window import Instant, as_instant, shift
from datadriver.errors import ConfigError, DataError, nearest

NO_EVENT = -1


@dataclass(frozen=True)
class Labels:
    """The target of one asset on the index of its sensor frame.

    `values` is float64, NaN where the label is unknown. `events` numbers what makes a row positive: the event that
    follows, or with a column the row itself; `NO_EVENT` elsewhere.
    """

    values: pd.Series
    events: np.ndarray

    @classmethod
    def unknown(cls, index: pd.Index) -> Labels:
        """Labels of a model without a target."""
        return cls(pd.Series(np.nan, index=index), np.full(len(index), NO_EVENT))


def horizon(target: Target | None) -> timedelta | int:
    """Return how far ahead a label looks; 0 where it is the value of a tag."""
    if target is None or target.events is None or target.horizon is None:
        return 0
    if not isinstance(target.horizon, str):
        return target.horizon
    try:
        return int(target.horizon) if target.horizon.strip().isdigit() else parse_duration(target.horizon)
    except ValueError as error:
        raise ConfigError(f"target.horizon: {error}") from None


def number_labels(sensor: SensorFrame, instance: Instance) -> Labels:
    """Return the target column as numbers.

    Raises:
        ConfigError: if the model has no target column, or the column is text.
        DataError: if the asset lacks the column, or it holds no value at all.
    """
    values = _column(sensor, instance)
    if not pd.api.types.is_numeric_dtype(values.dtype):
        raise ConfigError(
            f"models.{instance.model}.target.column: {values.name!r} is text; {instance.spec.problem} needs a number"
        )
    numbers = values.to_numpy("float64", na_value=np.nan)
    known = pd.Series(np.where(np.isinf(numbers), np.nan, numbers), index=values.index, name=values.name)
    return Labels(known, np.full(len(known), NO_EVENT))


def class_labels(sensor: SensorFrame, instance: Instance, events: pd.DataFrame | None, end: Instant | None) -> Labels:
    """Return 1.0 for positive rows, 0.0 for the others and NaN where nothing is known.

    `end` is the last instant up to which events are known; see `event_labels`.

    Raises:
        ConfigError: if a text column comes without `positive`, or the target names neither column nor events.
        DataError: if the asset lacks the column.
    """
    target = instance.spec.target
    if target is not None and target.events is not None:
        instants = pd.Index([]) if events is None else events.index
        return event_labels(sensor.frame.index, instants, horizon(target), end=end)
    values = _column(sensor, instance)
    known = values.notna()
    if target is not None and target.positive is not None:
        positive = _is_one_of(values, target.positive)
    elif pd.api.types.is_numeric_dtype(values.dtype):
        positive = values.ne(0)
    else:
        raise ConfigError(
            f"models.{instance.model}.target: {values.name!r} is text; say which values count in `positive`"
        )
    positive &= known
    causes = np.where(positive, np.arange(len(values)), NO_EVENT)
    return Labels(positive.astype("float64").where(known), causes)


def event_labels(index: pd.Index, events: pd.Index, span: timedelta | int, *, end: Instant | None = None) -> Labels:
    """Label each instant t with 1 if an event lies in (t, t + span], else 0.

    Rows with t + span > end are NaN, positive or not: of the rows whose horizon is still open only those with
    an early event could be labelled, and keeping them would make events look more frequent than they are.

    >>> event_labels(pd.RangeIndex(5), pd.Index([3]), 2, end=6).values.tolist()
    [0.0, 1.0, 1.0, 0.0, 0.0]
    >>> event_labels(pd.RangeIndex(5), pd.Index([3]), 2, end=3).values.tolist()
    [0.0, 1.0, nan, nan, nan]
    """
    values, following = np.zeros(len(index)), np.full(len(index), NO_EVENT)
    events = events.dropna().unique().sort_values()
    if len(events) and len(index):
        position = events.searchsorted(index, side="right")
        inside = position < len(events)
        ahead = events[np.minimum(position, len(events) - 1)]
        positive = inside & np.asarray(ahead - index <= span)
        values[positive], following[positive] = 1.0, position[positive]
    if end is not None and len(index):
        is_open = np.asarray(index > shift(end, -span))
        values[is_open], following[is_open] = np.nan, NO_EVENT
    return Labels(pd.Series(values, index=index), following)


def observed_until(
    frames: Sequence[SensorFrame], events: Sequence[pd.DataFrame | None], target: Target | None
) -> tuple[Instant | None, ...]:
    """Return per asset the last instant up to which its events are known; None: all of them are.

    Events of a fleet are written into one log, so with a time index the clock of the whole unit counts: a machine
    whose sensors ended with its failure has known labels up to it. With steps each asset has a clock of its own;
    one whose life ended with an event is known to the end, one that still runs only up to its last step.

    Events are entered late, so the newest are not there yet: all this ends earlier by the delay that nine of ten events
    of the unit did not exceed.
    """
    if target is None or target.events is None:
        return (None,) * len(frames)
    delay = _delay(events)
    ends = [None if end is None else shift(end, -delay) for end in map(_last, frames)]
    if any(isinstance(end, pd.Timestamp) for end in ends):
        latest = max(end for end in ends if end is not None)
        return (latest,) * len(frames)
    return tuple(
        None
        if log is not None and len(log) and len(sensor.frame) and log.index.max() >= sensor.frame.index[-1]
        else end
        for sensor, end, log in zip(frames, ends, events, strict=True)
    )


def _delay(events: Sequence[pd.DataFrame | None]) -> timedelta | int:
    """Return how late events become known: the 90% quantile, as one of the delays."""
    logs = [log for log in events if log is not None and len(log) and "known_at" in log]
    if not logs:
        return 0
    late = pd.concat([pd.Series(log["known_at"].array - log.index.array) for log in logs]).dropna()
    if late.empty:
        return 0
    usual = late.quantile(0.9, interpolation="lower")
    return max(usual.to_pytimedelta(), timedelta()) if isinstance(usual, pd.Timedelta) else max(int(usual), 0)


def _last(sensor: SensorFrame) -> Instant | None:
    """Return the end of what was asked for, or of the data where nothing was."""
    if sensor.window.end is not None and isinstance(sensor.window.end, pd.Timestamp):
        return sensor.window.end
    if sensor.frame.empty:
        return None
    return as_instant(sensor.frame.index[-1])


def _column(sensor: SensorFrame, instance: Instance) -> pd.Series:
    name = instance.spec.target.column if instance.spec.target else None
    if name is None:
        raise ConfigError(f"models.{instance.model}.target: {instance.spec.problem} needs a target column or events")
    if name not in sensor.frame.columns:
        raise DataError(
            f"{sensor.asset.id}, target of {instance.model}: there is no tag {name!r}"
            + nearest(name, map(str, sensor.frame.columns))
        )
    return sensor.frame[name]


def _is_one_of(values: pd.Series, wanted: Sequence[Any]) -> pd.Series:
    if pd.api.types.is_numeric_dtype(values.dtype):
        numbers = pd.to_numeric(pd.Series([str(value) for value in wanted]), errors="coerce").dropna()
        return values.isin(numbers)
    return values.astype("str").isin([str(value) for value in wanted])


def describe(target: Target) -> str:
    """Say in words what a row's label means, for plots and messages.

    >>> describe(Target(events="failures", horizon="7d"))
    'failures within 7d'
    """
    if target.events is not None:
        return f"{target.events} within {format_amount(horizon(target))}"
    return str(target.column)
