"""Models: plain functions that return an unfitted scikit-learn estimator.

Their arguments are `params` in `usecase.yaml`. The histories here are short: minutes of normal operation for a well
with a labelled event. Both models therefore have few degrees of freedom.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, OutlierMixin
from sklearn.covariance import LedoitWolf
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler


def unlike_normal() -> Pipeline:
    """Return the distance from normal that knows how the sensors of this well move together."""
    return make_pipeline(SimpleImputer(keep_empty_features=True), StandardScaler(), MahalanobisDistance())


def farthest_sensor() -> Pipeline:
    """Return the baseline: a limit for each sensor by itself, as an operator would set it."""
    return make_pipeline(SimpleImputer(keep_empty_features=True), StandardScaler(), FarthestSensor())


class MahalanobisDistance(OutlierMixin, BaseEstimator):
    """Distance from the mean in units of a shrunk covariance; shrinking keeps it sane on a few hundred rows."""

    def fit(self, X: pd.DataFrame, y: object = None) -> MahalanobisDistance:  # noqa: N803 - scikit-learn's name
        """Learn mean and covariance."""
        self.covariance_ = LedoitWolf().fit(X)
        return self

    def score_samples(self, X: pd.DataFrame) -> np.ndarray:  # noqa: N803
        """Return one score a row; as everywhere in scikit-learn, the lower, the more abnormal."""
        return -np.sqrt(np.asarray(self.covariance_.mahalanobis(X)))


class FarthestSensor(OutlierMixin, BaseEstimator):
    """The largest of the standardised features, whatever the others do."""

    def fit(self, X: pd.DataFrame, y: object = None) -> FarthestSensor:  # noqa: N803
        """Learn nothing: the features arrive standardised."""
        self.n_features_in_ = np.shape(X)[1]
        return self

    def score_samples(self, X: pd.DataFrame) -> np.ndarray:  # noqa: N803
        """Return one score a row."""
        return -np.abs(np.asarray(X)).max(axis=1)
