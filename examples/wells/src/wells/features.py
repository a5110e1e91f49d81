"""Features: plain functions, sensor frame in, feature frame out, with the same index.

Wells do not have the same sensors, and several are stuck. So the features are made of whatever columns there are: a
sensor that is missing or never moves carries no information, and the models here give it no weight.
"""

from __future__ import annotations

import pandas as pd

PASCAL_PER_BAR = 1e5


def movement(frame: pd.DataFrame) -> pd.DataFrame:
    """Return how far each sensor (bar, deg C) is from its mean over the last three minutes.

    The levels themselves wander by more within an hour of normal operation than half an hour of it can teach; what
    tells an event is how fast they move.
    """
    levels = _readable(frame)
    return (levels - levels.rolling("3min").mean()).add_suffix("_moved")


def _readable(frame: pd.DataFrame) -> pd.DataFrame:
    """Return pressures in bar, so that columns are of one size and tables can be read."""
    return frame.apply(lambda column: column / PASCAL_PER_BAR if str(column.name).startswith("p_") else column)
