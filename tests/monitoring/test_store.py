"""Facts and readings as Parquet: read back as they were written, once, the latest counts."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pandas as pd
import pytest

from datadriver.data.window import Window
from datadriver.errors import UnavailableError
from datadriver.monitoring.facts import Fact, Subject
from datadriver.monitoring.rules import Terms, fold
from datadriver.monitoring.store import (
    fact_of,
    memory_of,
    read_facts,
    read_series,
    row_digest,
    write_facts,
    write_series,
)

MONDAY = datetime(2026, 3, 2, tzinfo=UTC)
TUESDAY = datetime(2026, 3, 3, tzinfo=UTC)


def day(number):
    return Window(
        pd.Timestamp(2026, 3, number, tz="UTC").as_unit("us"), pd.Timestamp(2026, 3, number + 1, tz="UTC").as_unit("us")
    )


def facts(count=4, *, asset="15/9-F-1 C", outcome="breach", **changes):
    fact = Fact(
        Subject(asset, asset, "wear"),
        "drift",
        day(1),
        outcome,
        value=0.31,
        limit=0.2,
        unit="PSI",
        about="flow",
        rows=144,
        reason="PSI of flow 0.31, limit 0.2",
        version=3,
        details={"flow": 0.31, "current": None},
        spare=-0.55,
    )
    return [replace(fact, window=day(1 + place), **changes) for place in range(count)]


def judged(*arguments, **changes):
    return list(fold(facts(*arguments, **changes), Terms()).judged)


def test_facts_are_read_back_with_their_states_and_what_is_remembered(tmp_path):
    rows = judged()
    write_facts(str(tmp_path), rows)
    found = read_facts(str(tmp_path))
    assert list(found["state"]) == ["pending", "pending", "alarm", "alarm"]
    assert found["window_start"].dtype == "datetime64[us, UTC]"
    stored = found.to_dict("records")
    assert [fact_of(row) for row in stored] == [row.fact for row in rows]
    assert [memory_of(row) for row in stored] == [row.memory for row in rows]
    assert list(found["digest"]) == [row_digest(row) for row in rows]


def test_checks_of_data_have_no_version_and_steps_stay_whole_numbers(tmp_path):
    fact = Fact(Subject("P-1"), "gaps", Window(0, 100), "unknown", reason="no rows")
    rows = list(fold([fact, replace(fact, window=Window(100, 200), outcome="breach")], Terms()).judged)
    write_facts(str(tmp_path), rows)
    found = read_facts(str(tmp_path), window=Window(100, 1000)).to_dict("records")
    assert [fact_of(row) for row in found] == [rows[1].fact]
    assert memory_of(found[0]) == rows[1].memory
    assert (found[0]["window_end"], found[0]["unit"], found[0]["model"]) == (200, "", "")


def test_the_latest_written_counts_and_the_same_again_changes_nothing(tmp_path):
    write_facts(str(tmp_path), judged(), now=MONDAY)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.parquet")}
    write_facts(str(tmp_path), judged(), now=TUESDAY)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.parquet")} == before
    write_facts(str(tmp_path), judged(2, outcome="ok"), now=TUESDAY)
    assert list(read_facts(str(tmp_path))["outcome"]) == ["ok", "ok", "breach", "breach"]


def test_only_the_asked_assets_and_windows_are_read(tmp_path):
    write_facts(str(tmp_path), judged() + judged(asset="P-2"))
    found = read_facts(str(tmp_path), assets=["P-2"], window=Window(day(2).start, day(4).start))
    assert list(found["window_start"]) == [day(2).start, day(3).start]
    assert set(found["asset_id"]) == {"P-2"}


def test_nothing_monitored_yet_is_an_empty_frame_with_its_columns(tmp_path):
    found = read_facts(str(tmp_path / "nowhere"))
    assert found.empty
    assert {"asset_id", "state", "reason", "written_at"} <= set(found.columns)
    assert read_series(str(tmp_path / "nowhere")).empty
    write_facts(str(tmp_path), [])
    assert not list(tmp_path.rglob("*.parquet"))


def test_a_row_changes_its_digest_with_anything_that_is_stored():
    row = judged(1)[0]
    changes = [
        replace(row, fact=replace(row.fact, reason="other")),
        replace(row, fact=replace(row.fact, details={})),
        replace(row, state="ok"),
        replace(row, severity="info"),
        replace(row, memory=replace(row.memory, recent="bb")),
    ]
    assert len({row_digest(one) for one in [row, *changes]}) == 1 + len(changes)


def buckets(mean=1.0):
    stamps = pd.date_range("2026-03-01", periods=3, freq="h", tz="UTC", unit="us")
    return pd.DataFrame(
        {"asset_id": "P-1", "tag": "flow", "time": stamps, "mean": mean, "min": 0.0, "max": 2.0, "rows": 6}
    )


def test_readings_are_read_back_and_later_ones_count(tmp_path):
    write_series(str(tmp_path), buckets())
    write_series(str(tmp_path), buckets())
    assert len(list(tmp_path.rglob("*.parquet"))) == 1
    write_series(str(tmp_path), buckets(3.0).iloc[1:])
    found = read_series(str(tmp_path), assets=["P-1"], window=Window(None, pd.Timestamp("2026-03-01T02:00Z")))
    assert list(found["mean"]) == [1.0, 3.0]
    assert list(found["rows"]) == [6, 6]


def test_a_place_that_cannot_be_written_is_said_and_leaves_no_draft(tmp_path):
    (tmp_path / "facts").write_text("in the way")
    with pytest.raises(UnavailableError, match="facts of monitoring could not be written"):
        write_facts(str(tmp_path), judged())
    assert not list(tmp_path.rglob("*.part"))
