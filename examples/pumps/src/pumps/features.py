"""Features: plain functions, sensor frame in, feature frame out, with the same index.

A feature at an instant may use that instant and what came before it, never what came after. How far it looks back is
`window.lookback` in `usecase.yaml`.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

NOMINAL_HZ = 50.0


def in_operation(frame: pd.DataFrame) -> pd.Series:
    """Return which rows count: those at which the pump has run for three hours, so that its motor is warm."""
    return frame["frequency"].rolling("3h").min() > 35


def load_and_flow(frame: pd.DataFrame) -> pd.DataFrame:
    """Return what explains the temperature of a healthy motor: losses that heat it and flow that cools it.

    Losses grow with the square of the current. The motor follows them within a few hours, hence the means.
    """
    loss = frame["current"] ** 2
    heat = loss / (frame["flow"].clip(lower=20))
    lift = frame["discharge_pressure"] - frame["intake_pressure"]
    return pd.DataFrame(
        {
            "current": frame["current"],
            "frequency": frame["frequency"],
            "flow": frame["flow"],
            "lift": lift,
            "hydraulic_power": lift * frame["flow"],
            "loss_2h": loss.rolling("2h").mean(),
            "loss_6h": loss.rolling("6h").mean(),
            "heat_2h": heat.rolling("2h").mean(),
            "heat_6h": heat.rolling("6h").mean(),
            "heat_12h": heat.rolling("12h").mean(),
        }
    )


def behaviour(frame: pd.DataFrame) -> pd.DataFrame:
    """Return how the pump behaves, with its speed taken out by the affinity laws."""
    running = frame.where(frame["frequency"] > 35)
    speed = running["frequency"] / NOMINAL_HZ
    return pd.DataFrame(
        {
            "lift": (running["discharge_pressure"] - running["intake_pressure"]) / speed**2,
            "flow": running["flow"] / speed,
            "current": running["current"] / speed,
            "intake_pressure": running["intake_pressure"],
            "heat": running["motor_temperature"],
            "vibration": np.log(running["vibration"].clip(lower=1e-3) / speed**2),
        }
    )


def signs_of_wear(frame: pd.DataFrame, asset: dict[str, object]) -> pd.DataFrame:
    """Return what announces a failure: each quantity of `behaviour` today against its own last ten days.

    Pumps of one type share a model, so nothing here depends on the size of the pump: trends are relative, and the
    flow is a share of the rated flow. The insulation was measured by hand at the last visit that had been entered.
    """
    now = behaviour(frame)
    day, usual = now.rolling("24h").mean(), now.rolling("10D").median()
    return pd.DataFrame(
        {
            "vibration": day["vibration"],
            "vibration_trend": day["vibration"] - usual["vibration"],
            "heat_trend": day["heat"] - usual["heat"],
            "lift_trend": day["lift"] / usual["lift"] - 1,
            "flow_trend": day["flow"] / usual["flow"] - 1,
            "intake_trend": day["intake_pressure"] / usual["intake_pressure"] - 1,
            "current_trend": day["current"] / usual["current"] - 1,
            "current_unrest": now["current"].rolling("24h").std() / usual["current"],
            "load": day["flow"] / float(str(asset["rated_flow"])),
            "insulation": np.log10(frame["insulation"].clip(lower=1)),
        }
    )
