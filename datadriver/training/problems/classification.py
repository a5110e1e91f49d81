"""Classification of two classes: how likely a row is positive, for example that a failure follows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from datadriver.config.fleet import Instance
from datadriver.config.metric_names import CLASSIFICATION
from datadriver.data.frame import SensorFrame
from datadriver.data.window import Instant
from datadriver.errors import ConfigError, DataError
from datadriver.training import plots
from datadriver.training.estimators import check_methods
from datadriver.training.prepare import Prepared
from datadriver.training.results import Method
from datadriver.training.scorers import DecisionScorer
from datadriver.training.targets import Labels, class_labels, describe

_HINT = "read more history, pool assets with `fit`, or choose a longer horizon"


class Classification:
    """The score is the probability of the positive class, or the estimator's nearest thing to one.

    There are always two classes: `target.positive` says which values of a column make the positive one, by default
    all but zero. Several classes are several models.
    """

    needs_labels = True
    has_residual = False
    metrics = ("average_precision", "roc_auc", "brier")
    understands = CLASSIFICATION | {"alarm_rate"}

    def labels(
        self, instance: Instance, sensor: SensorFrame, events: pd.DataFrame | None, end: Instant | None
    ) -> Labels:
        """Return 1 for positive rows, 0 for the others, NaN where nothing is known."""
        return class_labels(sensor, instance, events, end)

    def adapt(self, estimator: Any, where: str) -> tuple[Any, Method]:
        """Take probabilities where there are some, else the decision function, else what `predict` says."""
        check_methods(estimator, ("predict_proba", "decision_function", "predict"), where)
        if hasattr(estimator, "predict_proba"):
            return estimator, "predict_proba"
        if hasattr(estimator, "decision_function"):
            return DecisionScorer(estimator), "predict"
        return estimator, "predict"

    def fitted_on(self, target: pd.Series) -> np.ndarray:
        """Use every row."""
        return np.ones(len(target), dtype=bool)

    def learnt(self, target: pd.Series) -> np.ndarray | None:
        """Return the classes 0 and 1."""
        return target.to_numpy().astype(int)

    def check(self, instance: Instance, fitted: Prepared, where: str) -> None:
        """Refuse a training part with one class only, or with fewer events than `min_events`."""
        target = instance.spec.target
        if target is not None and fitted.event_count < target.min_events:
            what = "events" if target.events else "positive rows"
            raise DataError(
                f"{where}: the training part of {len(fitted):,} rows has {fitted.event_count:,} {what} "
                f"({describe(target)}), target.min_events is {target.min_events:,}; {_HINT}"
            )
        if bool((fitted.target == 1).all()):
            raise DataError(f"{where}: the training part has one class only, all {len(fitted):,} rows are positive")

    def alarm_value(self, on: str, score: np.ndarray, actual: np.ndarray) -> np.ndarray:  # noqa: ARG002
        """Return the score."""
        if on == "residual":
            raise ConfigError("alarm.on: a classification has no residual; write `on: score`")
        return score

    def level(self, scores: np.ndarray) -> float:  # noqa: ARG002
        """Return one half."""
        return 0.5

    def plots(self, view: plots.View) -> Mapping[str, bytes]:
        """Draw precision against recall, calibration, and the scores over time."""
        return {"classification.svg": plots.classification(view)}


PROBLEM = Classification()
