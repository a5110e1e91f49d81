"""Frozen runs, gaps and sampling interval of a column, on plain arrays.

`at` is the index as int64: microseconds since 1970 in UTC, or steps. Spans are in the same unit.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

Instants = npt.NDArray[np.int64]
Values = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

_SEVERAL = 5
Positions = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Run:
    """Rows `first` to `last`, both included, that hold one value for `span`."""

    first: int
    last: int
    span: int

    @property
    def rows(self) -> int:
        """Number of rows in the run."""
        return self.last - self.first + 1


@dataclass(frozen=True)
class Gap:
    """A stretch without values from `start` to `end`."""

    start: int
    end: int

    @property
    def span(self) -> int:
        """Length of the gap, in the unit of the index."""
        return self.end - self.start


def as_instants(column: pd.Series | pd.Index) -> Instants:
    """Return time as microseconds since 1970 (naive is taken as UTC) and whole steps as they are.

    Raises:
        ValueError: if the column is neither time nor whole numbers.
    """
    if isinstance(column.dtype, pd.DatetimeTZDtype) or column.dtype.kind == "M":
        micro: Instants = pd.DatetimeIndex(column).as_unit("us").asi8
        return micro
    if column.dtype.kind in "iu":
        return column.to_numpy(dtype=np.int64)
    raise ValueError(f"column {column.name!r} of type {column.dtype} is neither time nor whole steps")


def as_values(column: pd.Series) -> Values:
    """Return numbers as float64, and anything else as one number for each distinct value; null is NaN."""
    if pd.api.types.is_numeric_dtype(column):
        return column.to_numpy(dtype=np.float64, na_value=np.nan)
    codes = pd.factorize(column)[0].astype(np.float64)
    codes[codes < 0] = np.nan
    return codes


def frozen_runs(
    at: Instants, values: Values, *, longer_than: int, tolerance: float = 0.0, allowed: Collection[float] = ()
) -> list[Run]:
    """Return the runs that stay within `tolerance` of their first value for longer than `longer_than`.

    A null ends a run, and so does a pause between two rows of more than `longer_than`: nobody saw the value stand
    still meanwhile. Runs at an `allowed` value (a pump at rest reads 0) do not count.
    """
    if len(at) < 2:
        return []
    firsts = _starts(at, values, longer_than, tolerance)
    lasts, spans = _ends(at, firsts)
    return [
        Run(int(firsts[i]), int(lasts[i]), int(spans[i]))
        for i in np.flatnonzero(spans > longer_than)
        if not any(abs(values[firsts[i]] - value) <= tolerance for value in allowed)
    ]


def _ends(at: Instants, firsts: Positions) -> tuple[Positions, Instants]:
    """Return the last row of each run, and how long it lasts."""
    lasts = np.append(firsts[1:], len(at)) - 1
    return lasts, at[lasts] - at[firsts]


def _starts(at: Instants, values: Values, longer_than: int, tolerance: float) -> Positions:
    """Return the position at which each run begins; with a tolerance, runs that cannot be too long may be joined."""
    near = np.diff(at) <= longer_than
    equal = values[1:] == values[:-1]
    if tolerance == 0:
        return np.flatnonzero(np.append(True, ~(near & equal)))
    # Neighbours in a run are both close to its first value, so runs end where neighbours are further apart; the
    # little more is for rounding. What lasts too long between such places is walked through.
    with np.errstate(invalid="ignore"):
        close = equal | (np.abs(np.diff(values)) <= 2.000001 * tolerance)
    bounds = np.flatnonzero(np.append(True, ~(near & close)))
    lasts, spans = _ends(at, bounds)
    walked = [_walk(values, bounds[i], lasts[i], tolerance) for i in np.flatnonzero(spans > longer_than)]
    return np.unique(np.concatenate([bounds, *walked])).astype(np.intp)


def _walk(values: Values, first: int, last: int, tolerance: float) -> list[int]:
    """Return where runs begin between two rows, one value after the other.

    Each run is measured from where it began: a slow drift is not a frozen sensor.
    """
    starts, anchor = [], float(values[first])
    for position, value in enumerate(values[first : last + 1].tolist(), start=int(first)):
        if not (value == anchor or abs(value - anchor) <= tolerance):
            starts.append(position)
            anchor = value
    return starts


def gaps(at: Instants, present: Flags, *, longer_than: int) -> list[Gap]:
    """Return the stretches between neighbouring values, longer than a limit, in the order of the index.

    `present` says which rows have a value. What comes before the first value and after the last counts too; without
    any value the whole frame is one gap.
    """
    points = _points(at, present)
    spans = np.diff(points)
    return [Gap(int(points[i]), int(points[i + 1])) for i in np.flatnonzero(spans > longer_than)]


def longest_gap(at: Instants, present: Flags) -> int:
    """Return the length of the longest such stretch, 0 where there is none."""
    return int(np.diff(_points(at, present)).max(initial=0))


def _points(at: Instants, present: Flags) -> Instants:
    """Return the instants of the values, between those of the first and the last row."""
    return np.concatenate((at[:1], at[present], at[-1:]))


def interval(at: Instants, present: Flags) -> float | None:
    """Return the median distance between neighbouring values; None with fewer than two."""
    seen = at[present]
    return float(np.median(np.diff(seen))) if len(seen) > 1 else None


def standing(at: Instants, values: Values, *, longest_pause: int) -> Instants:
    """Return for each row how long its value has stood still; as in `frozen_runs`, a null or a long pause ends that."""
    if not len(at):
        return at
    firsts = _starts(at, values, longest_pause, 0.0)
    since: Instants = at - np.repeat(at[firsts], np.diff(np.append(firsts, len(at))))
    return since


def does_move(values: Values) -> bool:
    """Tell whether a column has several different values: fewer have switches and set-points, made to stand still."""
    known = values[~np.isnan(values)]
    return any(len(np.unique(some)) >= _SEVERAL for some in (known[: 10 * _SEVERAL], known))  # a few tell, as a rule
