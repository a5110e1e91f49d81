"""What the training part looked like, small enough to keep with every version: drift is measured against it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

LEVELS = tuple(round(level, 2) for level in np.linspace(0, 1, 21))
TOP = 20


def reference(features: pd.DataFrame, values: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Summarise features and further values (scores, residuals) as JSON-able numbers.

    Numbers get 21 quantiles from minimum to maximum, mean and standard deviation; texts the shares of their most
    frequent values. All get the share of nulls.
    """
    return {
        "rows": len(features),
        "levels": list(LEVELS),
        "features": {str(name): _column(column) for name, column in features.items()},
        **{name: _numbers(np.asarray(value, dtype="float64")) for name, value in values.items()},
    }


def _column(column: pd.Series) -> dict[str, Any]:
    if pd.api.types.is_numeric_dtype(column.dtype):
        return _numbers(column.to_numpy("float64", na_value=np.nan))
    shares = column.astype("str").where(column.notna()).value_counts(normalize=True).head(TOP)
    return {
        "nulls": float(column.isna().mean()),
        "shares": {str(value): float(share) for value, share in shares.items()},
    }


def _numbers(values: np.ndarray) -> dict[str, Any]:
    known = values[np.isfinite(values)]
    summary: dict[str, Any] = {"nulls": 1 - len(known) / len(values) if len(values) else 0.0}
    if len(known):
        quantiles = np.quantile(known, LEVELS)
        summary |= {
            "quantiles": [float(value) for value in quantiles],
            "mean": float(known.mean()),
            "std": _finite(float(known.std())),
        }
    return summary


def _finite(value: float) -> float:
    return value if math.isfinite(value) else 0.0
