"""One clock for sources of any frequency: bins, holds, as-of joins, and columns that would collide."""

from __future__ import annotations

from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from datadriver.config.fleet import Asset
from datadriver.data.frame import SensorFrame
from datadriver.data.read import read_frame
from datadriver.data.window import Window
from datadriver.errors import ConfigError, DataError

ASSET = Asset("P-1")
Read = Callable[..., SensorFrame]


@pytest.fixture
def read(usecase_of: Any, tmp_path: Path) -> Read:
    """Write sources given as CSV text (`time` is minutes past 10:00 of a day) and read the frame of them."""

    def read(
        sources: dict[str, tuple[str, dict[str, Any]]], window: tuple[Any, Any] = (None, None), **data: Any
    ) -> SensorFrame:
        described = {}
        for name, (text, settings) in sources.items():
            table = pd.read_csv(StringIO("\n".join(line.replace(" ", "") for line in text.split("/"))))
            steps = data.get("index") == "step"
            for column in {"time", "known"} & set(table.columns):
                table[column] = table[column] if steps else [minute(value) for value in table[column]]
            table.to_parquet(tmp_path / f"{name}.parquet")
            described[name] = {"path": f"{name}.parquet", "index": "time", **settings}
        ends = window if data.get("index") == "step" else [None if end is None else minute(end) for end in window]
        return read_frame(usecase_of(described, **data), ASSET, Window(*ends), tmp_path)

    return read


def minute(value: float) -> pd.Timestamp | None:
    return None if pd.isna(value) else pd.Timestamp("2026-03-01 10:00", tz="UTC") + pd.Timedelta(minutes=value)


def shown(sensor: SensorFrame, column: str) -> dict[Any, Any]:
    """Minutes past 10:00 (or steps) and values, None for none."""
    values = [None if pd.isna(value) else value for value in sensor.frame[column]]
    index = sensor.frame.index
    if index.name == "time":
        index = (index - minute(0)) // pd.Timedelta("1min")
    return dict(zip(index, values, strict=True))


def test_a_bin_covers_what_came_after_the_label_before_up_to_its_own(read: Read) -> None:
    sensor = read({"s": ("time,v / 0,1 / 1,2 / 10,4 / 10.5,8 / 20,10", {})}, resolution="10min")
    assert shown(sensor, "v") == {0: 1, 10: 3, 20: 9}
    assert str(sensor.frame.index.dtype) == "datetime64[us, UTC]"
    assert sensor.frame.index.name == "time"


def test_a_bin_that_may_not_be_complete_is_not_reported_unless_the_window_ends_it(read: Read) -> None:
    source = {"s": ("time,v / 5,1 / 12,2", {})}
    assert shown(read(source, resolution="10min"), "v") == {10: 1}
    assert shown(read(source, (None, 21), resolution="10min"), "v") == {10: 1, 20: 2}
    assert shown(read(source, (None, 20), resolution="10min"), "v") == {10: 1}


def test_a_value_is_held_no_longer_than_max_gap_and_every_bin_is_there(read: Read) -> None:
    text = "time,held,dropped / 0,1,1 / 8,2,2 / 60,3,3"
    settings = {"max_gap": "25min", "tags": {"held": {}, "dropped": {"fill": "none"}}}
    sensor = read({"s": (text, settings)}, resolution="10min")
    assert shown(sensor, "held") == {0: 1, 10: 2, 20: 2, 30: 2, 40: None, 50: None, 60: 3}
    assert shown(sensor, "dropped") == {0: 1, 10: 2, 20: None, 30: None, 40: None, 50: None, 60: 3}
    assert [(i.kind, i.count, i.examples) for i in sensor.issues] == [
        ("gap", 1, ("2026-03-01T10:08:00+00:00 to 2026-03-01T11:00:00+00:00",))
    ]


def test_without_max_gap_nothing_is_held(read: Read) -> None:
    assert shown(read({"s": ("time,v / 0,1 / 30,3", {})}, resolution="10min"), "v") == {0: 1, 10: None, 20: None, 30: 3}


def test_what_describes_a_bin_is_not_held(read: Read) -> None:
    tags = {name: {"from": "v", "aggregate": name} for name in ("sum", "count", "std", "max")}
    sensor = read({"s": ("time,v / 1,1 / 2,3 / 30,5", {"tags": tags, "max_gap": "1h"})}, resolution="10min")
    assert shown(sensor, "max") == {10: 3, 20: 3, 30: 5}
    assert shown(sensor, "sum") == {10: 4, 20: None, 30: 5}
    assert shown(sensor, "count") == {10: 2, 20: 0, 30: 1}
    assert shown(sensor, "std") == {10: pytest.approx(2**0.5), 20: None, 30: None}


def test_a_frozen_sensor_has_frozen_means(read: Read) -> None:
    rows = "/".join(f"{i / 7},173.0961" for i in range(200))
    sensor = read({"s": ("time,v /" + rows, {})}, resolution="1min")
    assert sensor.frame["v"].nunique() == 1


def test_hourly_weather_joins_ten_minute_data(read: Read) -> None:
    sources = {"s": ("time,v / 0,1 / 50,2 / 60,3 / 130,4", {}), "weather": ("time,t / 0,10 / 60,11", {"max_gap": "1h"})}
    sensor = read(sources, (40, None), resolution="10min")
    assert list(shown(sensor, "t").items()) == [(50, 10), (60, 11), *[(m, 11) for m in range(70, 121, 10)], (130, None)]


def test_native_takes_the_instants_of_the_main_source(read: Read) -> None:
    main = ("time,v / 0,1 / 7,2 / 11,3 / 30,4", {})
    exact = read({"s": main, "o": ("time,w / 7,70 / 10,100", {})})
    assert shown(exact, "w") == {0: None, 7: 70, 11: None, 30: None}
    held = read({"s": main, "o": ("time,w / 7,70 / 10,100", {"max_gap": "5min"})})
    assert shown(held, "w") == {0: None, 7: 70, 11: 100, 30: None}


def test_steps_are_binned_and_held_like_times(read: Read) -> None:
    sensor = read({"s": ("time,v / 1,1 / 2,3 / 10,5", {"max_gap": 3})}, index="step", resolution=2)
    assert shown(sensor, "v") == {2: 2, 4: 2, 6: None, 8: None, 10: 5}
    native = read({"s": ("time,v / 1,1 / 2,3 / 9,5", {})}, (2, 9), index="step")
    assert shown(native, "v") == {2: 3}
    assert native.frame.index.dtype == "int64"
    assert native.frame.index.name == "step"


MAIN = ("time,v / 0,0 / 10,1 / 20,2 / 30,3 / 40,4 / 50,5", {})


def test_an_asof_join_takes_the_latest_row_that_was_known(read: Read) -> None:
    # Done at 2 but entered at 33, when the one done at 12 was known already.
    text = "time,known,cost,kind / 2,33,200,pump / 12,25,300,seal / 38,38,400,pump"
    settings = {"join": "asof", "known_at": "known"}
    sensor = read({"s": MAIN, "jobs": (text, settings)}, resolution="10min")
    assert shown(sensor, "jobs.cost") == {0: None, 10: None, 20: None, 30: 300, 40: 400, 50: 400}
    tags = {"work": {"from": "kind", "type": "text", "role": "meta"}, "when": {"from": "time", "unit": "s"}}
    sensor = read({"s": MAIN, "jobs": (text, {**settings, "tags": tags, "max_gap": "20min"})}, resolution="10min")
    assert shown(sensor, "work") == {0: None, 10: None, 20: None, 30: "seal", 40: "pump", 50: "pump"}
    assert shown(sensor, "when")[40] == minute(38).timestamp()
    assert (sensor.roles["work"], sensor.roles["v"], sensor.units) == ("meta", "sensor", {"when": "s"})


def test_planned_work_counts_before_its_time_only_if_the_future_is_kept(read: Read) -> None:
    def cost(**settings: Any) -> dict[Any, Any]:
        jobs = ("time,known,cost / 45,12,9", {"join": "asof", "known_at": "known", **settings})
        return shown(read({"s": MAIN, "jobs": jobs}, resolution="10min"), "jobs.cost")

    assert cost() == {0: None, 10: None, 20: None, 30: None, 40: None, 50: 9}
    assert cost(times={"future": "keep"}) == {0: None, 10: None, 20: 9, 30: 9, 40: 9, 50: 9}


def test_what_was_planned_before_a_window_stands_in_it_and_what_comes_too_late_never_does(read: Read) -> None:
    settings = {"join": "asof", "known_at": "known", "max_gap": "10min"}
    planned = ("time,known,cost / 45,12,9 / 38,38,4", {**settings, "times": {"future": "keep"}})
    assert shown(read({"s": MAIN, "jobs": planned}, (40, 51), resolution="10min"), "jobs.cost") == {40: 9, 50: 9}
    late = ("time,known,cost / 2,40,7", settings)
    assert shown(read({"s": MAIN, "jobs": late}, (40, 51), resolution="10min"), "jobs.cost") == {40: None, 50: None}


def test_readings_that_came_late_count_from_when_they_were_known(read: Read) -> None:
    lab = ("time,known,water / 0,35,0.2 / 20,40,0.3", {"known_at": "known", "max_gap": "1h"})
    assert shown(read({"s": MAIN, "lab": lab}, resolution="10min"), "water") == {
        0: None, 10: None, 20: None, 30: None, 40: pytest.approx(0.25), 50: pytest.approx(0.25),
    }  # fmt: skip


def test_labels_keep_their_text(read: Read) -> None:
    tags = {"state": {"type": "text", "role": "label"}, "v": {}}
    sensor = read(
        {"s": ("time,state,v / 1,run,1 / 9,stop,2 / 40,run,3", {"tags": tags, "max_gap": "20min"})}, resolution="10min"
    )
    assert shown(sensor, "state") == {10: "stop", 20: "stop", 30: None, 40: "run"}
    assert str(sensor.frame["state"].dtype) == "str"


def test_optional_tags_that_are_missing_are_empty_columns(read: Read) -> None:
    sensor = read({"s": ("time,v / 0,1", {"tags": {"v": {}, "torque": {"optional": True}}})})
    assert shown(sensor, "torque") == {0: None}
    assert [(i.tag, i.kind) for i in sensor.issues] == [("torque", "missing_tag")]


def test_columns_of_two_sources_must_not_collide(read: Read) -> None:
    with pytest.raises(
        ConfigError, match=r"sources.o: column 'v' comes from source 's' too; give one of them another name"
    ):
        read({"s": ("time,v / 0,1", {}), "o": ("time,v / 0,1", {})})


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"resolution": 5}, r"data.resolution: '5' does not fit an index of kind time; write a duration"),
        ({"resolution": "0s"}, r"data.resolution: '0s' is too short"),
        ({"index": "step", "resolution": "5min"}, r"data.resolution: '5min' does not fit an index of kind step"),
    ],
)
def test_lengths_must_fit_the_index(read: Read, data: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read({"s": ("time,v / 0,1", {})}, **data)


def test_one_source_must_give_the_clock(read: Read) -> None:
    with pytest.raises(ConfigError, match="one source has to give the clock"):
        read({"s": ("time,v / 0,1", {"join": "none"})})


def test_a_stamp_that_is_wrong_by_centuries_is_an_error_and_not_a_full_memory(read: Read) -> None:
    with pytest.raises(DataError, match="is a stamp wrong by years"):
        read({"s": ("time,v / 0,1 / 100000000,2", {})}, resolution="1s")


def test_duplicates_are_averaged_if_asked(read: Read) -> None:
    tags = {"v": {}, "t": {"type": "text"}}
    sensor = read({"s": ("time,v,t / 0,1,a / 0,,b / 0,4,c / 1,5,d", {"tags": tags, "times": {"duplicates": "mean"}})})
    assert (shown(sensor, "v"), shown(sensor, "t")) == ({0: 2.5, 1: 5}, {0: "c", 1: "d"})
    assert sensor.rows_read == {"s": 4}
