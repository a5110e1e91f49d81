"""The two real fleets, as published: what is known to be odd about them is found, and nothing else."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from datadriver.config.fleet import Asset
from datadriver.data.fingerprint import extent
from datadriver.data.frame import SensorFrame
from datadriver.data.read import read_frame
from datadriver.data.window import Window

FOLDER = Path(os.environ.get("DATADRIVER_DATA", "-"))
pytestmark = [
    pytest.mark.fleet_data,
    pytest.mark.skipif(not FOLDER.is_dir(), reason="DATADRIVER_DATA does not name the folder of the real fleets"),
]

WELL_TAGS: dict[str, Any] = {
    **{name: {} for name in ("P-PDG", "P-TPT", "T-TPT", "T-JUS-CKGL")},
    "class": {"role": "label", "aggregate": "last", "fill": "none"},
    "instance_id": {"type": "text", "role": "meta"},
}


def well(usecase_of: Any, name: str, **data: Any) -> SensorFrame:
    source = {"path": "wells_3w/{asset_id}.parquet", "index": "timestamp", "tags": WELL_TAGS}
    return read_frame(usecase_of({"sensors": source}, **data), Asset(name), Window(), FOLDER)


ERA5 = {"path": "wind_la_haute_borne/era5_hourly.parquet", "index": "datetime", "tags": {"ws_100m": {}}}


def turbine(usecase_of: Any, name: str, window: Window, era5: Any = None, **more: Any) -> SensorFrame:
    tags = {"P_avg": {}, "Ws_avg": {}, "Ot_avg": {"nulls": [-273.2]}, "Ba_avg": {"range": [-100, 100]}}
    scada = {"path": "wind_la_haute_borne/{asset_id}.parquet", "index": "Date_time", "tags": tags, **more}
    sources = {"scada": scada} | ({"era5": era5} if era5 else {})
    return read_frame(usecase_of(sources, resolution="10min"), Asset(name), window, FOLDER)


def kinds(sensor: SensorFrame) -> dict[tuple[str | None, str], int]:
    return {(issue.tag, issue.kind): issue.count for issue in sensor.issues}


def test_three_stamps_of_well_1_are_there_twice(usecase_of: Any) -> None:
    sensor = well(usecase_of, "WELL-00001")
    assert kinds(sensor) == {(None, "duplicate"): 3}
    assert sensor.rows_read == {"sensors": 279_433}
    assert len(sensor.frame) == 279_430
    assert sensor.frame["T-JUS-CKGL"].isna().all()


def test_a_well_at_one_hertz_in_bins_keeps_its_label_and_its_recordings(usecase_of: Any) -> None:
    sensor = well(usecase_of, "WELL-00012", resolution="10s")
    assert set(sensor.frame["class"].dropna()) <= {0, 2, 102}
    assert sensor.frame["instance_id"].dropna().str.startswith("WELL-00012_").all()
    assert sensor.roles["class"] == "label"


def test_the_clock_changes_of_the_turbines_left_duplicates_and_gaps(usecase_of: Any) -> None:
    sensor = turbine(usecase_of, "R80721", Window())
    found = kinds(sensor)
    assert found[None, "duplicate"] == 12
    assert found[None, "gap"] == 2
    assert found["Ot_avg", "listed_null"] == 33  # of 34 in the file one is in a row that is there twice
    assert not sensor.frame["Ot_avg"].between(-273.3, -273.1).any()
    assert found["Ba_avg", "out_of_range"] == 2
    assert len(sensor.frame) == 2 * 365 * 144


def test_hourly_weather_in_utc_joins_the_turbines(usecase_of: Any) -> None:
    window = Window(pd.Timestamp("2015-06-01", tz="UTC"), pd.Timestamp("2015-06-02", tz="UTC"))
    sensor = turbine(usecase_of, "R80711", window, era5={**ERA5, "max_gap": "50min"})
    assert sensor.frame.shape == (144, 5)
    assert sensor.frame["ws_100m"].notna().all()
    assert sensor.frame["ws_100m"].iloc[:6].nunique() == 1
    assert sensor.rows_read == {"scada": 144, "era5": 24}


def test_the_clock_face_of_the_turbines_is_utc_whatever_their_offsets_say(usecase_of: Any) -> None:
    """Wind measured and wind in the weather model fit in both seasons only if the offsets are ignored."""
    ignored = turbine(usecase_of, "R80711", Window(), ERA5, options={"offsets": "ignore"})
    believed = turbine(usecase_of, "R80711", Window(), ERA5)
    for season in ([12, 1, 2], [6, 7, 8]):
        right, wrong = (s.frame[s.frame.index.month.isin(season)] for s in (ignored, believed))
        assert right["ws_100m"].corr(right["Ws_avg"]) > wrong["ws_100m"].corr(wrong["Ws_avg"])


def test_the_extent_of_a_well_is_that_of_its_recordings(usecase_of: Any) -> None:
    usecase = usecase_of({"s": {"path": "wells_3w/{asset_id}.parquet", "index": "timestamp"}})
    stamps = pd.read_parquet(FOLDER / "wells_3w" / "WELL-00002.parquet", columns=["timestamp"])["timestamp"]
    first, last = (stamp.tz_localize("UTC") for stamp in (stamps.min(), stamps.max()))
    assert extent(usecase, Asset("WELL-00002"), FOLDER) == Window(first, last + pd.Timedelta("1us"))
