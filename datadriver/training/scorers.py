"""Wrappers that give every kind of estimator one question to answer: `predict`, and a higher score means more so."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator


class AnomalyScorer(BaseEstimator):  # type: ignore[misc]
    """An anomaly detector whose `predict` is its score, higher meaning more anomalous.

    The score is `-score_samples`, else `-decision_function`, else `predict` of the detector, for rules that compute
    a score of their own.
    """

    def __init__(self, detector: Any) -> None:
        self.detector = detector

    def fit(self, X: pd.DataFrame, y: Any = None) -> Self:  # noqa: ARG002, N803 - scikit-learn's names
        """Fit the detector; `y` is ignored."""
        self.detector.fit(X)
        self.n_features_in_ = X.shape[1]
        self.feature_names_in_ = np.asarray(X.columns, dtype=object)
        return self

    def predict(self, X: pd.DataFrame) -> np.ndarray:  # noqa: N803
        """Return one score per row."""
        for method in ("score_samples", "decision_function"):
            if hasattr(self.detector, method):
                return -np.asarray(getattr(self.detector, method)(X), dtype="float64")
        return np.asarray(self.detector.predict(X), dtype="float64")

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "n_features_in_")


class DecisionScorer(BaseEstimator):  # type: ignore[misc]
    """A classifier without probabilities whose `predict` is its decision function squeezed into 0 to 1.

    The score ranks as the decision function does and is 0.5 at the classifier's own border, but it is no calibrated
    probability: wrap the classifier in `CalibratedClassifierCV` for one.
    """

    def __init__(self, classifier: Any) -> None:
        self.classifier = classifier

    def fit(self, X: pd.DataFrame, y: Any) -> Self:  # noqa: N803
        """Fit the classifier on classes 0 and 1."""
        self.classifier.fit(X, y)
        self.n_features_in_ = X.shape[1]
        self.feature_names_in_ = np.asarray(X.columns, dtype=object)
        return self

    def predict(self, X: pd.DataFrame) -> np.ndarray:  # noqa: N803
        """Return one score per row, between 0 and 1."""
        margin = np.asarray(self.classifier.decision_function(X), dtype="float64")
        return np.asarray(0.5 * (1.0 + np.tanh(0.5 * margin)))

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "n_features_in_")
