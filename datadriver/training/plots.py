"""Small pictures for a run's page: whether to believe a version, at a glance. SVG, with nothing but the data in it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from datadriver.training.picture import GRID, INK, PALE, WARM, Panel, picture

POINTS = 1200
BINS = 40


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
    residual = view.y_true - view.y_score
    limit = view.threshold if view.on_residual else None
    over_time = Panel(f"residuals of {view.quantity} on the holdout", y_label=f"actual - predicted{view.in_unit}")
    _scatter_over_time(over_time, view.instants, residual, INK)
    _threshold(over_time, limit)
    if limit is not None:
        over_time.rule(-limit)
    distribution = Panel("distribution of the residuals", f"actual - predicted{view.in_unit}", "rows")
    counts, edges = np.histogram(residual[np.isfinite(residual)], BINS)
    distribution.steps(counts, edges, INK, fill=True)
    against = Panel("actual against predicted", f"predicted{view.in_unit}", f"actual{view.in_unit}")
    shown = _sample(len(residual))
    against.dots(view.y_score[shown], view.y_true[shown], INK)
    ends = [float(np.nanmin(view.y_true)), float(np.nanmax(view.y_true))]
    against.line(ends, ends, WARM)
    return picture(view.title, over_time, distribution, against)


def classification(view: View) -> bytes:
    """Draw scores over time by class, precision against recall, and calibration."""
    positive = view.y_true == 1

    over_time = Panel(f"scores on the holdout; red: {view.quantity}", y_label="score")
    _scatter_over_time(over_time, view.instants[~positive], view.y_score[~positive], PALE)
    _scatter_over_time(over_time, view.instants[positive], view.y_score[positive], WARM)
    _threshold(over_time, view.threshold)
    share = float(positive.mean()) if len(positive) else 0.0
    trade_off = Panel("precision against recall", "recall", "precision", (0, 1), (0, 1.02))
    trade_off.line(*_precision_recall(positive, view.y_score), INK)
    trade_off.rule(share)
    trade_off.note = f"by chance {share:.2g}"
    calibration = Panel("calibration, ten groups", "mean score", "share of red rows")
    predicted, observed = _calibration(positive, view.y_score)
    calibration.line([0, 1], [0, 1], GRID)
    calibration.line(predicted, observed, INK)
    calibration.dots(predicted, observed, INK, size=50)
    return picture(view.title, over_time, trade_off, calibration)


def anomaly(view: View) -> bytes:
    """Draw scores over time, fitted rows pale and known anomalies red, and the distribution of both parts."""
    known = view.y_true == 1
    parts = (
        ("fitted rows pale", PALE, view.fit_instants, view.fit_score),
        ("holdout dark", INK, view.instants[~known], view.y_score[~known]),
        ("known anomalies red", WARM, view.instants[known], view.y_score[known]),
    )
    present = [part for part in parts if len(part[3])]

    over_time = Panel("scores: " + ", ".join(part[0] for part in present), y_label="score, higher is stranger")
    distribution = Panel("distribution of the scores", "score", "density")
    both = np.concatenate([view.fit_score, view.y_score])
    edges = np.histogram_bin_edges(both[np.isfinite(both)], BINS)
    for _, colour, instants, scores in present:
        _scatter_over_time(over_time, instants, scores, colour)
        distribution.steps(np.histogram(scores, edges, density=True)[0], edges, colour)
    _threshold(over_time, view.threshold)
    _threshold(distribution, view.threshold, upright=True)
    return picture(view.title, over_time, distribution)


def _threshold(panel: Panel, value: float | None, *, upright: bool = False) -> None:
    if value is not None:
        panel.rule(value, upright=upright)
        panel.note = f"alarm above {value:.3g}"


def _scatter_over_time(panel: Panel, instants: pd.Index, values: np.ndarray, colour: str) -> None:
    if not len(instants):
        return
    shown = _sample(len(instants))
    at = instants[shown]
    panel.in_time = isinstance(at, pd.DatetimeIndex)
    panel.dots(
        at.as_unit("us").asi8 / 1e6 if isinstance(at, pd.DatetimeIndex) else at.to_numpy(), values[shown], colour
    )


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
