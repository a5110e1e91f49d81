"""Series as pages draw them: on a grid of some hundred steps, rounded, and packed as text."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

POINTS = 720
"""Most steps of a grid: about as many as a plot has pixels to tell apart; 30 days of hours, 15 days of half hours."""

Numbers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_GAP, _BRIDGE, _LEVELS = 65535, 65534, 65533


class Within(NamedTuple):
    """Of each value that is a mean: the smallest and the largest of what it is the mean of, and how many these are."""

    low: Floats
    high: Floats
    rows: Floats


@dataclass(frozen=True)
class Grid:
    """Equal steps from `start` on: microseconds since 1970 in UTC, or steps of the index."""

    start: int
    step: int
    size: int

    def at(self, position: int) -> int:
        """Return where a step starts."""
        return self.start + position * self.step


@dataclass(frozen=True)
class Curve:
    """A series on a grid, NaN where it has nothing; `low` and `high` are None where no step holds several values.

    Neighbouring values no further apart than `joined` steps have no gap between them: one that comes every third step
    is complete.
    """

    mean: Floats
    low: Floats | None = None
    high: Floats | None = None
    joined: int = 1


def fit_grid(first: int, last: int, spacing: int, *, points: int = POINTS) -> Grid:
    """Return a grid over `[first, last)` whose steps are multiples of the spacing, no more of them than `points`.

    >>> fit_grid(0, 1000, 1, points=100), fit_grid(0, 24, 6)
    (Grid(start=0, step=10, size=100), Grid(start=0, step=6, size=4))
    """
    spacing = max(1, spacing)
    count = -(-max(1, last - first) // spacing)
    step = spacing * -(-count // points)
    return Grid(first, step, -(-max(1, last - first) // step))


def usual_spacing(numbers: Numbers) -> int:
    """Return the median distance between instants in order; 1 where there are fewer than two.

    >>> usual_spacing(np.array([0, 10, 20, 50]))
    10
    """
    steps = np.diff(numbers)
    steps = steps[steps > 0]
    return int(np.sort(steps)[(len(steps) - 1) // 2]) if len(steps) else 1


def put_on(grid: Grid, numbers: Numbers, mean: Floats, within: Within | None = None) -> Curve:
    """Put values on a grid: of those that share a step the mean, the smallest and the largest.

    Args:
        grid: The grid; values outside of it do not count.
        numbers: Instants, sorted.
        mean: Values; those that are not finite do not count.
        within: What is known of each value, if it is a mean itself.
    """
    cells = (numbers - grid.start) // grid.step
    usable = np.isfinite(mean) & (cells >= 0) & (cells < grid.size)
    mean_all, cells, mean = mean, cells[usable], mean[usable]
    result = np.full(grid.size, np.nan)
    if not len(cells):
        return Curve(result)
    heads = np.flatnonzero(np.append(True, cells[1:] != cells[:-1]))
    held = cells[heads]
    joined = _joined(grid, numbers[usable], held)
    if len(heads) == len(cells) and within is None:
        result[held] = mean
        return Curve(result, joined=joined)
    lows, highs, weights = (one[usable] for one in within or (mean_all, mean_all, np.ones(len(mean_all))))
    weights = np.maximum(weights, 1.0)
    result[held] = np.add.reduceat(mean * weights, heads) / np.add.reduceat(weights, heads)
    low, high = np.full(grid.size, np.nan), np.full(grid.size, np.nan)
    low[held] = np.fmin.reduceat(np.fmin(lows, mean), heads)
    high[held] = np.fmax.reduceat(np.fmax(highs, mean), heads)
    return Curve(result, low, high, joined)


def _joined(grid: Grid, numbers: Numbers, held: Numbers) -> int:
    """Return how far apart values are that follow one another: their usual distance, with room if it is not exact."""
    spacing = usual_spacing(numbers)
    exact = spacing % grid.step == 0 or not ((numbers - numbers[0]) % spacing).any()
    return usual_spacing(held) * (1 if exact else 2)


def pack(values: Floats, *, joined: int = 1) -> dict[str, float | str]:
    """Pack values into 16 bits each as base64, 65,534 levels from the smallest to the largest.

    Nothing is lost that a plot could show, and the text needs no escaping. Steps without a value are gaps, but for
    those between values no further apart than `joined` steps, which the line bridges.
    """
    known = np.isfinite(values)
    codes = np.full(len(values), _GAP, dtype="<u2")
    offset = scale = 0.0
    if known.any():
        offset, top = float(values[known].min()), float(values[known].max())
        scale = (top - offset) / _LEVELS or 1.0
        codes[known] = np.rint((values[known] - offset) / scale)
        if joined > 1:
            codes[_bridged(known, joined)] = _BRIDGE
    return {"o": _short(offset), "s": _short(scale), "d": base64.b64encode(codes.tobytes()).decode("ascii")}


def _bridged(known: npt.NDArray[np.bool_], joined: int) -> npt.NDArray[np.bool_]:
    """Flag the empty steps between two values that follow one another."""
    places = np.flatnonzero(known)
    near = np.diff(places) <= joined
    change = np.zeros(len(known) + 1, dtype=np.int64)
    change[places[:-1][near]] += 1
    change[places[1:][near]] -= 1
    return (np.cumsum(change[:-1]) > 0) & ~known


def _short(value: float) -> float:
    return float(f"{value:.9g}")


def runs(flags: npt.NDArray[np.bool_], numbers: Numbers, spacing: int) -> list[list[int]]:
    """Return `[first, end)` of the stretches where flags are set, pauses of up to two spacings bridged.

    >>> runs(np.array([True, True, False, True]), np.array([0, 10, 20, 60]), 10)
    [[0, 20], [60, 70]]
    """
    places = np.flatnonzero(flags)
    if not len(places):
        return []
    at = numbers[places]
    cuts = np.flatnonzero((np.diff(at) > 2 * spacing) | (np.diff(places) > 1))
    starts, ends = np.append(0, cuts + 1), np.append(cuts, len(at) - 1)
    return [[int(at[first]), int(at[last]) + spacing] for first, last in zip(starts, ends, strict=True)]
