"""The wrappers are scikit-learn estimators like any other: they can be cloned, and stored with skops."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.base import clone
from sklearn.covariance import EllipticEnvelope
from sklearn.ensemble import IsolationForest
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import LocalOutlierFactor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC, OneClassSVM
from sklearn.utils.validation import check_is_fitted

from datadriver.training.scorers import AnomalyScorer, DecisionScorer

NORMAL = pd.DataFrame(np.random.default_rng(0).normal(size=(200, 2)), columns=["a", "b"])
STRANGE = pd.DataFrame([[9.0, -9.0]], columns=["a", "b"])


@pytest.mark.parametrize(
    "detector",
    [
        IsolationForest(n_estimators=10, random_state=0),
        make_pipeline(StandardScaler(), OneClassSVM()),
        EllipticEnvelope(random_state=0),
        GaussianMixture(random_state=0),
        LocalOutlierFactor(novelty=True),
    ],
    ids=lambda detector: type(detector).__name__,
)
@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
def test_whatever_the_detector_a_stranger_row_has_a_higher_score(detector: Any) -> None:
    scorer = clone(AnomalyScorer(detector)).fit(NORMAL)
    assert scorer.predict(STRANGE)[0] > scorer.predict(NORMAL).max()


def test_a_stored_scorer_answers_the_same() -> None:
    scorer = AnomalyScorer(IsolationForest(n_estimators=5, random_state=0)).fit(NORMAL)
    data = skops.io.dumps(scorer)
    unknown = skops.io.get_untrusted_types(data=data)
    assert "datadriver.training.scorers.AnomalyScorer" in unknown
    again = skops.io.loads(data, trusted=unknown)
    check_is_fitted(again)
    assert (again.predict(NORMAL) == scorer.predict(NORMAL)).all()


def test_a_margin_becomes_a_score_between_zero_and_one_that_ranks_alike() -> None:
    truth = (NORMAL["a"] > 0).astype(int)
    scorer = clone(DecisionScorer(LinearSVC())).fit(NORMAL, truth)
    margin, score = scorer.classifier.decision_function(NORMAL), scorer.predict(NORMAL)
    assert ((score > 0) & (score < 1)).all()
    assert (np.argsort(margin) == np.argsort(score)).all()
    assert ((score > 0.5) == (margin > 0)).all()
