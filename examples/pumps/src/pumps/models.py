"""Models: plain functions that return an unfitted scikit-learn estimator.

Their arguments are `params` in `usecase.yaml`. Every model has a baseline: what is done today, or the simplest thing
that could work. A model that does not beat its baseline does not go into service; the baseline does.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin, OutlierMixin
from sklearn.compose import make_column_transformer
from sklearn.covariance import LedoitWolf
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import KBinsDiscretizer, StandardScaler


def temperature_given_load(alpha: float = 1.0) -> Pipeline:
    """Return a linear model of the motor's temperature; `alpha` is the strength of its regularisation."""
    return make_pipeline(SimpleImputer(), StandardScaler(), Ridge(alpha=alpha))


def mean_at_this_load(bins: int = 10) -> Pipeline:
    """Return the baseline: the mean temperature at this current, in `bins` bins of equal size."""
    load = make_pipeline(
        SimpleImputer(), KBinsDiscretizer(bins, encode="onehot-dense", quantile_method="averaged_inverted_cdf")
    )
    return make_pipeline(make_column_transformer((load, ["current"])), LinearRegression())


def unlike_its_past() -> Pipeline:
    """Return the distance from the pump's past that knows how its quantities move together."""
    return make_pipeline(SimpleImputer(), StandardScaler(), MahalanobisDistance())


def vibration_limit() -> HighVibration:
    """Return the baseline, today's practice: watch the vibration alone."""
    return HighVibration()


def failure_given_wear(trees: int = 120, learning_rate: float = 0.05) -> HistGradientBoostingClassifier:
    """Return boosted trees; they take missing values as they are, and the sparse leaves are kept large."""
    return HistGradientBoostingClassifier(
        max_iter=trees, learning_rate=learning_rate, max_leaf_nodes=12, min_samples_leaf=200, random_state=0
    )


def vibration_rule(level: float = 1.5) -> VibrationRule:
    """Return the baseline, today's practice: call the crew when vibration is `level` times its usual value."""
    return VibrationRule(level=level)


class MahalanobisDistance(OutlierMixin, BaseEstimator):
    """Score a row by its distance from the mean in units of a shrunk covariance.

    As everywhere in scikit-learn, the lower the score, the more abnormal the row.
    """

    def fit(self, X: pd.DataFrame, y: object = None) -> MahalanobisDistance:  # noqa: N803 - scikit-learn's name
        """Learn mean and covariance."""
        self.covariance_ = LedoitWolf().fit(X)
        return self

    def score_samples(self, X: pd.DataFrame) -> np.ndarray:  # noqa: N803
        """Return one score a row."""
        return -np.sqrt(np.asarray(self.covariance_.mahalanobis(X)))


class HighVibration(OutlierMixin, BaseEstimator):
    """Score a row by its vibration alone."""

    def fit(self, X: pd.DataFrame, y: object = None) -> HighVibration:  # noqa: N803
        """Learn the usual vibration, for rows that have none."""
        self.usual_ = float(X["vibration"].median())
        return self

    def score_samples(self, X: pd.DataFrame) -> np.ndarray:  # noqa: N803
        """Return one score a row."""
        return -X["vibration"].fillna(self.usual_).to_numpy(dtype=float)


class VibrationRule(ClassifierMixin, BaseEstimator):
    """Two risks: one while the vibration is up, one while it is not, each as frequent as seen in the past."""

    def __init__(self, level: float = 1.5) -> None:
        self.level = level

    def fit(self, X: pd.DataFrame, y: pd.Series) -> VibrationRule:  # noqa: N803
        """Learn how often a failure followed, with and without high vibration."""
        failed, high = np.asarray(y, dtype=float), self._is_high(X)
        self.classes_ = np.array([0, 1])
        self.risk_ = np.array(
            [failed[high == up].mean() if (high == up).any() else failed.mean() for up in (False, True)]
        )
        return self

    def predict_proba(self, X: pd.DataFrame) -> np.ndarray:  # noqa: N803
        """Return the probabilities of no failure and of a failure."""
        risk = self.risk_[self._is_high(X).astype(int)]
        return np.column_stack([1 - risk, risk])

    def predict(self, X: pd.DataFrame) -> np.ndarray:  # noqa: N803
        """Return 1 where a failure is more likely than not."""
        return (self.predict_proba(X)[:, 1] > 0.5).astype(int)

    def _is_high(self, X: pd.DataFrame) -> np.ndarray:  # noqa: N803
        return (X["vibration_trend"] > np.log(self.level)).to_numpy()
