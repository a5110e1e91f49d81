"""How unlike a reference the rows of many windows are: PSI and the Kolmogorov-Smirnov distance, all windows at once.

The reference of a feature is what `training/reference.py` keeps of it: the shares of bins (deciles, or single values
where there are few, or texts), and for numbers the distribution function as points with straight lines between.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
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
    def own(self) -> Codes | None:
        """How many of the rows that the reference was made of each window has, where that is known."""
        return None if self.fitted is None else np.bincount(self.codes[self.fitted], minlength=self.count)

    @cached_property
    def steps(self) -> Steps:
        """The distribution functions of the windows, which are the same for every trait without nulls."""
        return Steps.of(self._sizes)

    @cached_property
    def complete(self) -> dict[int, Distances]:
        """Distances of the nulls of traits that have none, by rows of the reference: the same for each such trait."""
        return {}

    @cached_property
    def _sizes(self) -> Codes:
        return np.bincount(self.codes, minlength=self.count)


@dataclass(frozen=True)
class Steps:
    """The distribution function of each window before and at each of its rows, sorted by window and value.

    Attributes:
        before: share of the window's rows in front of a row.
        at: the same with the row itself.
        firsts: where the windows that have rows begin.
        filled: which windows have rows.
    """

    before: Floats
    at: Floats
    firsts: Codes
    filled: Flags

    @classmethod
    def of(cls, sizes: Codes) -> Steps:
        """Return the steps of windows of these sizes."""
        firsts, size = np.cumsum(sizes) - sizes, np.repeat(sizes, sizes)
        rank = np.arange(len(size)) - np.repeat(firsts, sizes)
        return cls(rank / size, (rank + 1) / size, firsts[sizes > 0], sizes > 0)


@dataclass(frozen=True)
class _Ordered:
    """The window of each row and whether it was fitted, in another order than that of `rows`."""

    codes: Codes
    fitted: Flags | None
    rows: Rows

    @classmethod
    def by(cls, order: Codes, rows: Rows) -> _Ordered:
        """Return the rows in this order."""
        return cls(rows.codes[order], None if rows.fitted is None else rows.fitted[order], rows)

    @classmethod
    def as_is(cls, rows: Rows) -> _Ordered:
        """Return the rows in their own order."""
        return cls(rows.codes, rows.fitted, rows)


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


def compare(kept: Mapping[str, Any], total: int, column: pd.Series | Floats, rows: Rows) -> tuple[Distances, Distances]:
    """Return how unlike what was kept of `total` rows a column is: its values, and its nulls."""
    if "shares" in kept:
        return _compare_texts(kept, total, pd.Series(column), rows)
    values = column if isinstance(column, np.ndarray) else _as_numbers(column)
    known = np.isfinite(values)
    nulls = _nulls(kept, total, known, rows)
    if "quantiles" not in kept:
        nothing = np.full(rows.count, np.nan)
        return Distances(nothing, nothing, rows.sizes(known), 1, 0), nulls
    values, rows, size = values[known], _only(rows, known), _size(kept, total)
    order = np.argsort(values)  # bins, distribution functions and the extremes of windows are read off it
    values, ordered = values[order], _Ordered.by(order, rows)
    if "values" in kept:
        values, codes = _single(kept, values)
        seen = codes
    else:
        codes = places(kept["edges"], values)
        seen = _first_seen(codes, values, ordered, len(kept["edges"]))
    shares, ks = np.asarray(kept["parts"], dtype="float64"), _ks(distribution(kept), values, ordered, size)
    return _values(size, codes, shares, ordered, ks, seen), nulls


def _as_numbers(column: pd.Series) -> Floats:
    numbers = column if pd.api.types.is_numeric_dtype(column.dtype) else pd.to_numeric(column, errors="coerce")
    return np.asarray(numbers.to_numpy("float64", na_value=np.nan))


def _compare_texts(kept: Mapping[str, Any], total: int, column: pd.Series, rows: Rows) -> tuple[Distances, Distances]:
    known = column.notna().to_numpy()
    codes = pd.Index(list(kept["shares"])).get_indexer(column[known].astype("str"))
    shares = np.array([*kept["shares"].values()], dtype="float64")
    shares = np.append(shares, max(1 - shares.sum(), 0.0))
    codes = np.where(codes < 0, len(shares) - 1, codes)
    ordered = _Ordered.as_is(_only(rows, known))
    nothing = np.full(rows.count, np.nan)
    return _values(_size(kept, total), codes, shares, ordered, nothing, codes), _nulls(kept, total, known, rows)


def places(edges: Sequence[float] | Floats, ordered: Floats) -> Codes:
    """Return the bin of each of sorted values: of those between two edges the right one is inside, and the lowest, too.

    >>> places([0.0, 1.0, 2.0], np.array([-1.0, 0.0, 1.0, 1.5, 2.0, 9.0]))
    array([0, 1, 1, 2, 2, 3])
    """
    return np.repeat(np.arange(len(edges) + 1), in_bins(edges, ordered))


def in_bins(edges: Sequence[float] | Floats, ordered: Floats) -> Codes:
    """Return how many of sorted values are in each bin of `places`."""
    upto = np.searchsorted(ordered, edges, side="right")
    upto[0] = np.searchsorted(ordered, edges[0])
    return np.diff(upto, prepend=0, append=len(ordered))


def distribution(kept: Mapping[str, Any]) -> tuple[Floats, Floats, Floats]:
    """Return the points of a distribution function: where they are, and its value just before and at each."""
    if "values" in kept:
        at = np.cumsum(np.asarray(kept["parts"], dtype="float64")[:-1])
        return np.asarray(kept["values"], dtype="float64"), np.append(0.0, at[:-1]), at
    quantiles = np.asarray(kept["quantiles"], dtype="float64")
    levels = _levels(len(quantiles))
    new = quantiles[1:] != quantiles[:-1]
    if new.all():
        return quantiles, levels, levels
    first = np.flatnonzero(np.append(True, new))
    last = np.append(first[1:], len(quantiles)) - 1
    return quantiles[first], levels[first], levels[last]


@cache
def _levels(count: int) -> Floats:
    return np.linspace(0, 1, count)


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


def _single(kept: Mapping[str, Any], values: Floats) -> tuple[Floats, Codes]:
    """Number each value by the kept one that it is, up to rounding; any other is of the last bin."""
    singles = np.asarray(kept["values"], dtype="float64")
    nearest = np.searchsorted((singles[1:] + singles[:-1]) / 2, values)
    same = np.isclose(values, singles[nearest], rtol=1e-9, atol=1e-12)
    return np.where(same, singles[nearest], values), np.where(same, nearest, len(singles))


def _first_seen(codes: Codes, values: Floats, ordered: _Ordered, highest: int) -> Codes:
    """Move what the rest of the training part never saw into the outer bins, of which one is the `highest`.

    The edges are those of all of it. But of the window that holds its largest (or smallest) value, the part beyond all
    other windows would be as new to them as the next record will be to all of them.
    """
    if ordered.fitted is None or not ordered.fitted.any() or ordered.rows.count < 2:
        return codes
    fitted = np.flatnonzero(ordered.fitted)
    codes = codes.copy()
    for outer, inwards in ((highest, fitted[::-1]), (0, fitted)):
        window = ordered.codes[inwards[0]]
        others = inwards[ordered.codes[inwards] != window]
        beyond = _beyond(values, others[0], upwards=bool(outer)) if len(others) else slice(None)
        codes[beyond][ordered.codes[beyond] == window] = outer
    return codes


def _beyond(ordered: Floats, place: int, *, upwards: bool) -> slice:
    """Return where sorted values are that are larger (or smaller) than the one at a place."""
    value = ordered[place]
    if upwards:
        return slice(int(np.searchsorted(ordered, value, side="right")), None)
    return slice(0, int(np.searchsorted(ordered, value)))


def _values(  # noqa: PLR0913, PLR0917 - the rows, the reference, and what is known of them already
    known: int, codes: Codes, shares: Floats, ordered: _Ordered, ks: Floats, seen: Codes
) -> Distances:
    """Compare the counts of bins with what `known` rows of the reference have in them.

    `seen` are the bins of the rows as the rest of the reference sees them.
    """
    bins, rows = len(shares), ordered.rows
    counts, expected = _counts(seen, bins, ordered.codes, rows.count), shares * known
    if ordered.fitted is not None:
        own = _counts(codes[ordered.fitted], bins, ordered.codes[ordered.fitted], rows.count)
        expected = np.maximum(expected - own, 0.0)
    psi = stability_index(counts, np.broadcast_to(expected, counts.shape))
    size = rows.sizes()
    return Distances(np.where(size > 0, psi, np.nan), ks, size, bins, known)


def _counts(codes: Codes, bins: int, windows: Codes, count: int) -> Floats:
    flat = np.bincount(windows * bins + codes, minlength=count * bins)
    return flat.reshape(count, bins).astype("float64")


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
    ks, codes = _beside(difference, rows, total), (~known).astype(np.intp)
    return _values(total, codes, shares, _Ordered.as_is(rows), ks, codes)


def _ks(points: tuple[Floats, Floats, Floats], values: Floats, ordered: _Ordered, known: int) -> Floats:
    """Return the largest distance between the distribution function of each window and that of the reference."""
    rows = ordered.rows
    before, at = _evaluate(points, values)
    # Small codes are sorted by counting them, which is four times as fast as sorting by window and value at once.
    small = ordered.codes.astype(np.uint16) if rows.count <= np.iinfo(np.uint16).max else ordered.codes
    by_window = np.argsort(small, kind="stable")
    apart = np.maximum(rows.steps.at - at[by_window], before[by_window] - rows.steps.before)
    found = np.full(rows.count, np.nan)
    if len(apart):
        found[rows.steps.filled] = np.maximum.reduceat(apart, rows.steps.firsts)
    return _beside(np.maximum(found, 0.0), rows, known)


def _evaluate(points: tuple[Floats, Floats, Floats], values: Floats) -> tuple[Floats, Floats]:
    """Return a distribution function just before and at each value.

    A jump is two points at one place, of which `np.interp` takes the last: seen from the right the upper one.
    """
    where, low, high = points
    if low is high:
        at = np.interp(values, where, high)
        return at, at
    where, levels = np.repeat(where, 2), np.column_stack((low, high)).ravel()
    before = np.interp(-values, -where[::-1], levels[::-1], left=1.0, right=0.0)
    return before, np.interp(values, where, levels, left=0.0, right=1.0)


def _beside(distance: Floats, rows: Rows, known: int) -> Floats:
    """Turn the distance from all of the reference into that from the rows of it beside the window's own.

    The whole is a mixture of the window (its share w) and the rest, so the distance from the whole is 1 - w times that
    from the rest.
    """
    if rows.own is None:
        return distance
    own = rows.own / max(known, 1)
    return np.minimum(np.divide(distance, 1 - own, out=np.ones_like(distance), where=own < 1), 1.0)
