"""Metrics that people of the trade ask for: `function(y_true, y_score, frame) -> float`."""

from __future__ import annotations

import numpy as np
import pandas as pd

FALSE_ALARMS = 0.01


def days_of_warning(y_true: pd.Series, y_score: pd.Series, frame: pd.DataFrame) -> float:
    """Return the mean time in days from the first alarm to the failure; a failure without alarm counts as 0.

    The alarm level is the one that 1% of the healthy rows exceed, so that a model cannot buy warning with noise.
    The index of all three is (asset, time); the rows before one failure are a run of ones.
    """
    level = y_score[y_true == 0].quantile(1 - FALSE_ALARMS)
    warnings = [_warning(score.index[score > level], score.index[-1]) for score in _runs(y_true, y_score)]
    return float(np.mean(warnings)) if warnings else 0.0


def _runs(y_true: pd.Series, y_score: pd.Series) -> list[pd.Series]:
    """Return the scores before each failure, with their times."""
    pump = y_true.groupby(level=0).ngroup()
    number = (y_true.ne(y_true.shift()) | pump.ne(pump.shift())).cumsum()
    ahead = y_true.eq(1).to_numpy()
    return [score for _, score in y_score[ahead].droplevel(0).groupby(number[ahead].to_numpy())]


def _warning(alarms: pd.Index, failure: pd.Timestamp) -> float:
    return (failure - alarms[0]) / pd.Timedelta(days=1) if len(alarms) else 0.0
