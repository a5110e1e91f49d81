"""The frame as the expectations see it: the index as its first column, and what they must know beyond its values."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

from datadriver.config.values import format_duration, parse_duration
from datadriver.data.contract.measures import Flags, Instants, as_instants
from datadriver.data.frame import Issue, SensorFrame
from datadriver.data.window import Instant
from datadriver.errors import DataError, nearest

_KEY = "datadriver"
_MICROSECOND = timedelta(microseconds=1)
_DAY = 24 * 3600 * 10**6


@dataclass(frozen=True)
class Reading:
    """How a frame was read: its index, the instant at which it is judged and what reading it ran into.

    Attached to the frame's `attrs`, so that it reaches our expectations through Great Expectations' engine.
    """

    index: str
    now: int | None = None
    issues: tuple[Issue, ...] = ()
    rows_read: Mapping[str, int] = field(default_factory=dict)

    def __deepcopy__(self, memo: dict[int, Any]) -> Reading:
        return self  # pandas copies attrs with every operation, and a frozen object is as good as its copy


def to_batch(sensor: SensorFrame, *, now: Instant | None = None) -> pd.DataFrame:
    """Return the sensor frame with its index as the first column, `time` or `step`, and its `Reading` attached.

    The frame is judged as of the end of its window, else as of `now`, else, where the index is time, as of this moment.
    """
    name = str(sensor.frame.index.name)
    if name in sensor.frame.columns:
        raise DataError(
            f"{sensor.asset.id}, contract: a tag has the name of the index, {name!r}; rename it with `from`"
        )
    frame = sensor.frame.copy(deep=False)
    frame.insert(0, name, frame.index)
    frame.index = pd.RangeIndex(len(frame))
    end = sensor.window.end if sensor.window.end is not None else now
    frame.attrs = {_KEY: Reading(name, _instant(end), sensor.issues, sensor.rows_read)}
    return frame


def _instant(value: Instant | None) -> int | None:
    if value is None or isinstance(value, (int, np.integer)):
        return None if value is None else int(value)
    return int(as_instants(pd.DatetimeIndex([value]))[0])


@dataclass(frozen=True)
class View:
    """A batch and the means to measure it; built from any DataFrame that has a `time` or `step` column or index."""

    frame: pd.DataFrame
    index: str
    at: Instants
    is_time: bool
    reading: Reading | None

    @classmethod
    def of(cls, frame: pd.DataFrame) -> View:
        """Find the index of a frame: as its `Reading` says, else a column `time` or `step`, else its own index.

        Raises:
            ValueError: if the index is neither time nor whole numbers.
        """
        reading = frame.attrs.get(_KEY)
        known = (reading.index,) if reading is not None else ("time", "step")
        name = next((name for name in known if name in frame.columns), None)
        clock: pd.Series | pd.Index = frame.index if name is None else frame[name]
        return cls(frame, name or str(clock.name), as_instants(clock), clock.dtype.kind == "M", reading)

    def column(self, name: str) -> pd.Series:
        """Return a column.

        Raises:
            ValueError: if the frame lacks it.
        """
        if name not in self.frame.columns:
            raise ValueError(f"there is no column {name!r}{nearest(name, map(str, self.frame.columns))}")
        return self.frame[name]

    def present(self, column: str | None) -> Flags:
        """Say which rows have a value in the column, or in any column if it is None."""
        if column is not None:
            return self.column(column).notna().to_numpy()
        tags = self.frame.drop(columns=self.index, errors="ignore")
        return np.asarray(tags.notna().to_numpy().any(axis=1))

    def span(self, value: str | int, *, of: str) -> int:
        """Return a span such as `2h` or `12` in the unit of the index.

        Raises:
            ValueError: if a duration was given for steps, or a number for time.
        """
        if self.is_time == isinstance(value, int):
            wanted = "a duration such as 1h, because the index is time" if self.is_time else "a whole number of steps"
            raise ValueError(f"{of} is {value!r}; write {wanted}")
        return value if isinstance(value, int) else parse_duration(value) // _MICROSECOND

    def show(self, span: float) -> str:
        """Write a span for people: `5h 20min`, `12 steps`."""
        if self.is_time:
            # Nobody reads the seconds of days; the limit beside it says what was asked for.
            grain = 60_000_000 if span > _DAY else 1_000_000 if span > _DAY // 24 else 1
            return format_duration(timedelta(microseconds=math.ceil(span / grain) * grain))
        return f"{span:g} step" + ("" if span == 1 else "s")

    def now(self) -> int | None:
        """Return the instant at which the frame is judged; None for steps without an end of the window."""
        if self.reading is not None and self.reading.now is not None:
            return self.reading.now
        return (datetime.now(UTC) - datetime(1970, 1, 1, tzinfo=UTC)) // _MICROSECOND if self.is_time else None
