"""Compiled expectations on each value of a column."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import numpy as np

from datadriver.data.contract.column import Column
from datadriver.data.contract.compiled.given import Check, Given, Uncompiled
from datadriver.data.contract.compiled.limits import Limits
from datadriver.data.contract.compiled.outcomes import column_of, of_rows, of_values
from datadriver.data.contract.engine import EXAMPLES, Outcome
from datadriver.data.contract.measures import Flags
from datadriver.data.contract.view import View

Test = Callable[[Column], Flags]
"""Says which values of a column, without nulls, are not as expected."""


def _on_values(make: Callable[[Given], Test], *kinds: str) -> Callable[[Given], Check]:
    """Return the maker of a check that tests the values of a column of one of some kinds; of any if none is named."""

    def maker(given: Given) -> Check:
        name, mostly, unexpected = given.text("column"), given.mostly(), make(given)

        def check(view: View) -> Outcome:
            column = column_of(view, name, *kinds)
            return of_values(view, column, unexpected(column), mostly)

        return check

    return maker


def _between(given: Given) -> Test:
    limits = Limits.take(given, times=True, needed=True)

    def unexpected(column: Column) -> Flags:
        if limits.numeric != (column.kind == "number"):
            raise Uncompiled("bounds of another kind than the values")
        inside = limits.hold(column.array if limits.numeric else column.valid)
        return ~np.asarray(inside)

    return unexpected


def _in_set(given: Given) -> Test:
    allowed = given.scalars("value_set")
    return lambda column: ~column.valid.isin(allowed).to_numpy()


def _not_in_set(given: Given) -> Test:
    refused = given.scalars("value_set")
    return lambda column: column.valid.isin(refused).to_numpy()


def _unique(_given: Given) -> Test:
    return lambda column: column.valid.duplicated(keep=False).to_numpy()


def _increasing(given: Given) -> Test:
    strictly = given.flag("strictly", default=False)
    return lambda column: _steps(column, lambda step: step <= 0 if strictly else step < 0)


def _decreasing(given: Given) -> Test:
    strictly = given.flag("strictly", default=False)
    return lambda column: _steps(column, lambda step: step >= 0 if strictly else step > 0)


def _steps(column: Column, wrong: Callable[[np.ndarray], Flags]) -> Flags:
    """Judge each value by its distance to the value before; the first, and NaN between infinities, are in order."""
    first = np.zeros(min(column.count, 1), dtype=bool)
    return np.asarray(np.concatenate((first, wrong(np.diff(column.array)))))


def _z_scores(given: Given) -> Test:
    threshold, both_sides = given.number("threshold"), given.flag("double_sided")

    def unexpected(column: Column) -> Flags:
        if not column.stdev:  # without spread there are no scores
            return np.zeros(column.count, dtype=bool)
        scores = (column.array - column.mean) / column.stdev
        under = np.abs(scores) < abs(threshold) if both_sides else scores < threshold
        return np.asarray(~(under | np.isnan(scores)))

    return unexpected


def _outliers(given: Given) -> Test:
    method, reach = given.choice("method", ("iqr", "std"), default="iqr"), given.number("multiplier", default=1.5)
    if reach < 0:
        raise Uncompiled("multiplier")

    def unexpected(column: Column) -> Flags:
        values = column.valid
        figures = (values.quantile(0.25), values.quantile(0.75)) if method == "iqr" else (column.mean, column.stdev)
        first, second = (float(figure) for figure in figures)
        if not np.isfinite([first, second]).all():
            return np.zeros(column.count, dtype=bool)
        if method == "iqr":
            room = reach * (second - first)
            return ~((column.array >= first - room) & (column.array <= second + room))
        room = reach * second
        return column.array != first if room <= 0 else ~(np.abs(column.array - first) < room)

    return unexpected


def _lengths_between(given: Given) -> Test:
    limits = Limits.take(given, whole=True, needed=True)
    return lambda column: ~limits.hold(column.valid.str.len()).to_numpy(dtype=bool)


def _lengths_equal(given: Given) -> Test:
    length = given.number("value")
    return lambda column: (column.valid.str.len() != length).to_numpy(dtype=bool)


def _like(given: Given) -> Test:
    regex = _regex(given)
    return lambda column: ~column.valid.str.contains(regex).to_numpy(dtype=bool)


def _not_like(given: Given) -> Test:
    regex = _regex(given)
    return lambda column: column.valid.str.contains(regex).to_numpy(dtype=bool)


def _regex(given: Given) -> str:
    regex = given.text("regex")
    try:
        groups = re.compile(regex).groups
    except re.error as error:
        raise Uncompiled("regex") from error
    if groups:  # pandas warns of them
        raise Uncompiled("regex")
    return regex


def _nulls(*, wanted: bool) -> Callable[[Given], Check]:
    """Return the maker of a check whose unexpected rows are those that are null, or those that are not."""

    def maker(given: Given) -> Check:
        name, mostly = given.text("column"), given.mostly()

        def check(view: View) -> Outcome:
            column = column_of(view, name)
            found = column.count if wanted else view.rows - column.count
            rows = np.flatnonzero(column.present if wanted else ~column.present)[:EXAMPLES] if found else _NONE
            return of_rows(view.rows, found, rows, column.at(rows) if found else [], mostly, judged=None)

        return check

    return maker


_NONE = np.array([], dtype=np.intp)

MAKERS: Mapping[str, Callable[[Given], Check]] = {
    "expect_column_values_to_be_between": _on_values(_between, "number", "time"),
    "expect_column_values_to_not_be_null": _nulls(wanted=False),
    "expect_column_values_to_be_null": _nulls(wanted=True),
    "expect_column_values_to_be_in_set": _on_values(_in_set),
    "expect_column_values_to_not_be_in_set": _on_values(_not_in_set, "number", "text"),
    "expect_column_values_to_be_unique": _on_values(_unique, "number", "time", "text"),
    "expect_column_values_to_be_increasing": _on_values(_increasing, "number", "time"),
    "expect_column_values_to_be_decreasing": _on_values(_decreasing, "number", "time"),
    "expect_column_value_z_scores_to_be_less_than": _on_values(_z_scores, "number"),
    "expect_column_values_to_not_be_outliers": _on_values(_outliers, "number"),
    "expect_column_value_lengths_to_be_between": _on_values(_lengths_between, "text"),
    "expect_column_value_lengths_to_equal": _on_values(_lengths_equal, "text"),
    "expect_column_values_to_match_regex": _on_values(_like, "text"),
    "expect_column_values_to_not_match_regex": _on_values(_not_like, "text"),
}
