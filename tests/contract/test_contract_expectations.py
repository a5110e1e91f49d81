"""Our expectations, through Great Expectations, on frames that datadriver read and on plain ones."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from datadriver.config.sections import Contract
from datadriver.data.contract.engine import context, quiet
from datadriver.data.contract.verdict import CheckResult, judge
from datadriver.data.frame import Issue, SensorFrame
from datadriver.data.window import Window

MakeSensor = Callable[..., SensorFrame]
Expect = Callable[..., dict[str, Any]]
Check = Callable[..., CheckResult]
LIVELY = np.linspace(1, 2, 144)
FROZEN = np.concatenate([LIVELY[:20], np.full(40, 7.5), LIVELY[60:]])
HOLED = np.concatenate([LIVELY[:20], np.full(40, np.nan), LIVELY[60:]])
MIDNIGHT = pd.Timestamp("2024-03-02", tz="UTC")


@pytest.fixture
def check(write_suite: Callable[..., Path], expect: Expect) -> Check:
    def run(sensor: SensorFrame, kind: str, /, now: Any = None, **kwargs: Any) -> CheckResult:
        root = write_suite(expect(kind, **kwargs)).parent
        return judge(sensor, Contract(suite="suite.json"), "train", root, now=now).checks[0]

    return run


def test_a_frozen_sensor_is_found_with_its_span_place_and_share(check: Check, make_sensor: MakeSensor) -> None:
    found = check(
        make_sensor({"flow": FROZEN}), "expect_column_values_to_not_be_frozen", column="flow", max_duration="2h"
    )
    assert not found.success
    assert (found.unexpected_count, found.element_count, found.observed) == (40, 144, "6h 30min")
    assert found.message == (
        "flow: frozen for up to 6h 30min, 2h allowed: 40 of 144 values (27.8%) in 1 run, "
        "the longest from 2024-03-01 03:20 UTC"
    )


def test_a_sensor_at_rest_is_not_frozen_if_said(check: Check, make_sensor: MakeSensor) -> None:
    sensor = make_sensor({"flow": FROZEN})
    limits = {"column": "flow", "max_duration": "2h"}
    assert check(sensor, "expect_column_values_to_not_be_frozen", **limits, except_values=[7.5]).success
    assert not check(sensor, "expect_column_values_to_not_be_frozen", **limits, except_values=[0]).success


def test_noise_within_the_tolerance_is_frozen(check: Check, make_sensor: MakeSensor) -> None:
    noisy = FROZEN + np.random.default_rng(0).uniform(-1e-3, 1e-3, 144)
    limits = {"column": "flow", "max_duration": "2h"}
    assert check(make_sensor({"flow": noisy}), "expect_column_values_to_not_be_frozen", **limits).success
    assert not check(
        make_sensor({"flow": noisy}), "expect_column_values_to_not_be_frozen", **limits, tolerance=0.01
    ).success


def test_equal_values_on_both_sides_of_a_hole_are_not_frozen(check: Check, make_sensor: MakeSensor) -> None:
    held = np.where(np.arange(144) % 10 == 0, np.nan, 3.0)
    assert check(
        make_sensor({"flow": held}), "expect_column_values_to_not_be_frozen", column="flow", max_duration="2h"
    ).success


def test_a_row_condition_narrows_what_may_be_frozen(check: Check, make_sensor: MakeSensor) -> None:
    running = {"type": "comparison", "column": {"name": "speed"}, "operator": ">", "parameter": 0}
    stopped = make_sensor({"flow": FROZEN, "speed": np.where(FROZEN == 7.5, 0.0, 50.0)})
    limits = {"column": "flow", "max_duration": "2h"}
    assert not check(stopped, "expect_column_values_to_not_be_frozen", **limits).success
    assert check(stopped, "expect_column_values_to_not_be_frozen", **limits, row_condition=running).success


def test_a_gap_is_found_with_its_span_and_start(check: Check, make_sensor: MakeSensor) -> None:
    sensor = make_sensor({"flow": HOLED, "temperature": LIVELY})
    found = check(sensor, "expect_column_gaps_to_be_at_most", column="flow", max_gap="1h")
    assert found.message == "flow: 1 gap longer than 1h, the longest 6h 50min, from 2024-03-01 03:10 UTC"
    assert check(sensor, "expect_column_gaps_to_be_at_most", column="flow", max_gap="7h").success
    assert check(sensor, "expect_column_gaps_to_be_at_most", max_gap="1h").success


@pytest.mark.parametrize("part", [slice(None, 60), slice(60, None)])
def test_silence_at_either_end_of_the_frame_is_a_gap(check: Check, make_sensor: MakeSensor, part: slice) -> None:
    values = LIVELY.copy()
    values[part] = np.nan
    assert not check(
        make_sensor({"flow": values}), "expect_column_gaps_to_be_at_most", column="flow", max_gap="2h"
    ).success


def test_a_column_without_values_breaches_gaps_freshness_and_rate(check: Check, make_sensor: MakeSensor) -> None:
    sensor = make_sensor({"flow": np.full(144, np.nan)}, window=Window(end=MIDNIGHT))
    for kind, kwargs in (
        ("expect_column_gaps_to_be_at_most", {"max_gap": "9d"}),
        ("expect_data_to_be_fresh", {"max_age": "9d"}),
        ("expect_sampling_rate_to_be_between", {"max_interval": "9d"}),
    ):
        found = check(sensor, kind, column="flow", **kwargs)
        assert not found.success
        assert "no values at all" in found.message or "fewer than two values" in found.message


def test_freshness_is_counted_up_to_the_end_of_the_window(check: Check, make_sensor: MakeSensor) -> None:
    stale = make_sensor({"flow": np.where(np.arange(144) < 100, LIVELY, np.nan)}, window=Window(end=MIDNIGHT))
    found = check(stale, "expect_data_to_be_fresh", column="flow", max_age="6h")
    assert found.message == "flow: the last value is 7h 30min old, 6h allowed: it is of 2024-03-01 16:30 UTC"
    assert check(stale, "expect_data_to_be_fresh", max_age="8h").success


def test_without_an_end_of_the_window_freshness_is_counted_up_to_now(check: Check, make_sensor: MakeSensor) -> None:
    sensor = make_sensor({"flow": LIVELY})
    assert check(sensor, "expect_data_to_be_fresh", max_age="1h", now=MIDNIGHT).success
    assert not check(sensor, "expect_data_to_be_fresh", max_age="1h", now=MIDNIGHT + pd.Timedelta("2h")).success
    assert not check(sensor, "expect_data_to_be_fresh", max_age="1h").success
    later = check(sensor, "expect_data_to_be_fresh", max_age="1h", now=MIDNIGHT + pd.Timedelta("3D 2h 7s 690ms"))
    assert "the last value is 3d 2h 11min old, 1h allowed" in later.message


def test_the_sampling_rate_is_the_median_distance(check: Check, make_sensor: MakeSensor) -> None:
    sensor = make_sensor({"flow": LIVELY})
    assert check(sensor, "expect_sampling_rate_to_be_between", min_interval="5min", max_interval="10min").success
    found = check(sensor, "expect_sampling_rate_to_be_between", column="flow", max_interval="5min")
    assert found.message == "flow: values are 10min apart (median), expected at most 5min"


def test_read_issues_are_limited_by_count_and_by_share_of_the_rows_read(check: Check, make_sensor: MakeSensor) -> None:
    issues = (
        Issue("sensors", "flow", "unexpected_text", 3, ("Bad Input",)),
        Issue("sensors", "speed", "unexpected_text", 12, ("No Data",)),
        Issue("sensors", None, "duplicate", 1),
    )
    sensor = make_sensor({"flow": LIVELY}, issues=issues, rows_read={"sensors": 1000})
    kind = "expect_read_issues_to_be_at_most"
    assert check(sensor, kind, kind="unexpected_text", max_count=15).success
    assert check(sensor, kind, kind="unexpected_text", max_share=0.012).success
    assert check(sensor, kind, kind="unexpected_text", max_count=3, tag="flow").success
    assert check(sensor, kind, kind="out_of_range", max_count=0).success
    found = check(sensor, kind, kind="unexpected_text", max_share=0.01)
    assert not found.success
    assert found.message == (
        "frame: reading met 15 unexpected texts among numbers, in up to 1.2% of a source's rows; "
        "allowed: 1% of the rows, e.g. Bad Input"
    )
    assert [example.value for example in found.examples] == ["Bad Input", "No Data"]


def test_on_steps_the_spans_are_whole_numbers(check: Check, make_sensor: MakeSensor) -> None:
    cycles = pd.RangeIndex(100, 244, name="step").astype("int64")
    sensor = make_sensor({"flow": FROZEN}, index=pd.Index(cycles, name="step"), window=Window(end=250))
    found = check(sensor, "expect_column_values_to_not_be_frozen", column="flow", max_duration=12)
    assert found.message == (
        "flow: frozen for up to 39 steps, 12 steps allowed: "
        "40 of 144 values (27.8%) in 1 run, the longest from step 120"
    )
    assert found.examples[0].at == 120
    assert check(sensor, "expect_data_to_be_fresh", max_age=7).success
    assert not check(sensor, "expect_data_to_be_fresh", max_age=6).success
    wrong = check(sensor, "expect_column_gaps_to_be_at_most", max_gap="1h")
    assert "max_gap is '1h'; write a whole number of steps" in wrong.message
    endless = check(dataclasses.replace(sensor, window=Window()), "expect_data_to_be_fresh", max_age=6)
    assert "needs a window with an end" in endless.message


def test_a_text_column_can_be_frozen(check: Check, make_sensor: MakeSensor) -> None:
    modes = np.where(np.arange(144) < 100, "auto", "manual")
    found = check(
        make_sensor({"mode": modes}), "expect_column_values_to_not_be_frozen", column="mode", max_duration="12h"
    )
    assert (found.success, found.observed, found.examples[0].value) == (False, "16h 30min", "auto")


def test_stock_great_expectations_judges_a_plain_frame_with_parameters(expect: Expect) -> None:
    with quiet():
        gx = importlib.import_module("great_expectations")
        importlib.import_module("datadriver.data.contract.expectations")  # registers them

        items = [
            expect("expect_column_values_to_not_be_frozen", column="flow", max_duration={"$PARAMETER": "longest"}),
            expect("expect_column_gaps_to_be_at_most", column="flow", max_gap="1h"),
            expect("expect_sampling_rate_to_be_between", max_interval="10min"),
            expect("expect_data_to_be_fresh", max_age="1h"),
            expect("expect_read_issues_to_be_at_most", kind="duplicate", max_count=0),
        ]
        suite = gx.ExpectationSuite(name="plain", expectations=items)
        frame = pd.DataFrame({"time": pd.date_range("2024", periods=144, freq="10min", tz="UTC"), "flow": FROZEN})
        asset = context().data_sources.add_pandas("p").add_dataframe_asset("a")
        batch = asset.add_batch_definition_whole_dataframe("b").get_batch({"dataframe": frame})
        results = batch.validate(suite, expectation_parameters={"longest": "2h"})
    success = {result.expectation_config.type: result.success for result in results.results}
    assert len(success) == len(items)
    assert [kind for kind, good in success.items() if good] == [
        "expect_column_gaps_to_be_at_most",
        "expect_sampling_rate_to_be_between",
    ]
