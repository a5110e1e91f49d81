"""Metrics: scikit-learn's values, a reason where there is none, and directions that decide."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sk

from datadriver.config.metric_names import CLASSIFICATION, METRIC_NAMES, REGRESSION
from datadriver.errors import ConfigError
from datadriver.training.decide import beats
from datadriver.training.metrics import Evidence, find_metric, measure, pooled

HERE = Path()


def evidence(truth: list[float], score: list[float], level: float = 0.5) -> Evidence:
    frame = pd.DataFrame({"x": np.arange(float(len(truth)))})
    return Evidence(np.array(truth, dtype=float), np.array(score, dtype=float), frame, level)


def value(name: str, *arguments: object) -> float:
    return measure([find_metric(name, HERE)], evidence(*arguments))[0][name]  # type: ignore[arg-type]


def reason(name: str, *arguments: object) -> str:
    return measure([find_metric(name, HERE)], evidence(*arguments))[1][name]  # type: ignore[arg-type]


def test_every_name_has_a_formula_and_the_right_direction() -> None:
    worse = {"mae", "mse", "rmse", "medae", "mape", "smape", "max_error", "brier", "log_loss", "alarm_rate"}
    assert {name for name in METRIC_NAMES if not find_metric(name, HERE).greater_is_better} == worse


@pytest.mark.parametrize("name", sorted(REGRESSION))
def test_a_perfect_prediction_has_the_best_value_and_nulls_are_left_out(name: str) -> None:
    perfect = value(name, [1.0, 2.0, np.nan], [1.0, 2.0, 7.0])
    assert perfect == (1.0 if find_metric(name, HERE).greater_is_better else 0.0)


@pytest.mark.parametrize("name", sorted(CLASSIFICATION - {"log_loss"}))
def test_a_perfect_score_has_the_best_value(name: str) -> None:
    perfect = value(name, [0, 1, 1, np.nan], [0.0, 1.0, 1.0, 0.3])
    assert perfect == (1.0 if find_metric(name, HERE).greater_is_better else 0.0)


def test_values_are_those_of_scikit_learn() -> None:
    truth, score = [0, 0, 1, 1, 0], [0.2, 0.6, 0.4, 0.9, 0.1]
    assert value("average_precision", truth, score) == sk.average_precision_score(truth, score)
    assert value("log_loss", truth, score) == sk.log_loss(truth, score)
    assert value("f1", truth, score) == sk.f1_score(truth, np.array(score) > 0.5)
    assert value("f1", truth, score, 0.3) == sk.f1_score(truth, np.array(score) > 0.3)


@pytest.mark.parametrize(
    ("name", "truth", "score", "message"),
    [
        ("roc_auc", [0, 0], [0.1, 0.2], "the holdout has one class only (0 of 2 rows are positive)"),
        ("roc_auc", [np.nan], [0.1], "no row of the holdout has a label"),
        ("mae", [np.nan], [0.1], "no row of the holdout has a target"),
        ("mae", [1.0, 2.0], [np.inf, 1.0], "1 of 2 scores are not finite"),
        ("mae", [], [], "there are no rows to judge"),
        ("r2", [1.0], [1.0], "it comes out as nan"),
        ("brier", [0, 1], [-3.0, 2.0], "scores are not probabilities, they range from -3 to 2"),
        ("score_stability", [0.0], [1.0], "it needs the scores of the training part"),
    ],
)
@pytest.mark.filterwarnings("ignore:R.2 score is not well-defined")
def test_a_metric_without_a_value_has_a_reason(name: str, truth: list[float], score: list[float], message: str) -> None:
    assert reason(name, truth, score) == message


def test_label_free_metrics_leave_known_anomalies_out() -> None:
    scores = np.array([0.0, 0.1, 0.9, 5.0])
    seen = Evidence(np.array([0, np.nan, 0, 1]), scores, pd.DataFrame({"x": scores}), 0.5, train_scores=scores[:3])
    values, _ = measure([find_metric(name, HERE) for name in ("alarm_rate", "score_stability")], seen)
    assert values == {"alarm_rate": pytest.approx(1 / 3), "score_stability": 1.0}


def test_an_unknown_name_is_an_error_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="no metric 'avg_precision'; did you mean 'average_precision'"):
        find_metric("avg_precision", HERE)


def test_pooled_metrics_cover_the_holdouts_of_all_instances() -> None:
    holdouts = [
        pd.DataFrame({"y_true": [0.0, 1.0], "y_score": [0.1, 0.9]}, index=_rows("A")),
        pd.DataFrame({"y_true": [0.0, 0.0], "y_score": [0.2, 0.3]}, index=_rows("B")),
    ]
    values, reasons = pooled(["roc_auc", "brier"], holdouts, HERE)
    assert values == {"roc_auc": 1.0, "brier": pytest.approx(0.0375)}
    assert reasons == {}


def _rows(asset: str) -> pd.MultiIndex:
    return pd.MultiIndex.from_product([[asset], [0, 1]], names=["asset_id", "step"])


figures = st.floats(allow_nan=True, allow_infinity=True)


@given(ours=figures, theirs=figures, greater=st.booleans(), margin=st.floats(0, 1))
def test_beating_is_strict_needs_the_margin_and_never_goes_both_ways(
    ours: float, theirs: float, greater: bool, margin: float
) -> None:
    won = beats(ours, theirs, greater_is_better=greater, margin=margin)
    assert not (won and beats(theirs, ours, greater_is_better=greater, margin=margin))
    assert not beats(ours, ours, greater_is_better=greater)
    if not math.isfinite(ours):
        assert not won
    if math.isfinite(nearly := ours * (1 + 1e-12)):
        assert not beats(ours, nearly, greater_is_better=greater)
    if won and math.isfinite(theirs):
        assert ours > theirs if greater else ours < theirs
        assert abs(ours - theirs) >= margin * abs(theirs)
