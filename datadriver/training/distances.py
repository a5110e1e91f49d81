"""How unlike a reference the rows of many windows are: PSI and the Kolmogorov-Smirnov distance, all windows at once.

The reference of a feature is what `training/reference.py` keeps of it: the shares of bins (deciles, or single values
where there are few, or texts), and for numbers the distribution function as points with straight lines between.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import rel_entr

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.intp]
Flags = npt.NDArray[np.bool_]

SMOOTHING = 0.5
"""Added to the count of each bin, so that an empty one does not make the index infinite (Jeffreys' prior)."""


@dataclass(frozen=True)
class Rows:
    """Rows sorted into windows: `codes` says for each row which one, from 0 to `count` - 1.

    `fitted` flags the rows that the reference was made of, where windows of the training part are compared with the
    rest of it.
    """

    codes: Codes
    count: int
    fitted: Flags | None = None

    def sizes(self, where: Flags | None = None) -> Codes:
        """Return how many rows (that are flagged) each window has."""
        return self._sizes if where is None else np.bincount(self.codes[where], minlength=self.count)

    @cached_property
    def own(self) -> Rows | None:
        """The rows that the reference was made of, where it is known."""
        return None if self.fitted is None else Rows(self.codes[self.fitted], self.count)

    @cached_property
    def complete(self) -> dict[int, Distances]:
        """Distances of the nulls of traits that have none, by rows of the reference: the same for each such trait."""
        return {}

    @cached_property
    def _sizes(self) -> Codes:
        return np.bincount(self.codes, minlength=self.count)


@dataclass(frozen=True)
class Distances:
    """How unlike the reference one trait of the rows is, by window.

    Attributes:
        psi: population stability index; NaN where there is nothing to compare.
        ks: Kolmogorov-Smirnov distance; NaN for texts, too.
        rows: how many rows each window has of it.
        bins: how many bins the index has.
        known: how many rows the reference has of it.
    """

    psi: Floats
    ks: Floats
    rows: Codes
    bins: int
    known: int


def compare(kept: Mapping[str, Any], total: int, column: pd.Series, rows: Rows) -> tuple[Distances, Distances]:
    """Return how unlike what was kept of `total` rows a column is: its values, and its nulls."""
    if "shares" in kept:
        known = column.notna().to_numpy()
        codes = pd.Index(list(kept["shares"])).get_indexer(column[known].astype("str"))
        shares = np.array([*kept["shares"].values()], dtype="float64")
        shares = np.append(shares, max(1 - shares.sum(), 0.0))
        codes = np.where(codes < 0, len(shares) - 1, codes)
        ks = np.full(rows.count, np.nan)
        return _values(_size(kept, total), codes, shares, _only(rows, known), ks), _nulls(kept, total, known, rows)
    numbers = column if pd.api.types.is_numeric_dtype(column.dtype) else pd.to_numeric(column, errors="coerce")
    values = numbers.to_numpy("float64", na_value=np.nan)
    known = np.isfinite(values)
    if "quantiles" not in kept:
        nothing = np.full(rows.count, np.nan)
        return Distances(nothing, nothing, rows.sizes(known), 1, 0), _nulls(kept, total, known, rows)
    values, inside = values[known], _only(rows, known)
    if "values" in kept:
        values, codes, shares = _single(kept, values)
    else:
        codes, shares = places(kept["edges"], values), np.asarray(kept["parts"], dtype="float64")
    ks, seen = _ks(distribution(kept), values, inside, _size(kept, total)), _first_seen(codes, values, kept, inside)
    return _values(_size(kept, total), codes, shares, inside, ks, seen), _nulls(kept, total, known, rows)


def places(edges: Sequence[float] | Floats, values: Floats) -> Codes:
    """Return the bin of each value: of those between two edges the right one is inside, and the lowest edge, too.

    >>> places([0.0, 1.0, 2.0], np.array([-1.0, 0.0, 1.0, 1.5, 2.0, 9.0]))
    array([0, 1, 1, 2, 2, 3])
    """
    found = np.searchsorted(edges, values)
    return np.asarray(np.where(values == edges[0], 1, found), dtype=np.intp)


def distribution(kept: Mapping[str, Any]) -> tuple[Floats, Floats, Floats]:
    """Return the points of a distribution function: where they are, and its value just before and at each."""
    if "values" in kept:
        at = np.cumsum(np.asarray(kept["parts"], dtype="float64")[:-1])
        return np.asarray(kept["values"], dtype="float64"), np.append(0.0, at[:-1]), at
    quantiles = np.asarray(kept["quantiles"], dtype="float64")
    levels = np.linspace(0, 1, len(quantiles))
    first = np.flatnonzero(np.append(True, quantiles[1:] != quantiles[:-1]))
    last = np.append(first[1:], len(quantiles)) - 1
    return quantiles[first], levels[first], levels[last]


def stability_index(counts: Floats, expected: Floats) -> Floats:
    """Return the population stability index of counts against expected counts, along the last axis.

    It is the sum of (p - q) ln(p / q) over the bins, the symmetric relative entropy of Kullback and Leibler (1951).

    >>> stability_index(np.array([10.0, 30.0]), np.array([10.0, 30.0])).round(3)
    np.float64(0.0)
    """
    p, q = _smooth(counts), _smooth(expected)
    return np.asarray((rel_entr(p, q) + rel_entr(q, p)).sum(axis=-1))


def _smooth(counts: Floats) -> Floats:
    raised = counts + SMOOTHING
    return np.asarray(raised / raised.sum(axis=-1, keepdims=True))


def _only(rows: Rows, where: Flags) -> Rows:
    if where.all():
        return rows
    return Rows(rows.codes[where], rows.count, None if rows.fitted is None else rows.fitted[where])


def _size(kept: Mapping[str, Any], total: int) -> int:
    return round(total * (1 - float(kept["nulls"])))


def _single(kept: Mapping[str, Any], values: Floats) -> tuple[Floats, Codes, Floats]:
    """Number each value by the kept one that it is, up to rounding; any other is of the last bin."""
    singles = np.asarray(kept["values"], dtype="float64")
    nearest = np.searchsorted((singles[1:] + singles[:-1]) / 2, values)
    same = np.isclose(values, singles[nearest], rtol=1e-9, atol=1e-12)
    return (
        np.where(same, singles[nearest], values),
        np.where(same, nearest, len(singles)),
        np.asarray(kept["parts"], dtype="float64"),
    )


def _first_seen(codes: Codes, values: Floats, kept: Mapping[str, Any], rows: Rows) -> Codes:
    """Move what the rest of the training part never saw into the outer bins.

    The edges are those of all of it. But of the window that holds its largest (or smallest) value, the part beyond all
    other windows would be as new to them as the next record will be to all of them.
    """
    if rows.fitted is None or not rows.fitted.any() or "edges" not in kept:
        return codes
    fitted, windows = values[rows.fitted], rows.codes[rows.fitted]
    for sign, outer in ((1, len(kept["edges"])), (-1, 0)):
        largest = np.full(rows.count, -np.inf)
        np.maximum.at(largest, windows, sign * fitted)
        first, *others = np.argsort(largest)[::-1][:2]
        if others:
            codes = np.where((rows.codes == first) & (sign * values > largest[others[0]]), outer, codes)
    return codes


def _values(  # noqa: PLR0913, PLR0917 - the rows, the reference, and what is known of them already
    known: int, codes: Codes, shares: Floats, rows: Rows, ks: Floats, seen: Codes | None = None
) -> Distances:
    """Compare the counts of bins with what `known` rows of the reference have in them.

    `seen` are the bins of the rows as the rest of the reference sees them.
    """
    bins = len(shares)
    counts, expected = _counts(codes if seen is None else seen, bins, rows), shares * known
    if rows.own is not None:
        expected = np.maximum(expected - _counts(codes[rows.fitted], bins, rows.own), 0.0)
    psi = stability_index(counts, np.broadcast_to(expected, counts.shape))
    size = rows.sizes()
    return Distances(np.where(size > 0, psi, np.nan), ks, size, bins, known)


def _counts(codes: Codes, bins: int, rows: Rows) -> Floats:
    flat = np.bincount(rows.codes * bins + codes, minlength=rows.count * bins)
    return flat.reshape(rows.count, bins).astype("float64")


def _nulls(kept: Mapping[str, Any], total: int, known: Flags, rows: Rows) -> Distances:
    """Compare the shares of nulls, as a feature with two values."""
    if kept["nulls"] or not known.all():
        return _compare_nulls(kept, total, known, rows)
    if total not in rows.complete:
        rows.complete[total] = _compare_nulls(kept, total, known, rows)
    return rows.complete[total]


def _compare_nulls(kept: Mapping[str, Any], total: int, known: Flags, rows: Rows) -> Distances:
    shares = np.array([1 - kept["nulls"], kept["nulls"]])
    sizes = rows.sizes()
    with np.errstate(invalid="ignore", divide="ignore"):
        difference = np.abs((sizes - rows.sizes(known)) / sizes - shares[1])
    ks = _beside(difference, rows, total)
    return _values(total, (~known).astype(np.intp), shares, rows, ks)


def _ks(points: tuple[Floats, Floats, Floats], values: Floats, rows: Rows, known: int) -> Floats:
    """Return the largest distance between the distribution function of each window and that of the reference."""
    order = _by_window(values, rows)
    values, sizes = values[order], rows.sizes()
    firsts = np.cumsum(sizes) - sizes
    rank = np.arange(len(values)) - np.repeat(firsts, sizes)
    size = np.repeat(sizes, sizes)
    before, at = _evaluate(points, values)
    apart = np.maximum((rank + 1) / size - at, before - rank / size) if len(values) else values
    found = np.full(rows.count, np.nan)
    filled = sizes > 0
    if filled.any():
        found[filled] = np.maximum.reduceat(apart, firsts[filled])
    return _beside(np.maximum(found, 0.0), rows, known)


def _by_window(values: Floats, rows: Rows) -> Codes:
    """Return the order by window and value; small codes are sorted by counting them, four times as fast as lexsort."""
    by_value = np.argsort(values)
    codes = rows.codes[by_value]
    small = codes.astype(np.uint16) if rows.count <= np.iinfo(np.uint16).max else codes
    return by_value[np.argsort(small, kind="stable")]


def _evaluate(points: tuple[Floats, Floats, Floats], values: Floats) -> tuple[Floats, Floats]:
    """Return a distribution function just before and at each value."""
    where, low, high = points
    left = np.searchsorted(where, values, side="right") - 1  # the last point that is not after the value
    inner = np.clip(left, 0, max(len(where) - 2, 0))
    after = np.minimum(inner + 1, len(where) - 1)
    width = where[after] - where[inner]
    part = np.divide(values - where[inner], width, out=np.zeros_like(values), where=width > 0)
    between = high[inner] + np.clip(part, 0, 1) * (low[after] - high[inner])
    on = (left >= 0) & (where[np.maximum(left, 0)] == values)
    outside = np.where(left < 0, 0.0, np.where(values > where[-1], 1.0, between))
    return np.where(on, low[left], outside), np.where(on, high[left], outside)


def _beside(distance: Floats, rows: Rows, known: int) -> Floats:
    """Turn the distance from all of the reference into that from the rows of it beside the window's own.

    The whole is a mixture of the window (its share w) and the rest, so the distance from the whole is 1 - w times that
    from the rest.
    """
    if rows.own is None:
        return distance
    own = rows.own.sizes() / max(known, 1)
    return np.minimum(np.divide(distance, 1 - own, out=np.ones_like(distance), where=own < 1), 1.0)
