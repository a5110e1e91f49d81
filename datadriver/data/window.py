"""Instants, windows and lengths of the index: times in UTC, or whole-number steps."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from datadriver.config.sections import Data, UseCase
from datadriver.config.values import format_amount
from datadriver.errors import ConfigError, DataError

Instant = pd.Timestamp | int
"""A place on the index: a tz-aware UTC time, or a step."""

TIME_DTYPE = "datetime64[us, UTC]"
"""Dtype of every time index: microseconds, because pandas joins refuse mixed units."""


@dataclass(frozen=True)
class Window:
    """A half-open stretch `[start, end)` of the index; `None` is as far as the data go."""

    start: Instant | None = None
    end: Instant | None = None

    def __post_init__(self) -> None:
        if self.start is None or self.end is None:
            return
        if isinstance(self.start, int) != isinstance(self.end, int):
            raise ConfigError(f"window {self}: start and end are of different kinds")
        if self.start >= self.end:  # type: ignore[operator]
            raise DataError(f"window {self} is empty: its start is not before its end")

    def __str__(self) -> str:
        return f"[{_text(self.start, 'first')}, {_text(self.end, 'last')})"

    def slice(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return the rows of a frame (sorted index) that are inside of the window."""
        index = frame.index
        first = 0 if self.start is None else int(index.searchsorted(self.start, side="left"))
        last = len(index) if self.end is None else int(index.searchsorted(self.end, side="left"))
        return frame.iloc[first:last]

    def starting_earlier(self, by: timedelta | int) -> Window:
        """Return the window with more history in front of it.

        >>> Window(100, 200).starting_earlier(20)
        Window(start=80, end=200)
        """
        return self if self.start is None else Window(shift(self.start, -by), self.end)


def _text(instant: Instant | None, default: str) -> str:
    return default if instant is None else format_instant(instant)


def format_instant(instant: Instant) -> str:
    """Write an instant for people and files: ISO 8601 with offset, or the step.

    >>> format_instant(pd.Timestamp("2026-03-01", tz="UTC")), format_instant(7)
    ('2026-03-01T00:00:00+00:00', '7')
    """
    return instant.isoformat() if isinstance(instant, pd.Timestamp) else str(int(instant))


def parse_instant(text: str | int | pd.Timestamp, data: Data | UseCase) -> Instant:
    """Read an instant as written on a command line; a naive time is in the use case's zone.

    Raises:
        ConfigError: if it is not an ISO 8601 time, or not a whole number where the index is a step.
    """
    data = data.data if isinstance(data, UseCase) else data
    if data.index == "step":
        try:
            return int(text)
        except (TypeError, ValueError):
            raise ConfigError(f"{text!r} is not a step: the index is `step`, write a whole number") from None
    try:
        stamp = pd.Timestamp(text if isinstance(text, pd.Timestamp) else str(text).strip())
        if pd.isna(stamp):
            raise ValueError
        if stamp.tzinfo is None:
            # A command line names one instant: the earlier of a doubled hour, the next of a skipped one.
            stamp = stamp.tz_localize(data.timezone, ambiguous=True, nonexistent="shift_forward")
        return stamp.tz_convert("UTC").as_unit("us")
    except (ValueError, OverflowError):
        raise ConfigError(f"{text!r} is not a time; write ISO 8601, such as 2026-03-01T06:00:00Z") from None


def shift(instant: Instant, span: timedelta | int) -> Instant:
    """Move an instant by a length of the index.

    >>> shift(10, -3)
    7

    Raises:
        ConfigError: if a step is moved by a duration, or a time by a number of steps.
    """
    if isinstance(instant, int) != isinstance(span, int) and span:
        kind = "a step" if isinstance(instant, int) else "a time"
        raise ConfigError(
            f"{format_instant(instant)} is {kind}, {format_amount(span)!r} is not a length of such an index"
        )
    if not span:
        return instant
    return instant + span  # type: ignore[operator]


def as_instant(label: object) -> Instant:
    """Return a label of a frame's index as an instant: numpy's integers become Python's.

    >>> as_instant(pd.RangeIndex(5).max())
    4
    """
    return label if isinstance(label, pd.Timestamp) else int(label)  # type: ignore[call-overload]


def as_number(instant: Instant) -> int:
    """Return an instant as a whole number: microseconds since 1970 in UTC, or the step itself."""
    if isinstance(instant, pd.Timestamp):
        return int(instant.as_unit("us").asm8.astype("int64"))
    return int(instant)


def from_number(number: int, kind: Literal["time", "step"]) -> Instant:
    """Return the instant that `as_number` made this number of."""
    return int(number) if kind == "step" else pd.Timestamp(int(number), unit="us", tz="UTC").as_unit("us")


def span_number(span: timedelta | int) -> int:
    """Return a length of the index as a whole number of microseconds or steps."""
    return span // timedelta(microseconds=1) if isinstance(span, timedelta) else span


def frame_index(numbers: npt.NDArray[np.int64], kind: Literal["time", "step"]) -> pd.Index:
    """Return an index, named `time` or `step`, of instants given as numbers."""
    if kind == "step":
        return pd.Index(numbers, dtype="int64", name="step")
    return pd.DatetimeIndex(numbers.astype("datetime64[us]"), name="time").tz_localize("UTC")
