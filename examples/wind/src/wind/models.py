"""Models: plain functions that return an unfitted scikit-learn estimator.

Their arguments are `params` in `usecase.yaml`. Every model has a baseline: here the power curve, which is what the
industry uses today.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.ensemble import HistGradientBoostingRegressor


def boosted_power(trees: int = 150, learning_rate: float = 0.08) -> HistGradientBoostingRegressor:
    """Return boosted trees; they take missing values as they are, and absolute error forgives odd rows."""
    return HistGradientBoostingRegressor(
        loss="absolute_error",
        max_iter=trees,
        learning_rate=learning_rate,
        max_leaf_nodes=24,
        min_samples_leaf=40,
        random_state=0,
    )


def power_curve(column: str = "wind_speed", width: float = 0.5) -> PowerCurve:
    """Return the baseline: the mean power in bins of wind speed of `width` m/s, as IEC 61400-12-1 does it."""
    return PowerCurve(column=column, width=width)


class PowerCurve(RegressorMixin, BaseEstimator):
    """Mean power by bin of wind speed, with straight lines between the bins' middles."""

    def __init__(self, column: str = "wind_speed", width: float = 0.5) -> None:
        self.column = column
        self.width = width

    def fit(self, X: pd.DataFrame, y: pd.Series) -> PowerCurve:  # noqa: N803 - scikit-learn's name
        """Learn the mean wind and power of each bin."""
        rows = pd.DataFrame({"wind": X[self.column].to_numpy(), "power": np.asarray(y)}).dropna()
        bins = rows.groupby((rows["wind"] / self.width).round()).mean()
        self.winds_, self.powers_ = bins["wind"].to_numpy(), bins["power"].to_numpy()
        self.usual_ = float(rows["wind"].median())
        return self

    def predict(self, X: pd.DataFrame) -> np.ndarray:  # noqa: N803
        """Return the power in kW; without a wind speed, that of the usual wind."""
        wind = X[self.column].fillna(self.usual_).to_numpy(dtype=float)
        return np.interp(wind, self.winds_, self.powers_)
