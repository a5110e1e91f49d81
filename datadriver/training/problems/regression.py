"""Regression: what a tag should read; the residual, actual minus predicted, tells how far it is off."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from datadriver.config.fleet import Instance
from datadriver.config.metric_names import REGRESSION
from datadriver.data.frame import SensorFrame
from datadriver.data.window import Instant
from datadriver.errors import ConfigError, DataError
from datadriver.training import plots
from datadriver.training.estimators import check_methods
from datadriver.training.prepare import Prepared
from datadriver.training.results import Method
from datadriver.training.targets import Labels, number_labels


class Regression:
    """The score is the prediction; alarms compare it, or the absolute residual."""

    needs_labels = True
    has_residual = True
    metrics = ("mae", "rmse", "r2")
    understands = REGRESSION

    def labels(
        self,
        instance: Instance,
        sensor: SensorFrame,
        events: pd.DataFrame | None,  # noqa: ARG002 - part of the protocol
        end: Instant | None,  # noqa: ARG002
    ) -> Labels:
        """Return the target column as numbers."""
        if instance.spec.target is not None and instance.spec.target.events is not None:
            raise ConfigError(f"models.{instance.model}.target.events: regression needs a `column`, not events")
        return number_labels(sensor, instance)

    def adapt(self, estimator: Any, where: str) -> tuple[Any, Method]:
        """Return the estimator as it is."""
        check_methods(estimator, ("predict",), where)
        return estimator, "predict"

    def fitted_on(self, target: pd.Series) -> np.ndarray:
        """Use every row."""
        return np.ones(len(target), dtype=bool)

    def learnt(self, target: pd.Series) -> np.ndarray | None:
        """Return the values."""
        return target.to_numpy()

    def check(self, instance: Instance, fitted: Prepared, where: str) -> None:  # noqa: ARG002
        """Refuse a target that never changes."""
        known = fitted.target.dropna().to_numpy()
        if (known == known[:1]).all():
            raise DataError(
                f"{where}: the target is {fitted.target.iloc[0]:g} in all {len(fitted):,} rows of the training part; "
                "a constant sensor cannot be learnt from: is it frozen?"
            )

    def alarm_value(self, on: str, score: np.ndarray, actual: np.ndarray) -> np.ndarray:
        """Return the absolute residual, or the score."""
        return np.abs(actual - score) if on == "residual" else score

    def level(self, scores: np.ndarray) -> float:
        """Return infinity: nothing is positive unless an alarm says so."""
        return float("inf") if len(scores) else 0.0

    def plots(self, view: plots.View) -> Mapping[str, bytes]:
        """Draw residuals over time, their distribution, and actual against predicted."""
        return {"residuals.svg": plots.residuals(view)}


PROBLEM = Regression()
