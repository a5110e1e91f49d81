"""What is compiled equals Great Expectations' own result at the same `result_format`."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from datadriver.config.fleet import Asset
from datadriver.data.contract.batch import to_batch
from datadriver.data.contract.compiled.plan import MAKERS, plan_of
from datadriver.data.contract.engine import run
from datadriver.data.contract.suite import Suite
from datadriver.data.contract.verdict import evaluate
from datadriver.data.contract.view import View
from datadriver.data.frame import Issue, SensorFrame
from datadriver.data.window import Window

ROOT = Path(__file__).parents[2]
Item = dict[str, Any]
Case = tuple[SensorFrame, list[Item]]
MakeSuite = Callable[[Sequence[Item]], Suite]
Differences = Callable[..., list[Any]]
Draw = Callable[[st.SearchStrategy[Any]], Any]

NUMBERS = ("wild", "tied", "whole", "nulls", "pressure")
"""Columns of numbers: with infinities and NaN, with ties, int64, without any value, and an ordinary one."""
_NO_SHRINKING = (Phase.explicit, Phase.reuse, Phase.generate)
"""Great Expectations takes a third of a second for each example, and a difference is named by its expectation."""
STAMP = "2024-03-01T{:02d}:00:00+00:00"


_FLOATS = st.sampled_from([0.0, -0.0, 1.0, 1.5, 2.0, -3.25, 0.1, 0.2, 1e-9, 1e17, 7.0])
_WILD = st.one_of(_FLOATS, st.floats(-1e6, 1e6), st.sampled_from([math.nan, math.nan, math.inf, -math.inf]))
_TEXTS = st.sampled_from(["run", "stop", "fault", "", "x y", None])


@st.composite
def sensors(draw: Draw, least: int = 0) -> SensorFrame:
    rows = draw(st.sampled_from([least, 1, 2, 3, 5, 8, 13, 40]))
    index: pd.Index
    if draw(st.booleans()):
        steps = draw(st.lists(st.sampled_from([1, 1, 1, 2, 600]), min_size=rows, max_size=rows))
        index = pd.Index(np.cumsum(np.array(steps, dtype=np.int64)), name="step", dtype="int64")
    else:
        minutes = draw(st.lists(st.sampled_from([10, 10, 10, 20, 700]), min_size=rows, max_size=rows))
        start = pd.Timestamp("2024-03-01", tz="UTC")
        stamps = start + pd.to_timedelta(np.cumsum(np.array(minutes, dtype=np.int64)), unit="min")
        index = pd.DatetimeIndex(stamps, name="time").as_unit("us")
    exact = {"min_size": rows, "max_size": rows}
    columns = {
        "wild": np.array(draw(st.lists(_WILD, **exact)), dtype=float),
        "tied": np.array(draw(st.lists(st.sampled_from([1.0, 1.0, 2.0, math.nan]), **exact)), dtype=float),
        "whole": np.array(draw(st.lists(st.integers(-5, 5), **exact)), dtype=np.int64),
        "nulls": np.full(rows, np.nan),
        "pressure": np.array(draw(st.lists(st.floats(0, 100), **exact)), dtype=float),
        "mode": pd.array(draw(st.lists(_TEXTS, **exact)), dtype="str"),
    }
    issues = (Issue("s", "wild", "unexpected_text", 3, ("Bad",)), Issue("s", None, "duplicate", 1))
    end = None if not rows else index[-1] + (5 if index.name == "step" else pd.Timedelta("2h"))
    frame = pd.DataFrame(columns, index=index)
    return SensorFrame(Asset("P-1"), frame, issues=issues, window=Window(None, end), rows_read={"s": 100})


_number = st.one_of(st.sampled_from([0, 1, 2, 1.5, -3, 0.8]), st.integers(-6, 6), st.floats(-200, 200))
_share = st.one_of(st.sampled_from([0, 0.5, 0.8, 0.9, 1]), st.floats(0, 1))
_flag = st.booleans()
_column = st.sampled_from(NUMBERS)


def _some(kwargs: Mapping[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[dict[str, Any]]:
    """Draw some of these keywords."""
    return st.fixed_dictionaries({}, optional=dict(kwargs))


def _bounds(value: st.SearchStrategy[Any], *, needed: bool = False) -> st.SearchStrategy[dict[str, Any]]:
    def ordered(kwargs: dict[str, Any]) -> bool:
        low, high = kwargs.get("min_value"), kwargs.get("max_value")
        return (low is not None or high is not None or not needed) and (None in (low, high) or low <= high)

    optional = {"min_value": value, "max_value": value, "strict_min": _flag, "strict_max": _flag}
    return _some(optional).filter(ordered)


def _merge(*parts: st.SearchStrategy[dict[str, Any]] | Mapping[str, st.SearchStrategy[Any]]) -> Any:
    strategies = [st.fixed_dictionaries(dict(part)) if isinstance(part, Mapping) else part for part in parts]
    return st.tuples(*strategies).map(lambda dicts: {key: value for each in dicts for key, value in each.items()})


_mostly = _some({"mostly": _share})
_numbers = {"column": _column}
_text = {"column": st.just("mode")}
_any = {"column": st.sampled_from([*NUMBERS, "mode"])}
_clock = {"column": st.just("time")}
_set = {"value_set": st.lists(st.one_of(_number, st.sampled_from(["run", "stop", None, True])), max_size=4)}
_pair = _merge(
    st.permutations(NUMBERS).map(lambda names: {"column_A": names[0], "column_B": names[1]}),
    _mostly,
    _some({"ignore_row_if": st.sampled_from(["both_values_are_missing", "either_value_is_missing", "neither"])}),
)
_instants = _bounds(st.integers(0, 23).map(STAMP.format))
_ends = st.tuples(st.one_of(st.none(), _number), st.one_of(st.none(), _number)).filter(
    lambda pair: None in pair or pair[0] <= pair[1]
)
_rows_ignored = _some({"ignore_row_if": st.sampled_from(["all_values_are_missing", "any_value_is_missing", "never"])})
_place = st.sampled_from(["time", "step", *NUMBERS, "mode", "nowhere"])


def _quantiles() -> Any:
    pairs = st.lists(st.tuples(st.sampled_from([0, 0.1, 0.25, 0.5, 0.9, 1]), _ends), min_size=1, max_size=3)
    return pairs.map(
        lambda given: {
            "quantile_ranges": {"quantiles": [q for q, _ in given], "value_ranges": [list(ends) for _, ends in given]}
        }
    )


def _list_of(columns: Sequence[str]) -> Any:
    return {"column_list": st.lists(st.sampled_from(columns), min_size=2, max_size=3, unique=True)}


def _within(value: st.SearchStrategy[Any] = _number, column: Any = _numbers) -> Any:
    return _merge(column, _bounds(value))


_span = st.sampled_from([1, 2, 15, 700])
_spans = {"step": _span, "time": _span.map(lambda minutes: f"{minutes}min")}


def _limit(key: str, index: str) -> Any:
    return _merge({key: _spans[index]}, _some({"column": st.sampled_from([*NUMBERS, "mode"])}))


def expectations(index: str) -> Mapping[str, Any]:
    """Return, for each compiled expectation, the keywords that Great Expectations takes and we compile."""
    strictly = _some({"strictly": _flag})
    ordered = st.one_of(_merge(_numbers, _mostly, strictly), _merge({"column": st.just(index)}, _mostly, strictly))
    columns = {"column": st.sampled_from([*NUMBERS, "mode", index])}
    extreme = _within() if index == "step" else st.one_of(_within(), _merge(_clock, _instants))
    between = _merge(_numbers, _bounds(_number, needed=True), _mostly)
    times = _merge(_clock, _bounds(st.integers(0, 23).map(STAMP.format), needed=True), _mostly)
    return {
        "expect_column_values_to_be_between": between if index == "step" else st.one_of(between, between, times),
        "expect_column_values_to_not_be_null": _merge(columns, _mostly),
        "expect_column_values_to_be_null": _merge(columns, _mostly),
        "expect_column_values_to_be_in_set": _merge(_any, _set, _mostly),
        "expect_column_values_to_not_be_in_set": _merge(_any, _set, _mostly),
        "expect_column_values_to_be_unique": _merge(columns, _mostly),
        "expect_column_values_to_be_increasing": ordered,
        "expect_column_values_to_be_decreasing": ordered,
        "expect_column_value_z_scores_to_be_less_than": _merge(
            _numbers, {"threshold": _number, "double_sided": _flag}, _mostly
        ),
        "expect_column_values_to_not_be_outliers": _merge(
            _numbers, _some({"method": st.sampled_from(["iqr", "std"]), "multiplier": _number.map(abs)}), _mostly
        ),
        "expect_column_value_lengths_to_be_between": _merge(_text, _bounds(st.integers(0, 5), needed=True), _mostly),
        "expect_column_value_lengths_to_equal": _merge(_text, {"value": st.integers(0, 5)}, _mostly),
        "expect_column_values_to_match_regex": _merge(
            _text, {"regex": st.sampled_from(["r", "^s", "[xy]$", "."])}, _mostly
        ),
        "expect_column_values_to_not_match_regex": _merge(_text, {"regex": st.sampled_from(["r", "^s", "."])}, _mostly),
        "expect_column_max_to_be_between": extreme,
        "expect_column_min_to_be_between": extreme,
        "expect_column_mean_to_be_between": _within(),
        "expect_column_median_to_be_between": _within(),
        "expect_column_stdev_to_be_between": _within(),
        "expect_column_sum_to_be_between": _within(),
        "expect_column_quantile_values_to_be_between": _merge(_numbers, _quantiles()),
        "expect_column_unique_value_count_to_be_between": _within(st.integers(0, 9), columns),
        "expect_column_proportion_of_unique_values_to_be_between": _within(_share, _any),
        "expect_column_proportion_of_non_null_values_to_be_between": _within(_share, columns),
        "expect_column_pair_values_a_to_be_greater_than_b": _merge(_pair, _some({"or_equal": _flag})),
        "expect_column_pair_values_to_be_equal": _pair,
        "expect_multicolumn_sum_to_equal": _merge(
            _list_of(["tied", "pressure", "nulls"]),
            {"sum_total": st.sampled_from([2, 3.0, 50])},
            _mostly,
            _rows_ignored,
        ),
        "expect_compound_columns_to_be_unique": _merge(_list_of(["tied", "whole", "mode"]), _mostly, _rows_ignored),
        "expect_table_row_count_to_be_between": _bounds(st.integers(0, 40)),
        "expect_table_row_count_to_equal": st.fixed_dictionaries({"value": st.integers(0, 9)}),
        "expect_table_column_count_to_be_between": _some({"min_value": _number, "max_value": _number}),
        "expect_table_column_count_to_equal": st.fixed_dictionaries({"value": st.integers(0, 9)}),
        "expect_column_to_exist": _merge({"column": _place}, _some({"column_index": st.integers(-9, 9)})),
        "expect_table_columns_to_match_set": _merge(
            {"column_set": st.lists(_place, unique=True)}, _some({"exact_match": _flag})
        ),
        "expect_table_columns_to_match_ordered_list": st.one_of(
            st.just({"column_list": [index, *NUMBERS, "mode"]}),
            st.fixed_dictionaries({"column_list": st.lists(_place, unique=True)}),
        ),
        "expect_column_values_to_not_be_frozen": _merge(
            {"column": st.sampled_from([*NUMBERS, "mode"]), "max_duration": _spans[index]},
            _some({"tolerance": st.sampled_from([0, 0.5, 1]), "except_values": st.just([1])}),
        ),
        "expect_column_gaps_to_be_at_most": _limit("max_gap", index),
        "expect_data_to_be_fresh": _limit("max_age", index),
        "expect_sampling_rate_to_be_between": _some(
            {
                "min_interval": _spans[index],
                "max_interval": _spans[index],
                "column": st.sampled_from([*NUMBERS, "mode"]),
            }
        ),
        "expect_read_issues_to_be_at_most": _merge(
            {"kind": st.sampled_from(["unexpected_text", "duplicate", "gap"]), "max_count": st.integers(0, 4)},
            _some({"max_share": st.sampled_from([0.01, 0.5]), "source": st.just("s"), "tag": st.just("wild")}),
        ),
    }


@st.composite
def cases(draw: Draw) -> Case:
    """Draw a frame, and an expectation of each kind."""
    sensor = draw(sensors())
    kinds = expectations(str(sensor.frame.index.name))
    assert kinds.keys() == MAKERS.keys(), "each compiled expectation is drawn here"
    return sensor, [{"type": kind, "kwargs": draw(kwargs)} for kind, kwargs in kinds.items()]


@settings(phases=_NO_SHRINKING)
@given(cases())
def test_what_is_compiled_is_what_great_expectations_finds(
    suite_of: MakeSuite, differences: Differences, case: Case
) -> None:
    sensor, items = case
    suite = suite_of(items)
    reference = run(suite.gx(), to_batch(sensor))
    assert differences(items, plan_of(suite).run(View.of_sensor(sensor)), reference) == []


@st.composite
def mixed(draw: Draw) -> Case:
    """Draw a frame with columns of every kind, and expectations on any of them, compiled or not."""
    sensor = draw(sensors(least=1))
    rows = len(sensor.frame)
    odd = {
        "object": pd.Series(["a", 1.5, None, True] * 10, dtype=object)[:rows].to_numpy(),
        "flag": np.arange(rows) % 2 == 0,
        "short": np.arange(rows, dtype=np.float32),
        "naive": pd.date_range("2024-03-01", periods=rows, freq="h").to_numpy(),
    }
    frame = sensor.frame.assign(**odd)
    anywhere = st.sampled_from(list(frame.columns))
    kinds = draw(st.lists(st.sampled_from(_ON_ANY_COLUMN), min_size=6, max_size=6))
    items = [{"type": kind, "kwargs": {"column": draw(anywhere), **kwargs}} for kind, kwargs in kinds]
    return SensorFrame(sensor.asset, frame, window=sensor.window), items


_ON_ANY_COLUMN = [
    ("expect_column_values_to_be_between", {"min_value": 1}),
    ("expect_column_values_to_be_between", {"min_value": STAMP.format(3)}),
    ("expect_column_values_to_not_be_null", {}),
    ("expect_column_values_to_not_be_in_set", {"value_set": [1, True]}),
    ("expect_column_values_to_be_increasing", {}),
    ("expect_column_max_to_be_between", {"max_value": 5}),
    ("expect_column_sum_to_be_between", {"max_value": 5}),
    ("expect_column_values_to_be_of_type", {"type_": "float64"}),
    ("expect_column_value_lengths_to_equal", {"value": 3}),
    (
        "expect_column_mean_to_be_between",
        {"min_value": 0, "row_condition": "pressure > 50", "condition_parser": "pandas"},
    ),
]


@settings(phases=_NO_SHRINKING)
@given(mixed())
def test_great_expectations_judges_the_rest_and_the_order_stays(
    suite_of: MakeSuite, differences: Differences, case: Case
) -> None:
    sensor, items = case
    suite = suite_of(items)
    assert differences(items, evaluate(suite, sensor), run(suite.gx(), to_batch(sensor))) == []
