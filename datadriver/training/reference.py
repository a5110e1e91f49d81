"""What the training part looked like, small enough to keep with every version: drift is measured against it.

One day is never like a year. So the reference also says how unlike the whole the windows were of which it was made:
only what is more unlike than those is drift.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pandas as pd

from datadriver.config.values import format_amount
from datadriver.data.contract.measures import as_instants
from datadriver.data.window import span_number
from datadriver.training.distances import Distances, Flags, Floats, Rows, compare, in_bins
from datadriver.training.features import only_floats
from datadriver.training.metrics import Evidence, Metric, measure

LEVELS = tuple(round(float(level), 2) for level in np.linspace(0, 1, 21))
HIGH_LEVELS = (*LEVELS[10:-1], 0.97, 0.98, 0.99, 0.995, 0.999, 1.0)
"""Of the distances of windows only the upper half matters."""
LEVELS_OF_METRICS = (0.0, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 1.0)
EDGES = (0.0, 0.01, *LEVELS[2:-1:2], 0.99, 1.0)
"""Deciles, and bins for the rarest values and for those never seen: most of a day lies in one or two deciles anyway,
and what tells drift from a usual day is how far out that is."""
_BOTH = np.unique([*LEVELS, *EDGES])
_LEVELS, _EDGES = np.searchsorted(_BOTH, LEVELS), np.searchsorted(_BOTH, EDGES)
TOP = 20
FEW = 10
"""Numbers with at most so many different values are compared value by value."""
_MOST_WINDOWS = 500
FLOORS = {"psi": 0.1, "ks": 0.05}
"""Distances below are no news, however much alike the windows of the training part are."""


@dataclass(frozen=True)
class Spell:
    """How long a monitoring window is, and how many rows it must have to be judged."""

    length: timedelta | int
    min_rows: int = 20


def reference(features: pd.DataFrame, values: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Summarise features and further values (scores, residuals) as JSON-able numbers.

    Numbers get 21 quantiles from minimum to maximum, mean and standard deviation, and the shares of the bins between
    their deciles (`edges`, `parts`), or of each of their `values` where these are few. Texts get the shares of their
    most frequent values. All get the share of nulls.
    """
    return {
        "rows": len(features),
        "levels": list(LEVELS),
        "features": {
            name: _numbers(column) if isinstance(column, np.ndarray) else _texts(column)
            for name, column in columns_of(features).items()
        },
        **{name: _numbers(np.asarray(value, dtype="float64")) for name, value in values.items()},
    }


def columns_of(frame: pd.DataFrame) -> dict[str, Floats | pd.Series]:
    """Return numbers as plain arrays, cut from the frame at once: each Series costs more than sorting its values."""
    if only_floats(frame):
        return dict(zip(map(str, frame.columns.tolist()), frame.to_numpy().T, strict=True))
    numeric = [pd.api.types.is_numeric_dtype(dtype) for dtype in frame.dtypes]
    numbers = frame if all(numeric) else frame.loc[:, numeric]
    values = iter(numbers.to_numpy("float64", na_value=np.nan).T)
    return {
        str(name): next(values) if is_number else frame[name]
        for name, is_number in zip(frame.columns, numeric, strict=True)
    }


def usual_distances(
    kept: Mapping[str, Any], features: pd.DataFrame, scores: np.ndarray, *, fitted: Flags, spell: Spell
) -> dict[str, Any]:
    """Return how unlike the reference its own windows are, and those of the holdout, each asset's by itself.

    A window of the training part is compared with the rest of it, because a window is part of the whole and so more
    like it than a later one can be.

    Args:
        kept: What `reference` returned of the fitted rows.
        features: Those rows and the holdout's, index (asset_id, instant).
        scores: Of the same rows.
        fitted: Which of them were fitted.
        spell: The monitoring window.
    """
    codes, count = _windows(features.index, spell.length)
    rows = Rows(codes, count, fitted)
    columns = columns_of(features)
    pairs = {name: compare(one, kept["rows"], columns[name], rows) for name, one in kept["features"].items()}
    score, _ = compare(kept["score"], kept["rows"], np.asarray(scores, dtype="float64"), rows)
    enough = rows.sizes() >= spell.min_rows
    return {
        "length": format_amount(spell.length),
        "min_rows": spell.min_rows,
        "count": int(enough.sum()),
        "levels": list(HIGH_LEVELS),
        "features": _spread({name: values for name, (values, _) in pairs.items()}, enough, spell.min_rows),
        "nulls": _spread({nulls_of(name): nulls for name, (_, nulls) in pairs.items()}, enough, spell.min_rows),
        "score": _spread({"score": score}, enough, spell.min_rows),
    }


def usual_metric(evidence: Evidence, metric: Metric, spell: Spell) -> dict[str, Any]:
    """Return the quantiles of a metric over the windows of the holdout: a day is never like the whole, here neither.

    Of more than 500 windows every so many counts.
    """
    codes, count = _windows(evidence.frame.index, spell.length)
    judged = np.flatnonzero(np.bincount(codes, minlength=count) >= spell.min_rows)
    chosen = judged[:: max(1, math.ceil(len(judged) / _MOST_WINDOWS))]
    values = [measure([metric], evidence.only(_rows_of(codes, code)))[0].get(metric.name) for code in chosen]
    known = [value for value in values if value is not None]
    return {
        "name": metric.name,
        "greater_is_better": metric.greater_is_better,
        "length": format_amount(spell.length),
        "count": len(known),
        "levels": list(LEVELS_OF_METRICS),
        "quantiles": [_rounded(value) for value in quantiles(np.sort(known), LEVELS_OF_METRICS)] if known else [],
    }


def _rows_of(codes: np.ndarray, code: int) -> np.ndarray | slice:
    """Return where a window is: as a slice if its rows follow each other, because slices copy nothing."""
    rows = np.flatnonzero(codes == code)
    first, last = int(rows[0]), int(rows[-1])
    return slice(first, last + 1) if last - first == len(rows) - 1 else rows


def nulls_of(name: str) -> str:
    """Name the nulls of a feature, which are compared beside its values.

    >>> nulls_of("flow")
    'nulls of flow'
    """
    return f"nulls of {name}"


def _windows(index: pd.Index, length: timedelta | int) -> tuple[np.ndarray, int]:
    """Number the windows of each asset, at multiples of the length."""
    if not len(index):
        return np.zeros(0, dtype=np.intp), 0
    assets, places = (np.asarray(codes, dtype=np.int64) for codes in cast("pd.MultiIndex", index).codes)
    window = (as_instants(cast("pd.MultiIndex", index).levels[1]) // span_number(length))[places]
    window -= window.min()
    codes, found = pd.factorize(assets * (int(window.max()) + 1) + window)
    return codes, len(found)


def _spread(traits: Mapping[str, Distances], enough: Flags, min_rows: int) -> dict[str, Any]:
    """Return for each kind of distance the scale of every trait, and how far beyond its scale the worst one goes.

    Of many features one is always unusual. So each distance is measured by its own scale (99% of the windows are
    below), and what counts is how large the largest of these is in a window: `worst` are its quantiles over windows.
    """
    found: dict[str, Any] = {}
    judged = np.array([enough & (one.rows >= min_rows) for one in traits.values()])
    for kind, floor in FLOORS.items():
        table = np.where(judged, np.array([getattr(one, kind) for one in traits.values()]), np.nan)
        scales = np.maximum(_high_quantiles(table, 0.99), floor)
        worst = np.fmax.reduce(table / scales[:, None], axis=0)
        worst = np.sort(worst[~np.isnan(worst)])
        found[kind] = {
            "scales": dict(zip(traits, map(_rounded, scales), strict=True)),
            "worst": [_rounded(value) for value in quantiles(worst, HIGH_LEVELS)] if len(worst) else [],
        }
    return found


def quantiles(ordered: Floats, levels: npt.ArrayLike) -> Floats:
    """Return quantiles of sorted values by straight lines between them, as `np.quantile` does, in a tenth of its time.

    It is definition 7 of Hyndman and Fan (1996).
    """
    low, high, part = _neighbours(np.asarray(levels), len(ordered))
    return _between(ordered[low], ordered[high], part)


def _high_quantiles(table: Floats, level: float) -> Floats:
    """Return a quantile of the known values of each row; 0 where there are none, as distances are no less."""
    counts, rows = np.count_nonzero(~np.isnan(table), axis=1), np.arange(len(table))
    low, high, part = _neighbours(level, np.maximum(counts, 1))
    ordered = np.sort(table, axis=1)  # NaN goes to the end
    return np.where(counts > 0, _between(ordered[rows, low], ordered[rows, high], part), 0.0)


def _neighbours(levels: Any, count: Any) -> tuple[Any, Any, Any]:
    """Return the places of the sorted values that quantiles lie between, and how far from the first to the second."""
    at = levels * (count - 1)
    low = np.floor(at).astype(np.intp)
    return low, np.minimum(low + 1, count - 1), at - low


def _between(low: Floats, high: Floats, part: Floats) -> Floats:
    step = high - low
    return np.asarray(np.where(part < 0.5, low + step * part, high - step * (1 - part)))


def _rounded(value: float) -> float:
    return float(f"{value:.6g}")


def _texts(column: pd.Series) -> dict[str, Any]:
    shares = column.astype("str").where(column.notna()).value_counts(normalize=True).head(TOP)
    return {
        "nulls": float(column.isna().mean()),
        "shares": {str(value): float(share) for value, share in shares.items()},
    }


def _numbers(values: Floats) -> dict[str, Any]:
    known = np.sort(values[np.isfinite(values)])
    summary: dict[str, Any] = {"nulls": 1 - len(known) / len(values) if len(values) else 0.0}
    if len(known):
        points = quantiles(known, _BOTH)
        summary |= {
            "quantiles": points[_LEVELS].tolist(),
            "mean": float(known.mean()),
            "std": _finite(float(known.std())),
            **_bins(known, points[_EDGES]),
        }
    return summary


def _bins(ordered: Floats, edges: Floats) -> dict[str, list[float]]:
    """Return the bins that are compared: of single values, and one for all others; else between quantiles.

    Quantiles that are equal make one bin, so that a value that fills half of the rows is not cut in five.
    """
    new = ordered[1:] != ordered[:-1]
    if np.count_nonzero(new) < FEW:
        first = np.flatnonzero(np.append(True, new))
        counts = np.diff(np.append(first, len(ordered)))
        return {"values": ordered[first].tolist(), "parts": [*(counts / len(ordered)).tolist(), 0.0]}
    edges = np.unique(edges)
    return {"edges": edges.tolist(), "parts": (in_bins(edges, ordered) / len(ordered)).tolist()}


def _finite(value: float) -> float:
    return value if math.isfinite(value) else 0.0
