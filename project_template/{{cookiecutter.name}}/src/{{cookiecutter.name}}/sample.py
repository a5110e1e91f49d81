"""Sample data: eight weeks of six simulated pumps. Delete this file once `usecase.yaml` reads your own data."""

from __future__ import annotations

import zlib
{%- if cookiecutter.problem == "classification" %}
from pathlib import Path
{%- endif %}

import numpy as np
import pandas as pd

CLOCK = pd.date_range("2025-01-06", periods=56 * 72, freq="20min", tz="UTC")
{%- if cookiecutter.problem == "classification" %}
FAILURES = pd.read_csv(Path(__file__).parents[2] / "failures.csv", parse_dates=["failed_on"])
{%- endif %}


def readings(asset_id: str, start: pd.Timestamp | None, end: pd.Timestamp | None) -> pd.DataFrame:
    """Return what the sensors of one pump said; of eight weeks it would not pay to cut `[start, end)` out.

    Columns: time, load (%), ambient and temperature (degC), vibration (mm/s).
    """
    random = np.random.default_rng(zlib.crc32(asset_id.encode()))
    noise = pd.DataFrame(random.normal(size=(len(CLOCK), 4)), columns=["load", "ambient", "temperature", "vibration"])
    noise.iloc[0] = 0  # drifts begin at rest
    drift = noise.ewm(alpha=0.02, adjust=False).mean() * 10
    day = np.sin((CLOCK.hour - 9) / 24 * 2 * np.pi)
    worn = _wear(asset_id)

    load = (60 + 12 * day + 6 * drift["load"]).clip(20, 100)
    warm = load.ewm(halflife=6).mean()  # the motor follows its load within two hours
    ambient = 8 + 4 * day + 2 * drift["ambient"]
    temperature = 25 + 0.6 * warm + 0.5 * ambient + 12 * worn + 0.5 * noise["temperature"]
    vibration = 1.2 + 0.02 * load + 1.5 * worn + 0.15 * noise["vibration"]

    sensors = pd.DataFrame({"load": load, "ambient": ambient, "temperature": temperature, "vibration": vibration})
    return _soiled(sensors.round(3).assign(time=CLOCK), random)


def _wear(asset_id: str) -> np.ndarray:
    """Return how worn the pump is at each instant, from 0 (as new) to 1."""
{%- if cookiecutter.problem == "classification" %}
    worn = np.zeros(len(CLOCK))
    for failed_on in FAILURES.loc[FAILURES["asset_id"] == asset_id, "failed_on"]:
        days_left = ((failed_on - CLOCK) / pd.Timedelta("24h")).to_numpy()
        worn += np.where(days_left > 0, np.clip(1 - days_left / 5, 0, 1), 0)  # repaired at once, and as new
    return worn
{%- else %}
    begins = 46 if asset_id == "P-103" else np.inf  # nobody has noticed yet that P-103 wears
    days = ((CLOCK - CLOCK[0]) / pd.Timedelta("24h")).to_numpy()
    return np.clip((days - begins) / 8, 0, 1)
{%- endif %}


def _soiled(table: pd.DataFrame, random: np.random.Generator) -> pd.DataFrame:
    """Return the table with a little of the dirt that real data has: text, a gap, rows twice and out of order."""
    temperature = table["temperature"].astype(object)
    temperature[random.choice(len(table), 12, replace=False)] = "Bad Input"
    gap = random.integers(200, len(table) - 200)
    dirty = table.assign(temperature=temperature).drop(index=range(gap, gap + 18))
    twice = dirty.iloc[random.choice(len(dirty), 15, replace=False)]
    return pd.concat([dirty, twice], ignore_index=True)
