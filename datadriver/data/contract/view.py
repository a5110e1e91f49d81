"""A frame to be judged, and the passes over it that its checks share."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import pandas as pd

from datadriver.config.values import format_duration, parse_duration
from datadriver.data.contract.batch import KEY, Reading, reading_of
from datadriver.data.contract.column import Column
from datadriver.data.contract.measures import Flags, Instants, as_instants
from datadriver.data.frame import SensorFrame
from datadriver.data.window import Instant
from datadriver.errors import nearest

_MICROSECOND = timedelta(microseconds=1)
_DAY = 24 * 3600 * 10**6


@dataclass(frozen=True, eq=False)
class View:
    """A frame, its index under the name that a suite knows it by, and its columns with what was found out about them.

    `of` takes any frame, as Great Expectations hands it over; `of_sensor` a sensor frame, without copying it.
    """

    frame: pd.DataFrame
    index: str
    clock: pd.Series | pd.Index
    reading: Reading | None
    numbered: bool = False
    """Rows are named by their positions, as in a batch, and not by the labels of the frame's own index."""
    _columns: dict[str, Column] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, frame: pd.DataFrame) -> View:
        """Find the index of a frame: as its `Reading` says, else a column `time` or `step`, else its own index."""
        reading = frame.attrs.get(KEY)
        known = (reading.index,) if reading is not None else ("time", "step")
        name = next((name for name in known if name in frame.columns), None)
        clock: pd.Series | pd.Index = frame.index if name is None else frame[name]
        return cls(frame, name or str(clock.name), clock, reading)

    @classmethod
    def of_sensor(cls, sensor: SensorFrame, *, now: Instant | None = None) -> View:
        """Look at a sensor frame as at its batch.

        Raises:
            DataError: if a tag has the name of the index.
        """
        reading = reading_of(sensor, now=now)
        return cls(sensor.frame, reading.index, sensor.frame.index, reading, numbered=True)

    @cached_property
    def at(self) -> Instants:
        """The index as microseconds since 1970 in UTC, or as steps.

        Raises:
            ValueError: if the index is neither time nor whole numbers.
        """
        return as_instants(self.clock)

    @property
    def is_time(self) -> bool:
        """Whether the index is time, and not steps."""
        return self.clock.dtype.kind == "M"

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(self.frame)

    @cached_property
    def names(self) -> list[str]:
        """The columns of the batch: the index first."""
        columns = list(self.frame.columns)
        return columns if self.index in columns else [self.index, *columns]

    def column(self, name: str) -> Column:
        """Return a column.

        Raises:
            ValueError: if the frame lacks it.
        """
        column = self.find(name)
        if column is None:
            raise ValueError(f"there is no column {name!r}{nearest(name, map(str, self.frame.columns))}")
        return column

    def find(self, name: str) -> Column | None:
        """Return a column, None if the frame lacks it."""
        if name not in self._columns:
            if name in self.frame.columns:
                self._columns[name] = Column(self.frame[name])
            elif self.numbered and name == self.index:
                self._columns[name] = Column(pd.Series(self.frame.index, name=name))
        return self._columns.get(name)

    def present(self, column: str | None) -> Flags:
        """Say which rows have a value in the column, or in any column but the index if it is None."""
        return self._present_in_any if column is None else self.column(column).present

    @cached_property
    def _present_in_any(self) -> Flags:
        tags = [self.column(name).present for name in self.frame.columns if name != self.index]
        return np.logical_or.reduce(tags) if tags else np.zeros(self.rows, dtype=bool)

    def label(self, row: int) -> Any:
        """Return what Great Expectations calls the row at a position."""
        return int(row) if self.numbered else self.frame.index[row]

    def span(self, value: str | int, *, of: str) -> int:
        """Return a span such as `2h` or `12` in the unit of the index.

        Raises:
            ValueError: if a duration was given for steps, or a number for time.
        """
        if self.is_time == isinstance(value, int):
            wanted = "a duration such as 1h, because the index is time" if self.is_time else "a whole number of steps"
            raise ValueError(f"{of} is {value!r}; write {wanted}")
        return value if isinstance(value, int) else _microseconds(value)

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


@lru_cache(maxsize=1024)
def _microseconds(duration: str) -> int:
    return parse_duration(duration) // _MICROSECOND
