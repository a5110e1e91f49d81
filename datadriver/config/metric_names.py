"""Names of the metrics that come with datadriver, by kind; `datadriver.training.metrics` holds their formulas.

The names live here so that configuration can be checked without importing scikit-learn.
"""

from __future__ import annotations

REGRESSION = frozenset(
    {"explained_variance", "mae", "mape", "max_error", "medae", "mse", "r2", "rmse", "smape"},
)
"""Need a measured value beside each score."""

CLASSIFICATION = frozenset(
    {
        "accuracy",
        "average_precision",
        "balanced_accuracy",
        "brier",
        "f1",
        "log_loss",
        "mcc",
        "precision",
        "recall",
        "roc_auc",
    }
)
"""Need a label of 0 or 1 beside each score."""

LABEL_FREE = frozenset({"alarm_rate", "score_stability", "synthetic_roc_auc"})
"""Need scores only."""

METRIC_NAMES = REGRESSION | CLASSIFICATION | LABEL_FREE
"""Every name that `evaluate.metrics` understands beside `module:function`."""
