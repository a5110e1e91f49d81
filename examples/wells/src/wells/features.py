"""Features: plain functions, sensor frame in, feature frame out, with the same index.

Wells do not have the same sensors, and several are stuck. So the features are made of whatever columns there are: a
sensor that is missing or never moves carries no information, and the models here give it no weight.
"""

from __future__ import annotations

import pandas as pd

PASCAL_PER_BAR = 1e5


def state_and_change(frame: pd.DataFrame) -> pd.DataFrame:
    """Return each sensor's level (bar, deg C) and its change over three minutes."""
    levels = _readable(frame)
    changes = levels - levels.rolling("3min").mean()
    return pd.concat([levels, changes.add_suffix("_change")], axis=1)


def _readable(frame: pd.DataFrame) -> pd.DataFrame:
    """Return pressures in bar, so that columns are of one size and tables can be read."""
    return frame.apply(lambda column: column / PASCAL_PER_BAR if str(column.name).startswith("p_") else column)
