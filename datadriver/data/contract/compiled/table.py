"""Compiled expectations on the shape of the frame."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import zip_longest
from typing import Any

from datadriver.data.contract.compiled.figures import within
from datadriver.data.contract.compiled.given import Check, Given
from datadriver.data.contract.compiled.limits import Limits
from datadriver.data.contract.engine import Outcome
from datadriver.data.contract.view import View


def _rows(view: View) -> int:
    return view.rows


def _columns(view: View) -> int:
    return len(view.names)


def _rows_between(given: Given) -> Check:
    limits = Limits.take(given, whole=True)
    return lambda view: within(view.rows, limits)


def _columns_between(given: Given) -> Check:
    low, high = given.optional_number("min_value"), given.optional_number("max_value")
    limits = Limits(low, high, strict_low=False, strict_high=False)
    return lambda view: within(len(view.names), limits)


def _equal(count: Callable[[View], int]) -> Callable[[Given], Check]:
    def maker(given: Given) -> Check:
        wanted = given.integer("value")
        return lambda view: Outcome(count(view) == wanted, {"observed_value": count(view)})

    return maker


def _exists(given: Given) -> Check:
    name, place = given.text("column"), given.optional_integer("column_index")

    def check(view: View) -> Outcome:
        if not place:
            return Outcome(name in view.names)
        return Outcome(-len(view.names) <= place < len(view.names) and view.names[place] == name)

    return check


def _match_set(given: Given) -> Check:
    wanted, exactly = set(given.names("column_set")), given.flag("exact_match", default=True)

    def check(view: View) -> Outcome:
        observed = {str(name) for name in view.names}
        lists = {"unexpected": sorted(observed - wanted), "missing": sorted(wanted - observed)}
        mismatched = {how: names for how, names in lists.items() if names}
        result: dict[str, Any] = {"observed_value": sorted(observed)}
        if mismatched:
            result["details"] = {"mismatched": mismatched}
        return Outcome(not mismatched or not (exactly or lists["missing"]), result)

    return check


def _match_list(given: Given) -> Check:
    wanted = given.names("column_list")

    def check(view: View) -> Outcome:
        pairs = enumerate(zip_longest(wanted, view.names))
        wrong = [{"Expected Column Position": at, "Expected": one, "Found": other} for at, (one, other) in pairs]
        wrong = [item for item in wrong if item["Expected"] != item["Found"]]
        details = {"details": {"mismatched": wrong}} if wrong else {}
        return Outcome(not wrong, {"observed_value": list(view.names), **details})

    return check


MAKERS: Mapping[str, Callable[[Given], Check]] = {
    "expect_table_row_count_to_be_between": _rows_between,
    "expect_table_row_count_to_equal": _equal(_rows),
    "expect_table_column_count_to_be_between": _columns_between,
    "expect_table_column_count_to_equal": _equal(_columns),
    "expect_column_to_exist": _exists,
    "expect_table_columns_to_match_set": _match_set,
    "expect_table_columns_to_match_ordered_list": _match_list,
}
