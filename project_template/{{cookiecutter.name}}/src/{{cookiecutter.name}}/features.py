"""Features: plain functions, sensor frame in, feature frame out, with the same index.

A feature at an instant may use that instant and what came before it, never what came after: the tests check it.
How far it looks back is `window.lookback` in `usecase.yaml`.
"""

from __future__ import annotations

import pandas as pd


{% if cookiecutter.problem == "regression" -%}
def load_and_weather(frame: pd.DataFrame) -> pd.DataFrame:
    """Return what explains the temperature of a healthy pump: its load, now and lately, and the weather."""
    return pd.DataFrame(
        {
            "load": frame["load"],
            "load_3h": frame["load"].rolling("3h").mean(),
            "load_12h": frame["load"].rolling("12h").mean(),
            "ambient": frame["ambient"],
        }
    )
{%- elif cookiecutter.problem == "classification" -%}
def signs_of_wear(frame: pd.DataFrame) -> pd.DataFrame:
    """Return what announces a failure: heat and vibration beyond what load and weather explain, and their trend."""
    heat = frame["temperature"] - 0.5 * frame["ambient"] - 0.6 * frame["load"]
    return pd.DataFrame(
        {
            "heat_12h": heat.rolling("12h").mean(),
            "vibration_12h": frame["vibration"].rolling("12h").mean(),
            "vibration_trend": frame["vibration"].rolling("12h").mean() - frame["vibration"].rolling("72h").mean(),
            "load_12h": frame["load"].rolling("12h").mean(),
        }
    )
{%- else -%}
def behaviour(frame: pd.DataFrame) -> pd.DataFrame:
    """Return how the pump behaves for the load it carries and the weather it stands in."""
    return pd.DataFrame(
        {
            "load": frame["load"],
            "load_change": frame["load"] - frame["load"].rolling("6h").mean(),
            "heat": (frame["temperature"] - frame["ambient"]).rolling("6h").mean(),
            "vibration": frame["vibration"].rolling("6h").mean(),
        }
    )
{%- endif %}


def in_operation(frame: pd.DataFrame) -> pd.Series:
    """Return which rows count: those at which the pump runs."""
    return frame["load"] > 5
