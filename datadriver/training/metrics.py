"""Metrics by name or as functions of the use case: each takes the same evidence and returns one number or a reason."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn import metrics as sk

from datadriver.config.code import call, load_reference
from datadriver.config.metric_names import CLASSIFICATION, LABEL_FREE, METRIC_NAMES, REGRESSION
from datadriver.errors import ConfigError, UseCaseError, nearest


@dataclass(frozen=True)
class Evidence:
    """What there is to judge one estimator by, row by row.

    Attributes:
        y_true: The target, float64; NaN where a row has no label.
        y_score: The scores of the estimator on the same rows.
        features: The features of the rows, index (asset_id, instant), or of more rows.
        level: Score from which a row counts as positive, or as an alarm.
        train_scores: Scores of the same estimator on the rows it was fitted on.
        score: Scores another frame, for metrics that change the rows and look again.
        spread: Standard deviation of each feature on the training part, where a metric asks for it.
        rows: Which of the `features` are meant, by position or flag; None for all.
    """

    y_true: np.ndarray
    y_score: np.ndarray
    features: pd.DataFrame
    level: float = 0.5
    train_scores: np.ndarray | None = None
    score: Callable[[pd.DataFrame], np.ndarray] | None = None
    spread: Mapping[str, float] | None = None
    rows: np.ndarray | slice | None = None

    @cached_property
    def frame(self) -> pd.DataFrame:
        """The features of the rows. Few metrics look at them, and cutting them out takes longer than most metrics."""
        return self.features if self.rows is None else self.features.iloc[self.rows]

    def only(self, rows: np.ndarray | slice) -> Evidence:
        """Return the evidence of some of the rows, by position or flag."""
        return replace(self, y_true=self.y_true[rows], y_score=self.y_score[rows], features=self.frame, rows=rows)


class Unavailable(Exception):  # noqa: N818 - not an error: the reason why a metric has no value
    """Why a metric cannot be computed on this evidence."""


@dataclass(frozen=True)
class Metric:
    """A named formula and its direction."""

    name: str
    formula: Callable[[Evidence], float]
    greater_is_better: bool


def find_metric(name: str, root: Path) -> Metric:
    """Return the metric with this name, or the use case's function `module:function`.

    A function is better when greater unless it has an attribute `greater_is_better = False`.

    Raises:
        ConfigError: if no metric has this name.
        UseCaseError: if the function cannot be imported.
    """
    if ":" in name:
        function = load_reference(name, root)
        return Metric(name, partial(_call_function, name, root), bool(getattr(function, "greater_is_better", True)))
    if name not in _METRICS:
        raise ConfigError(f"evaluate.metrics: there is no metric {name!r}" + nearest(name, METRIC_NAMES))
    return _METRICS[name]


def measure(metrics: Sequence[Metric], evidence: Evidence) -> tuple[dict[str, float], dict[str, str]]:
    """Return the value of each metric that has one, and for each other the reason.

    Raises:
        UseCaseError: if a function of the use case raises or returns no number.
    """
    values: dict[str, float] = {}
    reasons: dict[str, str] = {}
    for metric in metrics:
        try:
            values[metric.name] = _value(metric, evidence)
        except Unavailable as reason:
            reasons[metric.name] = str(reason)
    return values, reasons


def pooled(
    names: Sequence[str], holdouts: Sequence[pd.DataFrame], root: Path
) -> tuple[dict[str, float], dict[str, str]]:
    """Return metrics over the holdouts of many instances, as `TrainResult.holdout` has them, and reasons."""
    rows = pd.concat(list(holdouts))
    evidence = Evidence(rows["y_true"].to_numpy("float64"), rows["y_score"].to_numpy("float64"), rows)
    return measure([find_metric(name, root) for name in names], evidence)


def _value(metric: Metric, evidence: Evidence) -> float:
    if not len(evidence.y_score):
        raise Unavailable("there are no rows to judge")
    bad = int((~np.isfinite(evidence.y_score)).sum())
    if bad:
        raise Unavailable(f"{bad} of {len(evidence.y_score)} scores are not finite")
    try:
        value = float(metric.formula(evidence))
    except ValueError as error:
        raise Unavailable(f"{error}".splitlines()[0]) from error
    if not math.isfinite(value):
        raise Unavailable(f"it comes out as {value}")
    return value


def _call_function(name: str, root: Path, evidence: Evidence) -> float:
    index = evidence.frame.index
    value: Any = call(
        name,
        root,
        pd.Series(evidence.y_true, index=index, name="y_true"),
        pd.Series(evidence.y_score, index=index, name="y_score"),
        evidence.frame,
        asset=_assets(evidence.frame),
        step="evaluate",
    )
    if isinstance(value, bool) or not isinstance(value, (int, float, np.number)):
        raise UseCaseError(f"evaluate: {name} returned {type(value).__name__}; return one number")
    return float(value)


def _assets(frame: pd.DataFrame) -> str:
    names = [str(name) for name in frame.index.unique(level=0)]
    return names[0] if len(names) == 1 else f"{len(names)} assets"


def _measured(formula: Callable[..., float], evidence: Evidence) -> float:
    """Apply a formula of scikit-learn to the rows that have a target."""
    known = ~np.isnan(evidence.y_true)
    if not known.any():
        raise Unavailable("no row of the holdout has a target")
    return float(formula(evidence.y_true[known], evidence.y_score[known]))


def _labelled(formula: Callable[..., float], evidence: Evidence, *, crisp: bool) -> float:
    """Apply a formula to the rows with a label of 0 or 1; `crisp` formulas get decisions instead of scores."""
    known = ~np.isnan(evidence.y_true)
    truth, score = evidence.y_true[known].astype(int), evidence.y_score[known]
    if len(truth) == 0:
        raise Unavailable("no row of the holdout has a label")
    positive = int(truth.sum())
    if positive in (0, len(truth)):
        raise Unavailable(f"the holdout has one class only ({positive} of {len(truth)} rows are positive)")
    return float(formula(truth, (score > evidence.level).astype(int) if crisp else score))


def _r2(truth: np.ndarray, score: np.ndarray) -> float:
    """Coefficient of determination; of a constant target 1 if it is met and 0 if not, of one row none at all."""
    if len(truth) < 2:
        return math.nan
    error, spread = float(((truth - score) ** 2).sum()), float(((truth - truth.mean()) ** 2).sum())
    return 1 - error / spread if spread else float(not error)


def _smape(truth: np.ndarray, score: np.ndarray) -> float:
    """Symmetric mean absolute percentage error as a share, 0 to 2; 0/0 counts as no error (Makridakis 1993)."""
    size = (np.abs(truth) + np.abs(score)) / 2
    return float(np.mean(np.divide(np.abs(truth - score), size, out=np.zeros_like(size), where=size > 0)))


def _log_loss(truth: np.ndarray, score: np.ndarray) -> float:
    if score.min() < 0 or score.max() > 1:
        raise Unavailable(f"scores are not probabilities, they range from {score.min():.3g} to {score.max():.3g}")
    return float(sk.log_loss(truth, score, labels=[0, 1]))


def _brier(truth: np.ndarray, score: np.ndarray) -> float:
    if score.min() < 0 or score.max() > 1:
        raise Unavailable(f"scores are not probabilities, they range from {score.min():.3g} to {score.max():.3g}")
    return float(np.mean((truth - score) ** 2))


def _alarm_rate(evidence: Evidence) -> float:
    """Share of the rows not known as anomalies that lie above the level: false alarms, where labels are complete."""
    ordinary = evidence.y_true != 1
    if not ordinary.any():
        raise Unavailable("every row of the holdout is a known anomaly")
    return float((evidence.y_score[ordinary] > evidence.level).mean())


def _score_stability(evidence: Evidence) -> float:
    """One minus the largest distance between the distributions of training and holdout scores (Kolmogorov-Smirnov)."""
    ordinary = evidence.y_score[evidence.y_true != 1]
    if evidence.train_scores is None or not len(evidence.train_scores) or not len(ordinary):
        raise Unavailable("it needs the scores of the training part")
    before, after = np.sort(evidence.train_scores), np.sort(ordinary)
    at = np.concatenate([before, after])
    distance = np.searchsorted(before, at, "right") / len(before) - np.searchsorted(after, at, "right") / len(after)
    return float(1 - np.abs(distance).max())


MOVES_FEATURES = "synthetic_roc_auc"
"""The metric that needs `Evidence.spread`."""

_PROBES = 1000


def _synthetic_roc_auc(evidence: Evidence) -> float:
    """ROC AUC of telling holdout rows from copies with one reading moved by three training standard deviations.

    A stand-in where no anomaly is known: it says how well the score notices a sensor that is off, nothing about the
    faults of a plant. Rows and readings are chosen by position, so two estimators are asked the same.
    """
    movable = [name for name, spread in (evidence.spread or {}).items() if spread > 0]
    rows = evidence.only(evidence.y_true != 1)
    if evidence.score is None or not movable or not len(rows.frame):
        raise Unavailable("it needs a feature that varies")
    chosen = np.unique(np.linspace(0, len(rows.frame) - 1, min(_PROBES, len(rows.frame))).astype(int))
    probes = rows.frame.iloc[chosen].astype(dict.fromkeys(movable, "float64"))
    generator = np.random.default_rng(0)
    which, sign = generator.integers(len(movable), size=len(probes)), generator.choice([-3.0, 3.0], size=len(probes))
    for number, name in enumerate(movable):
        moved = np.where(which == number, sign * (evidence.spread or {})[name], 0.0)
        probes[name] = probes[name].to_numpy() + moved
    scores = np.concatenate([rows.y_score[chosen], evidence.score(probes)])
    return float(sk.roc_auc_score(np.repeat([0, 1], len(chosen)), scores))


def _of(kind: Callable[..., float], greater: tuple[str, ...], **formulas: Any) -> dict[str, Metric]:
    return {name: Metric(name, partial(kind, formula), name in greater) for name, formula in formulas.items()}


_METRICS: dict[str, Metric] = {
    **_of(
        _measured,
        ("r2", "explained_variance"),
        # One line in numpy; scikit-learn looks at its arguments for a hundred times as long, on each of many windows.
        mae=lambda truth, score: np.abs(truth - score).mean(),
        mse=lambda truth, score: ((truth - score) ** 2).mean(),
        rmse=lambda truth, score: math.sqrt(((truth - score) ** 2).mean()),
        medae=lambda truth, score: np.median(np.abs(truth - score)),
        mape=sk.mean_absolute_percentage_error,
        smape=_smape,
        max_error=lambda truth, score: np.abs(truth - score).max(),
        r2=_r2,
        explained_variance=sk.explained_variance_score,
    ),
    **_of(
        partial(_labelled, crisp=False),
        ("average_precision", "roc_auc"),
        average_precision=sk.average_precision_score,
        roc_auc=sk.roc_auc_score,
        brier=_brier,
        log_loss=_log_loss,
    ),
    **_of(
        partial(_labelled, crisp=True),
        ("accuracy", "balanced_accuracy", "f1", "mcc", "precision", "recall"),
        accuracy=sk.accuracy_score,
        balanced_accuracy=sk.balanced_accuracy_score,
        f1=partial(sk.f1_score, zero_division=0),
        mcc=sk.matthews_corrcoef,
        precision=partial(sk.precision_score, zero_division=0),
        recall=partial(sk.recall_score, zero_division=0),
    ),
    "alarm_rate": Metric("alarm_rate", _alarm_rate, greater_is_better=False),
    "score_stability": Metric("score_stability", _score_stability, greater_is_better=True),
    MOVES_FEATURES: Metric(MOVES_FEATURES, _synthetic_roc_auc, greater_is_better=True),
}
assert set(_METRICS) == METRIC_NAMES == REGRESSION | CLASSIFICATION | LABEL_FREE  # noqa: S101 - two lists, one truth
