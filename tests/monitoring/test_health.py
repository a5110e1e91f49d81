"""Health of data, window by window: what a check finds, and that a window does not depend on its neighbours."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datadriver.config.fleet import Asset
from datadriver.config.sections import UseCase
from datadriver.data.read import read_frame
from datadriver.data.window import Window
from datadriver.monitoring.facts import Fact
from datadriver.monitoring.health import data_facts

ALL: dict[str, Any] = {"gaps": {"max": "3h"}, "frozen": {"max": "4h"}}


def judged(facts: tuple[Fact, ...], check: str) -> list[Fact]:
    return [fact for fact in facts if fact.check == check]


@pytest.fixture
def usecase(plant: Any) -> UseCase:
    made: UseCase = plant.usecase(ALL)
    return made


def test_healthy_windows_hold_every_limit(plant: Any, usecase: UseCase, tmp_path: Path) -> None:
    sensor = plant.sensor(plant.rows(96, "flow", "pressure"))
    facts = data_facts(sensor, plant.days(4), usecase, tmp_path)
    assert {fact.outcome for fact in facts} == {"ok"}
    # No contract is configured, and the other five judge each of the four windows.
    names = ("freshness", "completeness", "gaps", "frozen", "out_of_range")
    assert [fact.check for fact in facts] == [name for name in names for _ in range(4)]


def test_a_check_that_is_off_says_nothing(plant: Any, tmp_path: Path) -> None:
    usecase = plant.usecase({"freshness": None, "completeness": None, "out_of_range": None, "contract": None})
    assert data_facts(plant.sensor(plant.rows(24, "flow")), plant.days(1), usecase, tmp_path) == ()


def test_the_age_of_the_newest_reading_counts_from_the_windows_end(
    plant: Any, usecase: UseCase, tmp_path: Path
) -> None:
    sensor = plant.sensor(plant.rows(15, "flow", "pressure"))
    first, second = judged(data_facts(sensor, plant.days(2), usecase, tmp_path), "freshness")
    assert (first.outcome, first.value, first.limit, first.unit) == ("breach", 10 * 3600, 6 * 3600, "s")
    assert second.value == 34 * 3600
    assert "10 h old" in first.reason
    assert "limit 6 h" in first.reason
    assert first.spare is not None
    assert first.spare < 0


def test_any_tag_keeps_an_asset_fresh_but_not_a_shared_table(plant: Any, tmp_path: Path) -> None:
    sources = {
        "sensors": {"path": "{asset_id}.csv", "index": "ts", "tags": {"flow": {}}},
        "weather": {"path": "weather.csv", "index": "ts", "tags": {"wind": {}}},
    }
    usecase = plant.usecase(data={"sources": sources})
    frame = plant.rows(24, "flow", "wind")
    frame.loc[frame.index[10:], "flow"] = np.nan
    (fact,) = judged(data_facts(plant.sensor(frame), plant.days(1), usecase, tmp_path), "freshness")
    assert (fact.outcome, fact.about) == ("breach", "flow")


def test_an_asset_without_any_data_breaches(plant: Any, usecase: UseCase, tmp_path: Path) -> None:
    sensor = plant.sensor(plant.rows(0), window=Window(plant.start - pd.Timedelta(days=2), None))
    facts = data_facts(sensor, plant.days(1), usecase, tmp_path)
    found = {fact.check: fact for fact in facts}
    assert found["freshness"].outcome == "breach"
    assert "no reading of any tag in the 3 d" in found["freshness"].reason
    assert (found["completeness"].outcome, found["completeness"].value) == ("breach", 0.0)
    assert found["gaps"].outcome == "breach"
    assert found["out_of_range"].outcome == "unknown"


def test_completeness_is_that_of_the_worst_tag_that_must_be_there(plant: Any, tmp_path: Path) -> None:
    tags = {"flow": {}, "pressure": {}, "extra": {"optional": True}}
    usecase = plant.usecase(data={"sources": {"s": {"path": "{asset_id}.csv", "index": "ts", "tags": tags}}})
    frame = plant.rows(48, "flow", "pressure", "extra")
    frame.loc[frame.index[20:32], "pressure"] = np.nan
    frame["extra"] = np.nan
    first, second = judged(data_facts(plant.sensor(frame), plant.days(2), usecase, tmp_path), "completeness")
    assert (first.about, first.value, first.limit) == ("pressure", pytest.approx(20 / 24), 0.9)
    assert first.details == {"flow": 1.0, "pressure": pytest.approx(20 / 24), "extra": 0.0}
    assert second.outcome == "breach"
    assert first.reason == "83.3% of the bins have a value of pressure, limit 90%"


def test_rows_that_never_came_are_missing_bins(plant: Any, usecase: UseCase, tmp_path: Path) -> None:
    frame = plant.rows(24, "flow").iloc[:12]
    (fact,) = judged(data_facts(plant.sensor(frame), plant.days(1), usecase, tmp_path), "completeness")
    assert fact.value == 0.5


def test_native_sources_are_judged_by_their_median_step(plant: Any, tmp_path: Path) -> None:
    usecase = plant.usecase(data={"resolution": "native"})
    frame = pd.concat([plant.rows(36, "flow"), plant.rows(24, "flow", start=plant.start + pd.Timedelta(days=2))])
    facts = judged(data_facts(plant.sensor(frame), plant.days(3), usecase, tmp_path), "completeness")
    assert [fact.value for fact in facts] == [1.0, 0.5, 1.0]


def test_a_gap_is_measured_from_before_the_window(plant: Any, usecase: UseCase, tmp_path: Path) -> None:
    frame = plant.rows(72, "flow")
    frame.loc[frame.index[20:30], "flow"] = np.nan
    facts = judged(data_facts(plant.sensor(frame), plant.days(3), usecase, tmp_path), "gaps")
    assert [fact.value for fact in facts] == [5 * 3600, 11 * 3600, 3600]
    assert facts[1].reason == "11 h without a value of flow, limit 3 h"


def test_a_frozen_tag_counts_only_in_operation(plant: Any, usecase: UseCase, tmp_path: Path) -> None:
    frame = plant.rows(48, "flow", "pressure")
    frame.iloc[2:10, 0] = 7.0
    frame.iloc[30:40, 0] = 0.0
    frame["valve"] = 1.0
    mask = frame["flow"].ne(0.0)
    first, second = judged(data_facts(plant.sensor(frame), plant.days(2), usecase, tmp_path, mask=mask), "frozen")
    assert (first.outcome, first.about, first.value) == ("breach", "flow", 7 * 3600)
    assert second.outcome == "ok"
    assert first.reason.startswith("flow stood still for 7 h in operation, limit 4 h")
    assert first.details["valve"] == 23 * 3600  # shown, but a valve may stay where it is


def test_a_window_without_a_reading_in_operation_tells_nothing_of_frozen_tags(
    plant: Any, usecase: UseCase, tmp_path: Path
) -> None:
    frame = plant.rows(72, "flow", "pressure")
    mask = pd.Series(True, index=frame.index)
    frame.iloc[24:48] = float("nan")  # nothing was read
    mask.iloc[48:] = False  # nothing ran
    facts = judged(data_facts(plant.sensor(frame), plant.days(3), usecase, tmp_path, mask=mask), "frozen")
    assert [fact.outcome for fact in facts] == ["ok", "unknown", "unknown"]
    assert facts[1].reason == facts[2].reason == "there is no reading in operation"


def test_a_sensor_that_died_before_the_frame_began_is_frozen_if_it_used_to_move(
    plant: Any, usecase: UseCase, tmp_path: Path
) -> None:
    frame = plant.rows(24, "flow").assign(pressure=3.0, valve=1.0)
    (fact,) = judged(data_facts(plant.sensor(frame), plant.days(1), usecase, tmp_path), "frozen")
    assert fact.outcome == "ok"
    assert "not judged, as they hardly move: pressure, valve" in fact.reason
    moving = ["flow", "pressure"]
    (fact,) = judged(data_facts(plant.sensor(frame), plant.days(1), usecase, tmp_path, moving=moving), "frozen")
    assert (fact.outcome, fact.about) == ("breach", "pressure")


def test_text_and_impossible_readings_are_counted_in_their_window(plant: Any, tmp_path: Path) -> None:
    usecase = plant.usecase(
        data={
            "sources": {
                "sensors": {
                    "path": "{asset_id}.csv",
                    "index": "ts",
                    "tags": {"flow": {"range": [0, 100]}, "pressure": {"nulls": ["No Data"]}},
                }
            }
        }
    )
    times = pd.date_range(plant.start, periods=48 * 4, freq="15min")
    raw = pd.DataFrame({"ts": times, "flow": 50.0, "pressure": "3.5"})
    raw.loc[96 + 4 : 96 + 4 + 11, "flow"] = 500.0
    raw.loc[:9, "pressure"] = "I/O Timeout"
    raw.loc[10:29, "pressure"] = "No Data"
    raw.to_csv(tmp_path / "P-1.csv", index=False)
    sensor = read_frame(usecase, Asset("P-1"), Window(plant.start, plant.start + pd.Timedelta(days=2)), tmp_path)
    first, second = judged(data_facts(sensor, plant.days(2), usecase, tmp_path), "out_of_range")
    # What the plant lists as "no value" is no reading: ten words among 86 readings.
    assert (first.about, first.value) == ("pressure", pytest.approx(10 / (96 - 20)))
    assert first.details["flow"] == 0.0
    assert (second.outcome, second.about, second.value) == ("breach", "flow", pytest.approx(12 / 96))
    assert second.reason == "12.5% of the readings of flow are outside of its range, limit 1%"
    assert (first.rows, second.rows) == (96, 96)


SUITE = {
    "name": "sensors",
    "meta": {},
    "expectations": [
        {
            "type": "expect_column_values_to_be_between",
            "severity": "critical",
            "kwargs": {"column": "flow", "min_value": 0, "max_value": 50},
        },
        {
            "type": "expect_read_issues_to_be_at_most",
            "severity": "critical",
            "kwargs": {"kind": "unexpected_text", "max_count": 2},
        },
        {
            "type": "expect_column_max_to_be_between",
            "severity": "warning",
            "kwargs": {"column": "flow", "max_value": 1},
        },
    ],
}


def test_the_contract_judges_each_window_with_its_own_issues(plant: Any, tmp_path: Path) -> None:
    (tmp_path / "suite.json").write_text(json.dumps(SUITE))
    usecase = plant.usecase(contract={"suite": "suite.json"})
    raw = pd.DataFrame({"ts": pd.date_range(plant.start, periods=72, freq="h"), "flow": "10"})
    raw.loc[30:33, "flow"] = "Bad"
    raw.loc[60, "flow"] = "99"
    raw.to_csv(tmp_path / "P-1.csv", index=False)
    sensor = read_frame(usecase, Asset("P-1"), Window(plant.start, plant.start + pd.Timedelta(days=4)), tmp_path)
    facts = judged(data_facts(sensor, plant.days(4), usecase, tmp_path), "contract")
    assert [fact.outcome for fact in facts] == ["ok", "breach", "breach", "unknown"]
    assert [fact.value for fact in facts] == [0.0, 1.0, 1.0, None]
    assert "text" in facts[1].reason
    assert facts[2].about == "flow"
    assert facts[0].details == {"critical": 0.0, "warning": 1.0, "info": 0.0}


def test_a_broken_suite_is_unknown_and_the_other_checks_go_on(plant: Any, tmp_path: Path) -> None:
    (tmp_path / "suite.json").write_text("{")
    usecase = plant.usecase(contract={"suite": "suite.json"})
    facts = data_facts(plant.sensor(plant.rows(24, "flow")), plant.days(1), usecase, tmp_path)
    (contract,) = judged(facts, "contract")
    assert contract.outcome == "unknown"
    assert "suite.json" in contract.reason
    assert judged(facts, "completeness")[0].outcome == "ok"


def test_steps_are_counted_in_steps(plant: Any, tmp_path: Path) -> None:
    usecase = plant.usecase(
        {"gaps": {"max": 5}},
        data={"index": "step", "resolution": "native"},
        monitor={"window": 10, "checks": {"gaps": {"max": 5}}},
    )
    frame = pd.DataFrame({"flow": np.arange(30.0)}, index=pd.RangeIndex(30, name="step"))
    frame.loc[12:18, "flow"] = np.nan
    facts = data_facts(plant.sensor(frame), [Window(0, 10), Window(10, 20), Window(20, 30)], usecase, tmp_path)
    gaps = judged(facts, "gaps")
    assert [(fact.outcome, fact.value, fact.unit) for fact in gaps] == [
        ("ok", 1.0, "steps"),
        ("breach", 8.0, "steps"),
        ("ok", 1.0, "steps"),
    ]
    assert gaps[1].reason == "8 steps without a value of flow, limit 5 steps"


@given(
    holes=st.lists(st.integers(0, 95), max_size=60),
    chosen=st.sets(st.integers(0, 3), min_size=1),
    seed=st.integers(0, 5),
)
def test_facts_of_a_window_do_not_depend_on_which_others_are_asked(
    plant: Any, holes: list[int], chosen: set[int], seed: int
) -> None:
    usecase = plant.usecase(ALL)
    frame = plant.rows(96, "flow", "pressure", seed=seed)
    frame.iloc[holes, 0] = np.nan
    sensor, days = plant.sensor(frame), plant.days(4)
    alone = data_facts(sensor, [days[place] for place in sorted(chosen, reverse=True)], usecase, Path())
    together = {(fact.check, fact.window): fact for fact in data_facts(sensor, days, usecase, Path())}
    assert all(together[fact.check, fact.window] == fact for fact in alone)


@given(holes=st.sets(st.integers(0, 47)), more=st.sets(st.integers(0, 47)))
def test_more_nulls_never_raise_completeness_nor_shorten_gaps(plant: Any, holes: set[int], more: set[int]) -> None:
    usecase = plant.usecase({"gaps": {"max": "3h"}})
    frame = plant.rows(48, "flow")
    few, many = frame.copy(), frame.copy()
    few.iloc[sorted(holes), 0] = np.nan
    many.iloc[sorted(holes | more), 0] = np.nan
    before, after = (data_facts(plant.sensor(one), plant.days(2), usecase, Path()) for one in (few, many))
    for one, other in zip(judged(before, "completeness"), judged(after, "completeness"), strict=True):
        assert (other.value or 0) <= (one.value or 0)
    for one, other in zip(judged(before, "gaps"), judged(after, "gaps"), strict=True):
        assert (other.value or 0) >= (one.value or 0)


def test_the_order_of_tags_does_not_matter(plant: Any, usecase: UseCase, tmp_path: Path) -> None:
    frame = plant.rows(48, "flow", "pressure", "speed")
    frame.iloc[10:20, 1] = np.nan
    one = data_facts(plant.sensor(frame), plant.days(2), usecase, tmp_path)
    other = data_facts(plant.sensor(frame[["speed", "pressure", "flow"]]), plant.days(2), usecase, tmp_path)
    figures = [(fact.check, fact.outcome, fact.value, dict(fact.details)) for fact in one]
    assert figures == [(fact.check, fact.outcome, fact.value, dict(fact.details)) for fact in other]


def test_labels_and_joined_columns_are_no_sensors(plant: Any, tmp_path: Path) -> None:
    sources = {
        "sensors": {"path": "{asset_id}.csv", "index": "ts", "tags": {"flow": {}, "event": {"role": "label"}}},
        "visits": {"path": "visits.csv", "asset": "pump", "index": "on", "join": "asof"},
    }
    usecase = plant.usecase(data={"sources": sources})
    frame = plant.rows(24, "flow").assign(event=np.nan, **{"visits.insulation": np.nan})
    sensor = replace(plant.sensor(frame), roles={"event": "label"})
    (fact,) = judged(data_facts(sensor, plant.days(1), usecase, tmp_path), "completeness")
    assert (fact.outcome, list(fact.details)) == ("ok", ["flow"])
