"""Small pictures for a run's page: whether to believe a version, at a glance. PNG bytes without dates in them."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

POINTS = 1200
BINS = 40
_TICKS = ((86400.0, "%Y-%m-%d"), (3600.0, "%d %b %H:%M"), (60.0, "%H:%M"), (1.0, "%H:%M:%S"))
_INK, _PALE, _WARM, _GRID = "#1f4e79", "#a8bfd4", "#c8501e", "#dddddd"


@dataclass(frozen=True)
class View:
    """What the pictures of one version show.

    Attributes:
        title: Instance and which of the two serves.
        quantity: Name and unit of the target.
        instants: Instants of the holdout rows, in any order.
        y_true: Target of these rows, NaN where unknown.
        y_score: Scores of these rows.
        fit_instants: Instants of the fitted rows.
        fit_score: Their scores.
        threshold: Alarm threshold, None without alarm.
        on_residual: Whether the threshold is one of the absolute residual.
    """

    title: str
    quantity: str
    instants: pd.Index
    y_true: np.ndarray
    y_score: np.ndarray
    fit_instants: pd.Index
    fit_score: np.ndarray
    threshold: float | None = None
    on_residual: bool = False


def residuals(view: View) -> bytes:
    """Draw residuals over time, their distribution, and actual against predicted."""

    def draw(over_time: Any, distribution: Any, against: Any) -> None:
        residual = view.y_true - view.y_score
        limit = view.threshold if view.on_residual else None
        _scatter_over_time(over_time, view.instants, residual, _INK)
        _lines(over_time, () if limit is None else (limit, -limit))
        _label(over_time, "residuals on the holdout", "", f"actual - predicted, {view.quantity}")
        counts, edges = np.histogram(residual[np.isfinite(residual)], BINS)
        distribution.stairs(counts, edges, fill=True, color=_INK)
        _label(distribution, "distribution", f"residual, {view.quantity}", "rows")
        shown = _sample(len(residual))
        against.plot(view.y_score[shown], view.y_true[shown], ".", markersize=2, color=_INK)
        ends = [float(np.nanmin(view.y_true)), float(np.nanmax(view.y_true))]
        against.plot(ends, ends, color=_WARM, linewidth=1)
        _label(against, "actual against predicted", f"predicted, {view.quantity}", "actual")

    return _figure(view.title, draw)


def classification(view: View) -> bytes:
    """Draw scores over time by class, precision against recall, and calibration."""
    positive = view.y_true == 1

    def draw(over_time: Any, trade_off: Any, calibration: Any) -> None:
        _scatter_over_time(over_time, view.instants[~positive], view.y_score[~positive], _PALE)
        _scatter_over_time(over_time, view.instants[positive], view.y_score[positive], _WARM)
        _lines(over_time, () if view.threshold is None else (view.threshold,))
        _label(over_time, "scores on the holdout, positive rows in red", "", "score")
        recall, precision = _precision_recall(positive, view.y_score)
        trade_off.plot(recall, precision, color=_INK, linewidth=1.2)
        trade_off.set(xlim=(0, 1), ylim=(0, 1.02))
        _lines(trade_off, (float(positive.mean()),) if len(positive) else ())
        _label(trade_off, "precision against recall", "recall", "precision")
        predicted, observed = _calibration(positive, view.y_score)
        calibration.plot([0, 1], [0, 1], color=_GRID, linewidth=1)
        calibration.plot(predicted, observed, "o-", markersize=3, color=_INK, linewidth=1)
        _label(calibration, "calibration, ten equal groups", "mean score", "share positive")

    return _figure(view.title, draw)


def anomaly(view: View) -> bytes:
    """Draw scores over time, fitted rows pale and known anomalies red, and the distribution of both parts."""
    known = view.y_true == 1

    def draw(over_time: Any, distribution: Any) -> None:
        _scatter_over_time(over_time, view.fit_instants, view.fit_score, _PALE)
        _scatter_over_time(over_time, view.instants[~known], view.y_score[~known], _INK)
        _scatter_over_time(over_time, view.instants[known], view.y_score[known], _WARM)
        _lines(over_time, () if view.threshold is None else (view.threshold,))
        _label(over_time, "scores: fitted pale, holdout dark, known anomalies red", "", "score, higher is stranger")
        both = np.concatenate([view.fit_score, view.y_score])
        edges = np.histogram_bin_edges(both[np.isfinite(both)], BINS)
        for scores, colour in ((view.fit_score, _PALE), (view.y_score[~known], _INK), (view.y_score[known], _WARM)):
            if len(scores):
                distribution.stairs(np.histogram(scores, edges, density=True)[0], edges, color=colour)
        _lines(distribution, () if view.threshold is None else (view.threshold,), upright=True)
        _label(distribution, "distribution", "score", "density")

    return _figure(view.title, draw, widths=(2.2, 1))


def _figure(title: str, draw: Callable[..., None], widths: tuple[float, ...] = (1.8, 1, 1)) -> bytes:
    from matplotlib.figure import Figure  # noqa: PLC0415 - half a second, which a run without pictures saves

    figure = Figure(figsize=(10, 2.9), dpi=80)
    axes = figure.subplots(1, len(widths), width_ratios=widths)
    figure.subplots_adjust(left=0.07, right=0.985, top=0.8, bottom=0.17, wspace=0.3)
    figure.text(0.008, 0.93, title, fontsize=10, fontweight="bold")
    draw(*axes)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None}, pil_kwargs={"compress_level": 3})
    return buffer.getvalue()


def _label(axes: Any, title: str, x: str, y: str) -> None:
    """Write titles; places that are given need not be measured, which takes longer than drawing."""
    axes.set_title(title, fontsize=8, loc="left", y=1.0)
    axes.set_xlabel(x, fontsize=8)
    axes.xaxis.set_label_coords(0.5, -0.12)
    axes.set_ylabel(y, fontsize=8)
    axes.tick_params(labelsize=7, length=2)
    axes.spines[["top", "right"]].set_visible(False)
    axes.locator_params(axis="y", nbins=4)


def _lines(axes: Any, values: tuple[float, ...], *, upright: bool = False) -> None:
    for value in values:
        (axes.axvline if upright else axes.axhline)(value, color=_WARM, linewidth=0.8, linestyle="--")


def _scatter_over_time(axes: Any, instants: pd.Index, values: np.ndarray, colour: str) -> None:
    """Plot against the instants; the ticks are our own, because matplotlib's date axis takes longer than the rest."""
    if not len(instants):
        return
    shown = _sample(len(instants))
    at = instants[shown]
    if not isinstance(at, pd.DatetimeIndex):
        axes.plot(at.to_numpy(), values[shown], ".", markersize=2, color=colour)
        return
    seconds = at.as_unit("us").asi8 / 1e6
    axes.plot(seconds, values[shown], ".", markersize=2, color=colour)
    low, high = axes.dataLim.intervalx
    if np.isfinite([low, high]).all():  # they are not if no value is finite
        axes.set_xticks(*_time_ticks(low, high))


def _time_ticks(low: float, high: float) -> tuple[np.ndarray, list[str]]:
    """Return about four round instants (seconds since 1970, UTC) between two, and how to write them.

    >>> _time_ticks(0.0, 10 * 86400.0)[1]
    ['1970-01-01', '1970-01-04', '1970-01-07', '1970-01-10']
    """
    unit, style = next((one for one in _TICKS if high - low >= 3 * one[0]), _TICKS[-1])
    step = unit * max(1, round((high - low) / 4 / unit + 0.49))
    ticks = np.arange(np.ceil(low / unit) * unit, high + 1, step)
    return ticks, [pd.Timestamp(tick, unit="s").strftime(style) for tick in ticks]


def _sample(rows: int) -> np.ndarray:
    """Return positions of at most `POINTS` rows, evenly spread."""
    return np.unique(np.linspace(0, rows - 1, min(rows, POINTS)).astype(int))


def _precision_recall(positive: np.ndarray, score: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    order = np.argsort(-score, kind="stable")
    hits, ranked = np.cumsum(positive[order]), score[order]
    if not len(hits) or not hits[-1]:
        return np.array([]), np.array([])
    whole = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))  # rows with one score are taken together
    shown = whole[_sample(len(whole))]
    return hits[shown] / hits[-1], hits[shown] / (shown + 1)


def _calibration(positive: np.ndarray, score: np.ndarray) -> tuple[list[float], list[float]]:
    groups = [group for group in np.array_split(np.argsort(score, kind="stable"), 10) if len(group)]
    return [float(score[group].mean()) for group in groups], [float(positive[group].mean()) for group in groups]
