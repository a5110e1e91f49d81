"""Each check of each model over time and fleet: what `monitor` found, put together window by window."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

import numpy as np
import pandas as pd

from datadriver.monitoring.facts import MODEL_CHECKS
from datadriver.reporting.check_plots import side_of
from datadriver.reporting.facts import Instants, Trend

_RELATIVE = "of its limit"
_GROUP = ["model", "check", "window_start", "window_end"]


def trends(facts: pd.DataFrame) -> Mapping[str, tuple[Trend, ...]]:
    """Return the trends of every model, its checks in the order in which reports show them.

    Args:
        facts: rows of `monitoring.store.read_facts`; those of data checks do not count.
    """
    rows = facts.loc[facts["model"] != "", [*_GROUP, "outcome", "value", "limit", "measure"]]
    if rows.empty:
        return {}
    rows = _comparable(rows)
    rows = rows.assign(
        judged=rows["outcome"] != "unknown", breach=rows["outcome"] == "breach", unknown=rows["outcome"] == "unknown"
    )
    groups = rows.groupby(_GROUP, sort=True, observed=True)
    counts = groups[["judged", "breach", "unknown"]].sum()
    values = groups["value"].quantile(np.array([0.1, 0.5, 0.9])).unstack()
    table = counts.join(values).join(groups["limit"].median()).join(groups["measure"].last()).reset_index()
    sides = _sides(rows)
    found: dict[str, dict[str, Trend]] = {}
    for (model, check), part in table.groupby(["model", "check"], sort=False, observed=True):
        trend = _trend(str(check), part)
        relative = trend.measure == _RELATIVE
        found.setdefault(str(model), {})[str(check)] = replace(
            trend,
            side=sides[(str(model), str(check))],
            relative=relative,
            measure="share" if relative else trend.measure,
        )
    return {model: tuple(of[check] for check in MODEL_CHECKS if check in of) for model, of in found.items()}


def _comparable(rows: pd.DataFrame) -> pd.DataFrame:
    """Take figures relative to their limit where assets have different ones: only then do they say the same."""
    limits = rows.groupby(["model", "check"], observed=True)["limit"]
    differ = (limits.transform("nunique") > 1) & (limits.transform("min") > 0)
    value, measure = (
        rows["value"].where(~differ, rows["value"] / rows["limit"]),
        rows["measure"].mask(differ, _RELATIVE),
    )
    return rows.assign(value=value, measure=measure, limit=rows["limit"].mask(differ & rows["limit"].notna(), 1.0))


def _sides(rows: pd.DataFrame) -> Mapping[tuple[str, str], Literal["above", "below"]]:
    return {
        (str(model), str(check)): side_of(
            part["value"].to_numpy("float64"), part["limit"].to_numpy("float64"), part["outcome"].tolist()
        )
        for (model, check), part in rows.groupby(["model", "check"], sort=False, observed=True)
    }


def _trend(check: str, part: pd.DataFrame) -> Trend:
    return Trend(
        check=check,
        measure=next((str(one) for one in reversed(part["measure"].tolist()) if one), ""),
        start=_numbers(part["window_start"]),
        at=_numbers(part["window_end"]),
        middle=part[0.5].to_numpy("float64"),
        low=part[0.1].to_numpy("float64"),
        high=part[0.9].to_numpy("float64"),
        limit=part["limit"].to_numpy("float64"),
        judged=part["judged"].to_numpy("int64"),
        breaches=part["breach"].to_numpy("int64"),
        unknown=part["unknown"].to_numpy("int64"),
    )


def _numbers(instants: pd.Series) -> Instants:
    if pd.api.types.is_integer_dtype(instants.dtype):
        return np.asarray(instants, dtype=np.int64)
    return pd.DatetimeIndex(instants).as_unit("us").asi8
