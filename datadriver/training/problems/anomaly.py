"""Anomaly detection: how unlike the training part a row is; labels are not needed, but used where there are some."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from datadriver.config.fleet import Instance
from datadriver.config.metric_names import CLASSIFICATION, LABEL_FREE
from datadriver.data.frame import SensorFrame
from datadriver.data.window import Instant
from datadriver.errors import ConfigError
from datadriver.training import plots
from datadriver.training.estimators import check_methods
from datadriver.training.prepare import Prepared
from datadriver.training.results import Method
from datadriver.training.scorers import AnomalyScorer
from datadriver.training.targets import Labels, class_labels

_SCORES = ("score_samples", "decision_function", "predict")


class Anomaly:
    """The score is higher the more anomalous a row is; known anomalies are kept out of the fit and used to judge."""

    needs_labels = False
    has_residual = False
    metrics = ("average_precision", "roc_auc", "synthetic_roc_auc", "alarm_rate", "score_stability")
    understands = CLASSIFICATION - {"brier", "log_loss"} | LABEL_FREE

    def labels(
        self, instance: Instance, sensor: SensorFrame, events: pd.DataFrame | None, end: Instant | None
    ) -> Labels:
        """Return 1 for known anomalies, 0 for rows known as normal, NaN for all others; NaN without a target."""
        target = instance.spec.target
        if target is None or (target.column is not None and target.column not in sensor.frame.columns):
            return Labels.unknown(sensor.frame.index)
        return class_labels(sensor, instance, events, end)

    def adapt(self, estimator: Any, where: str) -> tuple[Any, Method]:
        """Wrap the detector so that `predict` is its score."""
        check_methods(estimator, _SCORES, where, " (LocalOutlierFactor: with novelty=True)")
        return AnomalyScorer(estimator), "predict"

    def fitted_on(self, target: pd.Series) -> np.ndarray:
        """Use every row that is not a known anomaly."""
        return np.asarray(target != 1)

    def learnt(self, target: pd.Series) -> np.ndarray | None:  # noqa: ARG002
        """Return nothing: a detector learns from the rows alone."""
        return None

    def check(self, instance: Instance, fitted: Prepared, where: str) -> None:
        """Accept any rows: `min_rows` is all that a detector needs."""

    def alarm_value(self, on: str, score: np.ndarray, actual: np.ndarray) -> np.ndarray:  # noqa: ARG002
        """Return the score."""
        if on == "residual":
            raise ConfigError("alarm.on: an anomaly model has no residual; write `on: score`")
        return score

    def level(self, scores: np.ndarray) -> float:
        """Return the 99% quantile of the training part."""
        return float(np.quantile(scores, 0.99)) if len(scores) else 0.0

    def plots(self, view: plots.View) -> Mapping[str, bytes]:
        """Draw the scores over time with threshold and known anomalies, and their distribution."""
        return {"scores.svg": plots.anomaly(view)}


PROBLEM = Anomaly()
