"""Windows on their grid, readings in buckets, and which windows known work silences."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datadriver.config.fleet import Asset
from datadriver.config.sections import UseCase
from datadriver.data.frame import SensorFrame
from datadriver.data.window import Window, as_number, parse_instant
from datadriver.errors import DataError
from datadriver.monitoring.series import series
from datadriver.monitoring.silence import silent_windows
from datadriver.monitoring.windows import back, known_until, since_first_reading, whole_windows


def usecase(*, index="time", window=None, resolution=None, silence=(), sources=None):
    resolution = resolution or ("1h" if index == "time" else "native")
    return UseCase.model_validate(
        {
            "name": "tiny",
            "fleet": {"assets": "fleet.csv"},
            "data": {
                "index": index,
                "resolution": resolution,
                "sources": {"sensors": {"path": "sensors.csv", "format": "csv", "index": "ts"}, **(sources or {})},
            },
            "models": {"m": {"problem": "anomaly", "estimator": "tiny.models:e", "baseline": "tiny.models:b"}},
            "monitor": {"silence": list(silence), **({} if window is None else {"window": window})},
        }
    )


def at(text, case=None):
    return parse_instant(text, case or usecase())


def shown(windows):
    return [f"{one.start:%d %H}-{one.end:%d %H}" for one in windows]


def test_windows_start_at_multiples_of_their_length_and_only_whole_ones_count():
    days = whole_windows(usecase(), at("2026-03-01T06:00Z"), at("2026-03-04T05:59Z"))
    assert shown(days) == ["02 00-03 00", "03 00-04 00"]
    assert shown(whole_windows(usecase(window="8h"), at("2026-03-01T00:00Z"), at("2026-03-01T23:59Z"))) == [
        "01 00-01 08",
        "01 08-01 16",
    ]
    assert whole_windows(usecase(), at("2026-03-01T06:00Z"), at("2026-03-02T05:00Z")) == ()
    steps = usecase(index="step")
    assert whole_windows(steps, -50, 250) == (Window(0, 100), Window(100, 200))


def test_days_begin_at_midnight_utc_whatever_the_zone_and_its_clock_changes():
    case = usecase().model_copy(update={"data": usecase().data.model_copy(update={"timezone": "Europe/Paris"})})
    days = whole_windows(case, at("2026-03-28T00:00Z"), at("2026-03-31T00:00Z"))
    assert {one.end - one.start for one in days} == {pd.Timedelta(days=1)}


@given(st.integers(-(10**6), 10**6), st.integers(0, 10**5), st.integers(1, 5000))
def test_windows_cover_what_was_asked_for_without_gap_or_overlap(start, length, size):
    case = usecase(index="step", window=size)
    found = whole_windows(case, start, start + length)
    assert all(one.start % size == 0 and one.end - one.start == size for one in found)
    assert all(one.end == other.start for one, other in pairwise(found))
    if found:
        assert start <= found[0].start < start + size
        assert start + length - size < found[-1].end <= start + length
    else:
        assert length < 2 * size


def test_a_bin_is_known_when_a_reading_has_its_label_and_then_the_next_is_open():
    assert known_until(usecase(), at("2026-03-01T23:00Z")) == at("2026-03-02T00:00Z")
    assert known_until(usecase(), at("2026-03-01T22:59Z")) == at("2026-03-01T23:00Z")
    assert known_until(usecase(resolution="native"), at("2026-03-01T23:00Z")) == at("2026-03-01T23:00:00.000001Z")
    assert known_until(usecase(index="step"), 199) == 200


def test_the_first_run_looks_back_over_so_many_windows():
    assert back(usecase(), at("2026-03-09T08:00Z"), 14) == at("2026-02-23T00:00Z")
    assert back(usecase(index="step"), 250, 2) == 0


def test_windows_before_the_first_reading_do_not_count_nor_the_one_it_comes_late_in():
    days = whole_windows(usecase(), at("2026-03-01"), at("2026-03-05"))
    assert since_first_reading(usecase(), days, at("2026-03-03T02:00Z"))[0] == days[2]
    assert since_first_reading(usecase(), days, at("2026-03-03T03:00Z"))[0] == days[3]
    assert since_first_reading(usecase(index="step"), (Window(0, 100),), 1) == (Window(0, 100),)


def frame(hours=48, **columns):
    index = pd.date_range("2026-03-01", periods=hours, freq="h", tz="UTC", unit="us", name="time")
    return SensorFrame(Asset("P-1"), pd.DataFrame(columns, index=index))


def test_readings_are_drawn_in_24_buckets_a_window_with_nulls_left_out():
    flow = np.arange(48, dtype=float)
    flow[5] = np.nan
    case = usecase(window="2d", resolution="1h")
    found = series(frame(flow=flow, note=["x"] * 48), [Window(at("2026-03-01"), at("2026-03-03"))], case)
    assert set(found["tag"]) == {"flow"}
    assert len(found) == 24
    assert found.iloc[0][["mean", "min", "max", "rows"]].tolist() == [0.5, 0.0, 1.0, 2]
    assert found.iloc[2][["mean", "min", "max", "rows"]].tolist() == [4.0, 4.0, 4.0, 1]
    assert found["time"].iloc[1] == at("2026-03-01T02:00Z")


def test_a_tag_without_any_value_and_rows_outside_of_the_windows_are_not_drawn():
    table = frame(flow=np.arange(48.0), dead=np.full(48, np.nan))
    found = series(table, [Window(at("2026-03-02"), at("2026-03-03"))], usecase())
    assert set(found["tag"]) == {"flow"}
    assert found["min"].min() == 24
    assert series(table, [], usecase()).empty
    empty = SensorFrame(Asset("P-1"), table.frame.iloc[:0])
    assert series(empty, [Window(at("2026-03-02"), at("2026-03-03"))], usecase()).empty


WORKS = {"works": {"path": "works.csv", "format": "csv", "index": "done", "asset": "pump", "join": "none"}}


def silenced(root, rows, **silence):
    (root / "works.csv").write_text("pump,done,ended,kind,entered\n" + "\n".join(rows) + "\n", "utf-8")
    sources = {"works": {**WORKS["works"], **silence.pop("source", {})}}
    case = usecase(silence=[{"source": "works", **silence}], sources=sources)
    days = whole_windows(case, at("2026-03-01"), at("2026-03-08"))
    found = silent_windows(case, Asset("P-1"), days, root)
    return {f"{one.start.day}": text for one, text in found.items()}


def test_a_window_is_silent_that_overlaps_known_work(tmp_path):
    rows = ["P-1,2026-03-03T10:00,,repair,", "P-2,2026-03-05T10:00,,repair,"]
    assert silenced(tmp_path, rows) == {"3": "works, 2026-03-03 10:00 UTC"}
    assert list(silenced(tmp_path, rows, before="12h")) == ["2", "3"]
    assert list(silenced(tmp_path, rows, lasting="2d")) == ["3", "4", "5"]


def test_work_lasts_until_the_column_says_or_as_long_as_usual(tmp_path):
    rows = ["P-1,2026-03-02T10:00,2026-03-04T01:00,repair,", "P-1,2026-03-06T20:00,,repair,"]
    assert list(silenced(tmp_path, rows, until="ended", lasting="5h")) == ["2", "3", "4", "6", "7"]


def test_only_the_work_counts_that_was_asked_for(tmp_path):
    rows = ["P-1,2026-03-03T10:00,,repair,", "P-1,2026-03-05T10:00,,visit,", "P-1,2026-03-06T10:00,,,"]
    assert list(silenced(tmp_path, rows, where='kind == "repair"')) == ["3"]


def test_work_entered_later_does_not_change_what_was_said_before(tmp_path):
    rows = ["P-1,2026-03-03T10:00,,repair,2026-03-05T09:00"]
    known = {"known_at": "entered"}
    assert silenced(tmp_path, rows, lasting="3d", source=known) == {
        "5": "works, 2026-03-03 10:00 UTC",
        "6": "works, 2026-03-03 10:00 UTC",
    }


def test_a_column_that_is_not_there_is_said(tmp_path):
    with pytest.raises(DataError, match=r"works.*'endet'.*did you mean 'ended'"):
        silenced(tmp_path, ["P-1,2026-03-03T10:00,,repair,"], until="endet")


def test_numbers_of_instants_fit_the_grid():
    assert as_number(at("1970-01-02")) == timedelta(days=1) // timedelta(microseconds=1)
