"""Small pictures for a run's page: whether to believe a version, at a glance. PNG bytes without dates in them."""

from __future__ import annotations

import inspect
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
        quantity: Name of the target, or what it means that a row is positive.
        instants: Instants of the holdout rows, in any order.
        y_true: Target of these rows, NaN where unknown.
        y_score: Scores of these rows.
        fit_instants: Instants of the fitted rows.
        fit_score: Their scores.
        threshold: Alarm threshold, None without alarm.
        on_residual: Whether the threshold is one of the absolute residual.
        unit: Physical unit of the target.
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
    unit: str | None = None

    @property
    def in_unit(self) -> str:
        """The unit as axes have it."""
        return f" [{self.unit}]" if self.unit else ""


def residuals(view: View) -> bytes:
    """Draw residuals over time, their distribution, and actual against predicted."""

    def draw(over_time: Any, distribution: Any, against: Any) -> None:
        residual = view.y_true - view.y_score
        limit = view.threshold if view.on_residual else None
        _scatter_over_time(over_time, view.instants, residual, _INK)
        _threshold(over_time, limit)
        if limit is not None:
            _lines(over_time, (-limit,))
        _label(over_time, f"residuals of {view.quantity} on the holdout", "", f"actual - predicted{view.in_unit}")
        counts, edges = np.histogram(residual[np.isfinite(residual)], BINS)
        distribution.stairs(counts, edges, fill=True, color=_INK)
        _label(distribution, "distribution of the residuals", f"actual - predicted{view.in_unit}", "rows")
        shown = _sample(len(residual))
        against.plot(view.y_score[shown], view.y_true[shown], ".", markersize=3, color=_INK)
        ends = [float(np.nanmin(view.y_true)), float(np.nanmax(view.y_true))]
        against.plot(ends, ends, color=_WARM, linewidth=1)
        _label(against, "actual against predicted", f"predicted{view.in_unit}", f"actual{view.in_unit}")

    return _figure(view.title, draw)


def classification(view: View) -> bytes:
    """Draw scores over time by class, precision against recall, and calibration."""
    positive = view.y_true == 1

    def draw(over_time: Any, trade_off: Any, calibration: Any) -> None:
        _scatter_over_time(over_time, view.instants[~positive], view.y_score[~positive], _PALE)
        _scatter_over_time(over_time, view.instants[positive], view.y_score[positive], _WARM)
        _threshold(over_time, view.threshold)
        _label(over_time, f"scores on the holdout; red: {view.quantity}", "", "score")
        recall, precision = _precision_recall(positive, view.y_score)
        trade_off.plot(recall, precision, color=_INK, linewidth=1.4)
        trade_off.set(xlim=(0, 1), ylim=(0, 1.02))
        share = float(positive.mean()) if len(positive) else 0.0
        _lines(trade_off, (share,), name=f"by chance {share:.2g}")
        _label(trade_off, "precision against recall", "recall", "precision")
        predicted, observed = _calibration(positive, view.y_score)
        calibration.plot([0, 1], [0, 1], color=_GRID, linewidth=1)
        calibration.plot(predicted, observed, "o-", markersize=4, color=_INK, linewidth=1)
        _label(calibration, "calibration, ten equal groups of rows", "mean score", "share of red rows")

    return _figure(view.title, draw)


def anomaly(view: View) -> bytes:
    """Draw scores over time, fitted rows pale and known anomalies red, and the distribution of both parts."""
    known = view.y_true == 1
    parts = (
        ("fitted rows pale", _PALE, view.fit_instants, view.fit_score),
        ("holdout dark", _INK, view.instants[~known], view.y_score[~known]),
        ("known anomalies red", _WARM, view.instants[known], view.y_score[known]),
    )
    present = [part for part in parts if len(part[3])]

    def draw(over_time: Any, distribution: Any) -> None:
        both = np.concatenate([view.fit_score, view.y_score])
        edges = np.histogram_bin_edges(both[np.isfinite(both)], BINS)
        for _, colour, instants, scores in present:
            _scatter_over_time(over_time, instants, scores, colour)
            distribution.stairs(np.histogram(scores, edges, density=True)[0], edges, color=colour, linewidth=1.4)
        _threshold(over_time, view.threshold)
        _label(over_time, "scores: " + ", ".join(part[0] for part in present), "", "score, higher is stranger")
        _threshold(distribution, view.threshold, upright=True)
        _label(distribution, "distribution of the scores", "score", "density")

    return _figure(view.title, draw)


def _figure(title: str, draw: Callable[..., None]) -> bytes:
    """Draw one picture over the whole width and one or two below, as large as MLflow's page shows them."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - half a second, which a run without pictures saves

    figure = Figure(figsize=(7.6, 5.2), dpi=88)
    below = len(inspect.signature(draw).parameters) - 1
    grid = figure.add_gridspec(2, below, left=0.085, right=0.975, top=0.87, bottom=0.1, hspace=0.42, wspace=0.24)
    figure.text(0.012, 0.95, title, fontsize=12, fontweight="bold")
    draw(figure.add_subplot(grid[0, :]), *(figure.add_subplot(grid[1, column]) for column in range(below)))
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None}, pil_kwargs={"compress_level": 3})
    return buffer.getvalue()


def _label(axes: Any, title: str, x: str, y: str) -> None:
    """Write titles; places that are given need not be measured, which takes longer than drawing."""
    axes.set_title(title, fontsize=10, loc="left", y=1.0)
    axes.set_xlabel(x, fontsize=9)
    axes.xaxis.set_label_coords(0.5, -0.15)
    axes.set_ylabel(y, fontsize=9)
    axes.tick_params(labelsize=8.5, length=2)
    axes.spines[["top", "right"]].set_visible(False)
    axes.locator_params(axis="y", nbins=4)


def _threshold(axes: Any, value: float | None, *, upright: bool = False) -> None:
    if value is not None:
        _lines(axes, (value,), upright=upright, name=f"alarm above {value:.3g}")


def _lines(axes: Any, values: tuple[float, ...], *, upright: bool = False, name: str = "") -> None:
    for value in values:
        (axes.axvline if upright else axes.axhline)(value, color=_WARM, linewidth=0.8, linestyle="--")
    if name:  # at the end of the title's line, where it hides nothing
        axes.text(1, 1.03, f"- - {name}", transform=axes.transAxes, ha="right", fontsize=9, color=_WARM)


def _scatter_over_time(axes: Any, instants: pd.Index, values: np.ndarray, colour: str) -> None:
    """Plot against the instants; the ticks are our own, because matplotlib's date axis takes longer than the rest."""
    if not len(instants):
        return
    shown = _sample(len(instants))
    at = instants[shown]
    if not isinstance(at, pd.DatetimeIndex):
        axes.plot(at.to_numpy(), values[shown], ".", markersize=3, color=colour)
        return
    seconds = at.as_unit("us").asi8 / 1e6
    axes.plot(seconds, values[shown], ".", markersize=3, color=colour)
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
