"""When a score is an alarm: a threshold from the training part, and how long it must stay above."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pandas as pd

from datadriver.config.sections import Alarm, Quantile


def threshold(alarm: Alarm | None, values: np.ndarray) -> float | None:
    """Return the alarm threshold, given the compared values on the rows that were fitted; None without alarm."""
    if alarm is None:
        return None
    if not isinstance(alarm.above, Quantile):
        return float(alarm.above)
    known = values[np.isfinite(values)]
    return float(np.quantile(known, alarm.above.quantile)) if len(known) else None


def sustained(above: np.ndarray, index: pd.Index, span: timedelta | int | None) -> np.ndarray:
    """Tell for each row whether it and all rows of the last `span` before it are above the threshold.

    A gap in the index longer than the span starts the count again: nothing is known of what happened in it.

    >>> sustained(np.array([True, True, False, True, True, True]), pd.RangeIndex(6), 2)
    array([False, False, False, False, False,  True])
    """
    if not span or not len(above):
        return above.astype(bool)
    gap = np.concatenate([[True], np.asarray(index[1:] - index[:-1] > span)])
    starts = above & (gap | ~np.concatenate([[False], above[:-1]]))
    run = np.maximum.accumulate(np.where(starts, np.arange(len(above)), 0))
    return np.asarray(above & np.asarray(index - index[run] >= span), dtype=bool)
