"""Which rows each window has: found for all windows at once, whatever their order, and whether or not they overlap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from datadriver.data.contract.measures import as_instants
from datadriver.data.window import Window, as_number

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Kind = Literal["time", "step"]


@dataclass(frozen=True)
class Cut:
    """Windows as numbers (microseconds or steps), in the order in which they were asked for."""

    starts: Ints
    ends: Ints

    @classmethod
    def of(cls, windows: Sequence[Window]) -> Cut:
        """Return windows, both ends of which are given, as numbers."""
        edges = [(as_number(one.start), as_number(one.end)) for one in windows]  # type: ignore[arg-type]
        starts, ends = np.array(edges, dtype="int64").reshape(len(edges), 2).T
        return cls(starts, ends)

    def bounds(self, at: Ints) -> tuple[Ints, Ints]:
        """Return for each window the first of some sorted instants that is inside, and the first that is after."""
        low = np.searchsorted(at, self.starts, side="left")
        return low, np.maximum(np.searchsorted(at, self.ends, side="left"), low)

    def counts(self, at: Ints) -> Ints:
        """Return how many of some sorted instants each window has."""
        low, high = self.bounds(at)
        return high - low

    def positions(self, at: Ints) -> tuple[Ints, Ints]:
        """Return the positions of the rows of all windows one after the other, and the window of each.

        >>> Cut(np.array([0, 2]), np.array([2, 5])).positions(np.array([1, 2, 3, 7]))
        (array([0, 1, 2]), array([0, 1, 1]))
        """
        low, high = self.bounds(at)
        sizes = high - low
        codes = np.repeat(np.arange(len(sizes)), sizes)
        return np.arange(len(codes)) + np.repeat(low - (np.cumsum(sizes) - sizes), sizes), codes

    def largest(self, at: Ints, values: Ints, *, empty: int = 0) -> Ints:
        """Return the largest value inside of each window; `empty` where it has none."""
        positions, codes = self.positions(at)
        found = np.full(len(self.starts), empty, dtype="int64")
        np.maximum.at(found, codes, values[positions])
        return found


def instants_of(index: pd.Index) -> Ints:
    """Return an index as numbers."""
    return as_instants(index)


def sorted_rows(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a frame in the order of its index."""
    return frame if frame.index.is_monotonic_increasing else frame.sort_index(kind="stable")
