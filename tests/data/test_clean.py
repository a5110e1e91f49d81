"""Values as historians export them: text among numbers, listed nulls, impossible readings."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest

from datadriver.config.sections import Tag
from datadriver.data.clean import Notation, clean, is_number_like


def cleaned(
    values: list[Any], notation: Notation | None = None, dtype: Any = None, **tag: Any
) -> tuple[list[Any], dict[str, Any]]:
    series = pd.Series(values, dtype=dtype)
    result = clean(series, Tag(**tag), source="s", name="t", notation=notation or Notation())
    shown = [None if pd.isna(value) else value for value in result.values]
    return shown, {issue.kind: (issue.count, issue.examples) for issue in result.issues}


def test_text_among_numbers_is_null_and_counted_unless_listed() -> None:
    values = ["1.5", "Bad Input", " 2 ", "n.a.", "", None, "1e3", "Bad Input", "No Data"]
    assert cleaned(values, nulls=["Bad Input"]) == (
        [1.5, None, 2.0, None, None, None, 1000.0, None, None],
        {"unexpected_text": (2, ("n.a.", "No Data")), "listed_null": (2, ("Bad Input",))},
    )


def test_listed_numbers_match_in_the_precision_of_float32() -> None:
    values = np.array([-273.2, 20.0], dtype="float32")
    assert cleaned(list(values.astype("float64")), nulls=[-273.2])[0] == [None, 20.0]
    assert cleaned(["-273.20", "-273.3"], nulls=["-273.2"])[0] == [None, -273.3]


def test_impossible_values_are_null_and_counted() -> None:
    assert cleaned([-1.0, 0.0, 400.0, 401.0, np.inf], range=[0, 400]) == (
        [None, 0.0, 400.0, None, None],
        {"out_of_range": (3, ("-1.0", "401.0", "inf"))},
    )


def test_numbers_are_read_as_they_are_written() -> None:
    european = Notation(decimal=",", thousands=" ")
    assert cleaned(["1 234,5", "2", "3.5"], european) == ([1234.5, 2.0, None], {"unexpected_text": (1, ("3.5",))})


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        ([True, False], bool),
        (["true", "FALSE"], "str"),
        ([True, False], object),
        ([Decimal(1), 0], object),
        (["1", "0"], "category"),
    ],
)
def test_booleans_and_other_types_become_numbers(values: list[Any], dtype: Any) -> None:
    assert cleaned(values, dtype=dtype) == ([1.0, 0.0], {})


def test_text_tags_stay_text() -> None:
    assert cleaned(["seal ", "", None, 7, "?"], dtype=object, type="text", nulls=["?"]) == (
        ["seal", None, None, "7", None],
        {"listed_null": (1, ("?",))},
    )


@pytest.mark.parametrize(
    ("values", "is_tag"),
    [
        ([1, 2], True),
        (["1", "Bad", "2"], True),
        ([None, None], True),
        (["a", "b", "3"], False),
        ([pd.Timestamp("2026-01-01")], False),
    ],
)
def test_an_undeclared_column_is_a_tag_if_most_of_it_is_numbers(values: list[Any], is_tag: bool) -> None:
    assert is_number_like(pd.Series(values), Notation()) is is_tag
