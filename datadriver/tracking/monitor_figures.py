"""Figures of monitoring by window, as people follow them over time: of each instance, and of the fleet.

Frames go in as `monitoring.store.read_facts` gives them; frames come out with `window_start`, `window_end`, `name` and
`value`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

import numpy as np
import pandas as pd

from datadriver.config.section import Severity
from datadriver.tracking.monitor_records import HEALTHS

INSTANCE = ["unit", "model", "version"]
"""Columns that name what was judged."""

_WINDOW = ["window_start", "window_end"]
_GRAVE = ["alarm", "pending", "silenced"]
_RANK = {state: rank for rank, state in enumerate([*_GRAVE, "unknown", "ok"])}


def instance_figures(facts: pd.DataFrame) -> pd.DataFrame:
    """Return the figures of each instance's checks, with the columns of `INSTANCE`.

    They are named `monitor.<check>.<unit>`, those of performance `monitor.performance.<metric>`. Of a unit of several
    assets it is their mean, and `monitor.<check>.breaching` is the share of them that breach.
    """
    known = (facts["model"] != "") & facts["version"].notna() & np.isfinite(facts["value"])
    rows = facts[known].astype({"version": "int64"})
    said = rows["measure"].str.lower().where(rows["check"] != "performance", rows["about"])
    rows = rows.assign(name="monitor." + rows["check"] + "." + said)
    figures: pd.DataFrame = rows.groupby([*INSTANCE, *_WINDOW, "name"])["value"].mean().reset_index()
    pooled = rows[rows["unit"] != rows["asset_id"]]
    if pooled.empty:
        return figures
    breaches = pooled.assign(
        name="monitor." + pooled["check"] + ".breaching", value=(pooled["outcome"] == "breach").astype("float64")
    )
    shares = breaches.groupby([*INSTANCE, *_WINDOW, "name"])["value"].mean().reset_index()
    parts: list[pd.DataFrame] = [figures, shares]
    return pd.concat(parts)


def fleet_figures(facts: pd.DataFrame) -> pd.DataFrame:
    """Return assets and instances by state, open alarms by severity, and the share of unknown checks."""
    windows = facts[_WINDOW].drop_duplicates()
    assets = _standing(facts, ["asset_id"])
    instances = _standing(facts[facts["model"] != ""], ["unit", "model"])
    alarms = facts[facts["state"] == "alarm"]
    unknown = facts.assign(value=(facts["outcome"] == "unknown").astype("float64"), name="checks.unknown_share")
    parts: list[pd.DataFrame] = [
        _counted(windows, assets, "state", "assets", HEALTHS),
        _counted(windows, instances, "state", "instances", HEALTHS),
        _counted(windows, alarms, "severity", "alarms", get_args(Severity)),
        unknown.groupby([*_WINDOW, "name"])["value"].mean().reset_index(),
    ]
    return pd.concat(parts)


def _standing(rows: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """Return the state of each subject in each window, by the rule of `monitoring.standing`."""
    blind = (rows["state"] == "unknown").groupby([rows[name] for name in [*_WINDOW, *by, "asset_id", *INSTANCE[:2]]])
    ranks = rows["state"].map(_RANK).where(rows["state"].isin(_GRAVE), _RANK["ok"])
    ranks = ranks.mask(blind.transform("all") & (ranks == _RANK["ok"]), _RANK["unknown"])
    found = ranks.groupby([rows[name] for name in [*_WINDOW, *by]]).min().rename("state").reset_index()
    return found.assign(state=found["state"].map({rank: state for state, rank in _RANK.items()}))


def _counted(windows: pd.DataFrame, rows: pd.DataFrame, column: str, name: str, values: Sequence[str]) -> pd.DataFrame:
    """Count the rows of each window by the values of a column, none of them left out."""
    every = windows.merge(pd.DataFrame({column: list(values)}), how="cross")
    counts = rows.groupby([*_WINDOW, column]).size().rename("value").reset_index()
    found = every.merge(counts, how="left", on=[*_WINDOW, column])
    return found[_WINDOW].assign(name=f"{name}." + found[column], value=found["value"].fillna(0.0))
