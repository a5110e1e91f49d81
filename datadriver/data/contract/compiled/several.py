"""Compiled expectations on several columns of a row."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from datadriver.data.contract.compiled.given import Check, Given, Uncompiled
from datadriver.data.contract.compiled.outcomes import column_of, of_rows
from datadriver.data.contract.engine import EXAMPLES, Outcome
from datadriver.data.contract.measures import Flags
from datadriver.data.contract.view import View

Numbers = npt.NDArray[Any]
_PAIR = {"both_values_are_missing": np.logical_or, "either_value_is_missing": np.logical_and, "neither": None}
_LIST = {"all_values_are_missing": np.logical_or, "any_value_is_missing": np.logical_and, "never": None}


def _pair(make: Callable[[Given], Callable[[Numbers, Numbers], Flags]]) -> Callable[[Given], Check]:
    """Return the maker of a check that compares two columns of numbers."""

    def maker(given: Given) -> Check:
        names, mostly, holds = (given.text("column_A"), given.text("column_B")), given.mostly(), make(given)
        if names[0] == names[1]:  # Great Expectations then compares pairs with pairs
            raise Uncompiled("column_B")
        keep = _PAIR[given.choice("ignore_row_if", tuple(_PAIR), default="both_values_are_missing")]

        def check(view: View) -> Outcome:
            columns = [column_of(view, name) for name in names]
            if any(column.kind != "number" for column in columns):
                raise Uncompiled("columns other than numbers")
            rows = _kept(keep, [column.present for column in columns])
            first, second = (column.raw[rows] for column in columns)
            wrong = np.flatnonzero(~holds(first, second))
            shown = wrong[:EXAMPLES]
            values = list(zip(first[shown], second[shown], strict=True))
            return of_rows(view.rows, len(wrong), rows[shown], values, mostly, judged=len(rows))

        return check

    return maker


def _kept(keep: np.ufunc | None, present: list[Flags]) -> npt.NDArray[np.intp]:
    """Return the positions of the rows that are judged."""
    return np.arange(len(present[0])) if keep is None else np.flatnonzero(keep.reduce(present))


def _greater(given: Given) -> Callable[[Numbers, Numbers], Flags]:
    return np.greater_equal if given.flag("or_equal", default=False) else np.greater


def _equal(_given: Given) -> Callable[[Numbers, Numbers], Flags]:
    return np.equal


def _rows_of(make: Callable[[Given], Callable[[pd.DataFrame], pd.Series]], *kinds: str) -> Callable[[Given], Check]:
    """Return the maker of a check of some columns' rows."""

    def maker(given: Given) -> Check:
        names, mostly, holds = given.names("column_list"), given.mostly(), make(given)
        keep = _LIST[given.choice("ignore_row_if", tuple(_LIST), default="all_values_are_missing")]
        if len(names) < 2:
            raise Uncompiled("column_list")

        def check(view: View) -> Outcome:
            columns = [column_of(view, name) for name in names]
            # Columns of one block add up as they do in Great Expectations, to the last bit.
            if any(column.kind not in kinds for column in columns) or view.index in names:
                raise Uncompiled("columns of other kinds")
            rows = _kept(keep, [column.present for column in columns])
            part = view.frame[names]
            part = part if len(rows) == len(part) else part.iloc[rows]
            wrong = np.flatnonzero(~holds(part).to_numpy(dtype=bool))
            shown = wrong[:EXAMPLES]
            values = part.iloc[shown].to_dict("records") if len(shown) else []
            return of_rows(view.rows, len(wrong), rows[shown], values, mostly, judged=len(rows))

        return check

    return maker


def _sum(given: Given) -> Callable[[pd.DataFrame], pd.Series]:
    total = given.number("sum_total")
    return lambda part: part.sum(axis=1, skipna=False) == total


def _compound_unique(_given: Given) -> Callable[[pd.DataFrame], pd.Series]:
    return lambda part: ~part.duplicated(keep=False)


MAKERS: Mapping[str, Callable[[Given], Check]] = {
    "expect_column_pair_values_a_to_be_greater_than_b": _pair(_greater),
    "expect_column_pair_values_to_be_equal": _pair(_equal),
    "expect_multicolumn_sum_to_equal": _rows_of(_sum, "number"),
    "expect_compound_columns_to_be_unique": _rows_of(_compound_unique, "number", "text"),
}
