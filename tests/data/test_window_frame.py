"""Windows, instants as people write them, and digests that only values change."""

from __future__ import annotations

import io
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest

from datadriver.config.fleet import Asset
from datadriver.data.frame import SensorFrame, frame_digest
from datadriver.data.window import Window, format_instant, parse_instant, shift
from datadriver.errors import ConfigError, DataError


@pytest.mark.parametrize(
    ("text", "zone", "written"),
    [
        ("2026-03-01", "Europe/Paris", "2026-02-28T23:00:00+00:00"),
        ("2026-03-01T06:00:00Z", "Europe/Paris", "2026-03-01T06:00:00+00:00"),
        ("2026-03-01T06:00:00-03:00", "UTC", "2026-03-01T09:00:00+00:00"),
        ("2026-10-25 02:30", "Europe/Paris", "2026-10-25T00:30:00+00:00"),
    ],
)
def test_naive_instants_are_in_the_zone_of_the_use_case(usecase_of: Any, text: str, zone: str, written: str) -> None:
    usecase = usecase_of({"s": {"path": "x.csv", "index": "ts"}}, timezone=zone)
    assert format_instant(parse_instant(text, usecase)) == written


def test_what_is_no_instant_is_an_error(usecase_of: Any) -> None:
    steps = usecase_of({"s": {"path": "x.csv", "index": "ts"}}, index="step")
    assert parse_instant("12", steps) == 12
    with pytest.raises(ConfigError, match="'2026-01-01' is not a step"):
        parse_instant("2026-01-01", steps)
    with pytest.raises(ConfigError, match="'yesterday-ish' is not a time"):
        parse_instant("yesterday-ish", usecase_of({"s": {"path": "x.csv", "index": "ts"}}))


def test_windows_are_half_open_and_never_empty() -> None:
    frame = pd.DataFrame({"a": range(10)}, index=range(10))
    assert Window(2, 5).slice(frame)["a"].tolist() == [2, 3, 4]
    assert Window(None, 2).starting_earlier(7) == Window(None, 2)
    with pytest.raises(DataError, match=r"window \[5, 5\) is empty"):
        Window(5, 5)
    with pytest.raises(ConfigError, match="different kinds"):
        Window(5, pd.Timestamp("2026-01-01", tz="UTC"))
    with pytest.raises(ConfigError, match="5 is a step, '1d' is not a length"):
        shift(5, timedelta(days=1))


def sensor_frame() -> pd.DataFrame:
    index = pd.date_range("2026-03-01", periods=4, freq="10min", tz="UTC", unit="us", name="time")
    return pd.DataFrame(
        {"a": [0.0, 1.5, np.nan, 2], "note": pd.Series(["x", None, "yz", ""], dtype="str", index=index)}, index
    )


def test_a_digest_survives_storage_units_layout_and_the_sign_of_zero() -> None:
    frame = sensor_frame()
    want = SensorFrame(Asset("P-1"), frame).digest()
    file = io.BytesIO()
    frame.to_parquet(file)
    negative = frame.assign(a=frame["a"].where(frame["a"] != 0, -0.0))
    nanoseconds = frame.set_axis(frame.index.as_unit("ns"))
    reordered = frame[["note", "a"]].copy()[["a", "note"]]
    for same in (pd.read_parquet(file), negative, nanoseconds, reordered, frame.iloc[::-1].iloc[::-1]):
        assert frame_digest(same) == want


def test_a_digest_changes_with_names_values_and_instants() -> None:
    frame = sensor_frame()
    others = [
        frame.rename(columns={"a": "b"}),
        frame.assign(a=frame["a"] + 1e-12),
        frame.assign(note=["xy", None, "z", ""]),
        frame.set_axis(frame.index + pd.Timedelta("1us")),
        frame.iloc[:-1],
        frame[["note", "a"]],
    ]
    assert len({frame_digest(other) for other in [frame, *others]}) == 7
