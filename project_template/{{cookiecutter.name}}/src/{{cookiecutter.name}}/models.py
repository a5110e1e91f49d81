"""Models: plain functions that return an unfitted scikit-learn estimator.

Their arguments are `params` in `usecase.yaml`.

Every model has a baseline: the simplest thing that could work, or what is done today. A model that does not beat its
baseline does not go into service; the baseline does.
"""

from __future__ import annotations

{% if cookiecutter.problem == "regression" -%}
from sklearn.dummy import DummyRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import Ridge
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler


def temperature_given_load(alpha: float = 1.0) -> Pipeline:
    """Return a linear model of the temperature; `alpha` is the strength of its regularisation."""
    return make_pipeline(SimpleImputer(), StandardScaler(), Ridge(alpha=alpha))


def always_the_mean() -> DummyRegressor:
    """Return the baseline: the mean temperature, whatever the load."""
    return DummyRegressor(strategy="mean")
{%- elif cookiecutter.problem == "classification" -%}
from sklearn.dummy import DummyClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler


def failure_given_wear(c: float = 1.0) -> Pipeline:
    """Return a linear model of the risk of failure; the smaller `c`, the more regularised."""
    return make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression(C=c, max_iter=1000))


def always_the_rate() -> DummyClassifier:
    """Return the baseline: the rate of failures seen so far, whatever the sensors say."""
    return DummyClassifier(strategy="prior")
{%- else -%}
import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, OutlierMixin
from sklearn.covariance import EllipticEnvelope
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline, make_pipeline


def unlike_the_past(normal: float = 0.9) -> Pipeline:
    """Return a model of how the features go together in the most `normal` share of the past."""
    return make_pipeline(SimpleImputer(), EllipticEnvelope(support_fraction=normal, random_state=0))


def far_from_the_mean() -> FarFromTheMean:
    """Return the baseline: a limit for each feature."""
    return FarFromTheMean()


class FarFromTheMean(OutlierMixin, BaseEstimator):
    """Score a row by the feature that is farthest from its mean, in standard deviations."""

    def fit(self, X: pd.DataFrame, y: object = None) -> FarFromTheMean:  # noqa: N803 - scikit-learn's name
        """Learn mean and standard deviation of each feature."""
        self.mean_ = X.mean().to_numpy()
        self.scale_ = X.std().clip(lower=1e-9).to_numpy()
        return self

    def score_samples(self, X: pd.DataFrame) -> np.ndarray:  # noqa: N803
        """Return one score a row; as everywhere in scikit-learn, the lower, the more abnormal."""
        distance = X.sub(self.mean_).div(self.scale_).abs()
        return -distance.max(axis=1).to_numpy()
{%- endif %}
