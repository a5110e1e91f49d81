"""Labels: an event in (t, t + horizon], known only once the horizon has passed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datadriver.config.fleet import Asset, Instance
from datadriver.config.sections import Target
from datadriver.data.frame import SensorFrame
from datadriver.data.window import Window
from datadriver.errors import ConfigError, DataError
from datadriver.training.targets import class_labels, event_labels, horizon, number_labels, observed_until

steps = st.lists(st.integers(0, 200), max_size=40, unique=True).map(lambda own: pd.Index(sorted(own), dtype="int64"))


@given(index=steps, events=steps, span=st.integers(1, 50), end=st.integers(0, 250))
def test_a_row_is_positive_if_and_only_if_an_event_lies_in_its_open_closed_horizon(
    index: pd.Index, events: pd.Index, span: int, end: int
) -> None:
    labels = event_labels(index, events, span, end=end)
    for step, label, event in zip(index, labels.values, labels.events, strict=True):
        ahead = [number for number, at in enumerate(events) if step < at <= step + span]
        if step + span > end:
            assert np.isnan(label)
            assert event == -1
        else:
            assert label == bool(ahead)
            assert event == (ahead[0] if ahead else -1)


def test_times_and_steps_are_labelled_alike() -> None:
    index = pd.date_range("2025-01-01", periods=6, freq="h", tz="UTC", unit="us")
    labels = event_labels(index, index[[3, 3]], timedelta(hours=2), end=index[-1])
    assert labels.values.tolist()[:4] == [0, 1, 1, 0]
    assert labels.values.isna().tolist() == [False] * 4 + [True] * 2


def sensors(asset: str, last: int) -> SensorFrame:
    return SensorFrame(Asset(asset), pd.DataFrame({"x": 1.0}, index=pd.RangeIndex(last + 1, name="step")))


def test_with_steps_an_asset_whose_life_ended_with_an_event_is_known_to_the_end() -> None:
    target = Target(events="failures", horizon=5)
    failed, running = pd.DataFrame(index=pd.Index([90])), pd.DataFrame(index=pd.Index([10]))
    assert observed_until([sensors("A", 90), sensors("B", 60)], [failed, running], target) == (None, 60)


def test_with_times_the_clock_of_the_whole_unit_counts(make_frame: Callable[..., SensorFrame]) -> None:
    short, long = make_frame("A", rows=100), make_frame("B", rows=300)
    target = Target(events="failures", horizon="6h")
    assert observed_until([short, long], [None, None], target) == (long.frame.index[-1],) * 2
    asked = Window(None, pd.Timestamp("2025-02-01", tz="UTC"))
    assert observed_until([replace(short, window=asked)], [None], target) == (asked.end,)
    assert observed_until([short], [None], Target(column="load")) == (None,)


def test_labels_near_the_end_wait_for_events_that_are_entered_late(make_frame: Callable[..., SensorFrame]) -> None:
    sensor = make_frame("A", rows=300)
    at = sensor.frame.index[[10, 50, 90, 130, 170]]
    late = pd.to_timedelta([1, 2, 3, 4, 90], unit="h")
    log = pd.DataFrame({"known_at": at + late}, index=at)
    target = Target(events="failures", horizon="6h")
    assert observed_until([sensor], [log], target) == (sensor.frame.index[-1] - timedelta(hours=4),)
    assert observed_until([sensor], [log.assign(known_at=at)], target) == (sensor.frame.index[-1],)


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (Target(events="f", horizon="1d"), timedelta(days=1)),
        (Target(events="f", horizon=30), 30),
        (Target.model_construct(events="f", horizon="12"), 12),
        (Target(column="x"), 0),
        (None, 0),
    ],
)
def test_a_horizon_is_read_from_text_too(target: Target | None, expected: Any) -> None:
    assert horizon(target) == expected


@pytest.fixture
def classes(make_instance: Callable[..., Instance], sections: dict[str, Any]) -> Callable[..., list[float]]:
    def label(values: list[Any], **target: Any) -> list[float]:
        instance = make_instance({**sections["anomaly"], "target": {"column": "state", **target}})
        return class_labels(
            SensorFrame(Asset("A"), pd.DataFrame({"state": values})), instance, None, None
        ).values.tolist()

    return label


def test_every_value_but_zero_is_positive_unless_said_otherwise(classes: Callable[..., list[float]]) -> None:
    assert classes([0.0, 2.0, np.nan, -1.0])[:2] == [0, 1]
    assert np.isnan(classes([0.0, 2.0, np.nan, -1.0])[2])
    assert classes([0.0, 2.0, 102.0], positive=[2]) == [0, 1, 0]
    assert classes(["ok", "worn", None], positive=["worn"])[:2] == [0, 1]
    assert np.isnan(classes(["ok", "worn", None], positive=["worn"])[2])


def test_text_needs_to_be_told_which_values_count(classes: Callable[..., list[float]]) -> None:
    with pytest.raises(ConfigError, match="say which values count in `positive`"):
        classes(["ok", "worn"])


def test_a_misspelt_target_names_the_nearest_tag(
    make_frame: Callable[..., SensorFrame], make_instance: Callable[..., Instance], sections: dict[str, Any]
) -> None:
    instance = make_instance({**sections["regression"], "target": {"column": "temprature"}})
    with pytest.raises(DataError, match="no tag 'temprature'; did you mean 'temperature'"):
        number_labels(make_frame(), instance)


def test_a_text_column_is_no_number(
    make_frame: Callable[..., SensorFrame], make_instance: Callable[..., Instance], sections: dict[str, Any]
) -> None:
    instance = make_instance({**sections["regression"], "target": {"column": "state"}})
    with pytest.raises(ConfigError, match="'state' is text; regression needs a number"):
        number_labels(make_frame(), instance)
