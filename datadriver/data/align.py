"""Readings onto one clock: bins closed and labelled on the right, values held no longer than allowed.

What stands at a label was known at that label: a bin covers `(label - size, label]`, a held value is an earlier one,
an as-of join takes the last row that was known.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from datadriver.data.clean import Floats, Values
from datadriver.data.clock import Numbers
from datadriver.data.readings import Track

UNLIMITED = 2**62
NO_HOLD = -1

# What describes a bin, and not the machine: holding it would invent energy, counts and noise.
OF_THE_BIN = frozenset({"sum", "count", "std"})


def labels_of(instants: Numbers, size: int) -> Numbers:
    """Return the label of the bin of each instant; labels are multiples of `size` since 1970 (or step 0).

    >>> labels_of(np.array([10, 11, 20]), 10).tolist()
    [10, 20, 20]
    """
    return -(-instants // size) * size


def label_of(instant: int, size: int) -> int:
    """Return the label of the bin of one instant."""
    return -(-int(instant) // size) * size


def at_labels(track: Track, labels: Numbers, gap: int) -> Values:
    """Return at each label the last value at or before it, if it is of the label itself or no older than `gap`."""
    text = track.values.dtype == object
    if np.array_equal(track.at, labels):
        return track.values
    result: Values = np.full(len(labels), None if text else np.nan, dtype=object if text else "float64")
    if not len(track.at):
        return result
    last = np.searchsorted(track.at, labels, side="right") - 1
    seen = last >= 0
    last = np.maximum(last, 0)
    seen &= (track.at[last] == labels) | (labels - track.born[last] <= gap)
    result[seen] = track.values[last[seen]]
    return result


def without_nulls(track: Track) -> Track:
    """Return the readings that have a value."""
    present = _present(track.values)
    if present.all():
        return track
    return Track(track.tag, track.at[present], track.born[present], track.values[present])


def last_known(track: Track, gap: int) -> Track:
    """Return the rows that were, when they became known, the latest by their own instant, and no older than `gap`.

    That is what an as-of join takes: a late entry of older work does not hide newer work.
    """
    if not len(track.at):
        return track
    newest = track.born >= np.maximum.accumulate(track.born)
    newest &= track.at - track.born <= gap
    return Track(track.tag, track.at[newest], track.born[newest], track.values[newest])


def _present(values: Values) -> npt.NDArray[np.bool_]:
    if values.dtype == object:
        return np.array([value is not None for value in values], dtype=bool)
    return ~np.isnan(values)


@dataclass(frozen=True)
class _Bins:
    """Where the bins of sorted readings start, and how many readings each has."""

    starts: Numbers
    counts: Numbers

    @property
    def ends(self) -> Numbers:
        return self.starts + self.counts - 1


def bin_tracks(tracks: Mapping[str, Track], size: int) -> dict[str, Track]:
    """Aggregate each tag's readings by bin: `at` becomes the label, `born` stays the last reading's own instant."""
    shared: list[tuple[Numbers, Numbers, _Bins]] = []  # tags of a wide table without nulls have the same instants
    binned = {}
    for name, track in tracks.items():
        known = without_nulls(track)
        done = next((entry for entry in shared if entry[0] is known.at), None)
        if done is None:
            done = known.at, *_bins(known.at, size)
            shared.append(done)
        _, labels, bins = done
        aggregate = "last" if track.tag.type == "text" else track.tag.aggregate
        values = _AGGREGATES[aggregate](known.values, bins) if len(labels) else known.values
        binned[name] = Track(track.tag, labels[bins.starts], known.born[bins.ends], values)
    return binned


def _bins(instants: Numbers, size: int) -> tuple[Numbers, _Bins]:
    labels = labels_of(instants, size)
    starts = np.flatnonzero(np.append(True, labels[1:] != labels[:-1])) if len(labels) else labels
    return labels, _Bins(starts, np.diff(np.append(starts, len(labels))))


def _mean(values: Floats, bins: _Bins) -> Floats:
    """Return means that are exact where all values of a bin are equal, so that a frozen sensor stays frozen."""
    if len(bins.starts) == len(values):
        return values
    low = np.minimum.reduceat(values, bins.starts)
    above = values - np.repeat(low, bins.counts)
    mean: Floats = low + np.add.reduceat(above, bins.starts) / bins.counts
    return mean


def _std(values: Floats, bins: _Bins) -> Floats:
    """Return sample standard deviations; NaN for a single reading."""
    deviations = values - np.repeat(_mean(values, bins), bins.counts)
    squares = np.add.reduceat(deviations**2, bins.starts)
    with np.errstate(invalid="ignore", divide="ignore"):
        result: Floats = np.where(bins.counts > 1, np.sqrt(squares / (bins.counts - 1)), np.nan)
    return result


def _median(values: Floats, bins: _Bins) -> Floats:
    ordered = values[np.lexsort((values, np.repeat(bins.starts, bins.counts)))]
    low = ordered[bins.starts + (bins.counts - 1) // 2]
    high = ordered[bins.starts + bins.counts // 2]
    middle: Floats = low + (high - low) / 2
    return middle


_AGGREGATES: dict[str, Callable[[Any, _Bins], Any]] = {
    "mean": _mean,
    "median": _median,
    "min": lambda values, bins: np.minimum.reduceat(values, bins.starts),
    "max": lambda values, bins: np.maximum.reduceat(values, bins.starts),
    "sum": lambda values, bins: np.add.reduceat(values, bins.starts),
    "first": lambda values, bins: values[bins.starts],
    "last": lambda values, bins: values[bins.ends],
    "std": _std,
    "count": lambda values, bins: bins.counts.astype("float64"),  # noqa: ARG005
}
