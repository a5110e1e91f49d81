"""Compiled expectations on one figure of a column."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from datadriver.data.contract.column import Column
from datadriver.data.contract.compiled.given import Check, Given, Uncompiled
from datadriver.data.contract.compiled.limits import Limits
from datadriver.data.contract.compiled.outcomes import column_of
from datadriver.data.contract.engine import Outcome
from datadriver.data.contract.view import View


def within(figure: Any, limits: Limits) -> Outcome:
    """Compare a figure with its range; one that cannot be told is out of it."""
    if figure is not pd.NaT and pd.isna(figure):
        return Outcome(False, {"observed_value": None})
    return Outcome(bool(limits.hold(figure)), {"observed_value": figure})


def _figure(measure: Callable[[Column], Any], *kinds: str, whole: bool = False) -> Callable[[Given], Check]:
    """Return the maker of a check that compares a figure of a column of one of some kinds."""
    times = "time" in kinds and not whole

    def maker(given: Given) -> Check:
        name, limits = given.text("column"), Limits.take(given, whole=whole, times=times)

        def check(view: View) -> Outcome:
            column = column_of(view, name, *kinds)
            if times and not limits.endless and limits.numeric != (column.kind == "number"):
                raise Uncompiled("bounds of another kind than the figure")
            return within(measure(column), limits)

        return check

    return maker


def _share(count: Callable[[Column], int], of: Callable[[Column], int], *kinds: str) -> Callable[[Given], Check]:
    return _figure(lambda column: count(column) / of(column) if of(column) else 0, *kinds)


def _quantiles(given: Given) -> Check:
    name, ranges = given.text("column"), _Ranges.take(given)

    def check(view: View) -> Outcome:
        found = column_of(view, name, "number").series.quantile(ranges.shares, interpolation="nearest").tolist()
        details = [_near(value, bounds) for value, bounds in zip(found, ranges.bounds, strict=True)]
        observed = {"quantiles": ranges.shares, "values": found}
        return Outcome(all(details), {"observed_value": observed, "details": {"success_details": details}})

    return check


class _Ranges:
    """The quantiles asked for, and the range of each."""

    def __init__(self, shares: list[float], bounds: list[tuple[float, float]]) -> None:
        self.shares = shares
        self.bounds = bounds

    @classmethod
    def take(cls, given: Given) -> _Ranges:
        inner = given.inner("quantile_ranges")
        shares, pairs = inner.numbers("quantiles"), inner.pairs("value_ranges")
        inner.none_left()
        ordered = all(low is None or high is None or low <= high for low, high in pairs)
        if len(shares) != len(pairs) or not ordered or not all(0 <= share <= 1 for share in shares):
            raise Uncompiled("quantile_ranges")
        ends = [(-np.inf if low is None else low, np.inf if high is None else high) for low, high in pairs]
        return cls(shares, ends)


def _near(value: float, bounds: tuple[float, float]) -> bool:
    """Say whether a quantile is in its range, or next to one of its ends."""
    low, high = bounds
    return bool(np.isclose(value, low, rtol=1e-4) or np.isclose(value, high, rtol=1e-4) or low <= value <= high)


MAKERS: Mapping[str, Callable[[Given], Check]] = {
    "expect_column_max_to_be_between": _figure(lambda column: column.series.max(), "number", "time"),
    "expect_column_min_to_be_between": _figure(lambda column: column.series.min(), "number", "time"),
    "expect_column_mean_to_be_between": _figure(lambda column: column.mean, "number"),
    "expect_column_median_to_be_between": _figure(lambda column: column.valid.median(), "number"),
    "expect_column_stdev_to_be_between": _figure(lambda column: column.stdev, "number"),
    "expect_column_sum_to_be_between": _figure(lambda column: column.series.sum(), "number"),
    "expect_column_quantile_values_to_be_between": _quantiles,
    "expect_column_unique_value_count_to_be_between": _figure(
        lambda column: column.distinct, "number", "text", "time", whole=True
    ),
    "expect_column_proportion_of_unique_values_to_be_between": _share(
        lambda column: column.distinct, lambda column: column.count, "number", "text"
    ),
    "expect_column_proportion_of_non_null_values_to_be_between": _share(
        lambda column: column.count, lambda column: len(column.series)
    ),
}
