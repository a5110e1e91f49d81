"""The scores table: what is written is read back, later scores supersede, the same scores are written once."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

from datadriver.data.window import Window
from datadriver.errors import UnavailableError
from datadriver.serving.scores import Stretch, read_scores, write_scores

MONDAY = datetime(2026, 3, 2, tzinfo=UTC)
TUESDAY = datetime(2026, 3, 3, tzinfo=UTC)


def stretch(asset="15/9-F-1 C", *, start="2026-03-01T23:40Z", rows=6, score=1.0, version=1, model="m", step=None):  # noqa: PLR0913
    if step is None:
        index = pd.date_range(start, periods=rows, freq="10min", tz="UTC", unit="us", name="time")
    else:
        index = pd.RangeIndex(step, step + rows, name="step")
    frame = pd.DataFrame({"score": score, "actual": np.nan, "residual": np.nan, "alarm": False}, index=index)
    return Stretch(asset, model, asset, version, "model", f"key{version}", "pass", "", Window(), frame)


def test_scores_are_read_back_with_everything_that_explains_them(tmp_path):
    write_scores(str(tmp_path), [stretch(), stretch("P-2", version=4)], now=MONDAY)
    found = read_scores(str(tmp_path))
    assert list(found.columns) == [
        *("unit", "model", "asset_id", "time", "score", "actual", "residual", "alarm"),
        *("version", "role", "result_key", "verdict", "reason", "written_at"),
    ]
    assert list(found["asset_id"].unique()) == ["15/9-F-1 C", "P-2"]
    assert found["time"].dtype == "datetime64[us, UTC]"
    assert found["score"].eq(1.0).all()
    assert found["actual"].isna().all()
    assert set(found["written_at"]) == {pd.Timestamp(MONDAY)}


def test_a_file_holds_a_day_of_a_group_of_assets(tmp_path):
    write_scores(str(tmp_path), [stretch(), stretch("P-2"), stretch("P-3")])
    assert sorted(path.parent.name for path in tmp_path.rglob("*.parquet")) == ["day=2026-03-01", "day=2026-03-02"]


def test_a_later_score_supersedes_and_both_stay_on_record(tmp_path):
    write_scores(str(tmp_path), [stretch(score=1.0)], now=MONDAY)
    write_scores(str(tmp_path), [stretch(score=2.0, rows=2)], now=TUESDAY)
    assert list(read_scores(str(tmp_path))["score"]) == [2.0, 2.0, 1.0, 1.0, 1.0, 1.0]
    assert len(read_scores(str(tmp_path), latest=False)) == 8


def test_writing_the_same_scores_again_changes_nothing(tmp_path):
    write_scores(str(tmp_path), [stretch()], now=MONDAY)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.parquet")}
    write_scores(str(tmp_path), [stretch()], now=TUESDAY)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.parquet")} == before


def test_how_old_the_data_were_when_they_were_scored_makes_no_other_scores(tmp_path):
    for age in ("6h 1min", "6h 2min"):
        write_scores(str(tmp_path), [replace(stretch(), verdict="warn", reason=f"the last value is {age} old")])
    assert len(read_scores(str(tmp_path), latest=False)) == 6


def test_what_a_killed_process_left_half_written_goes_after_a_while(tmp_path):
    day = tmp_path / "day=2026-03-01"
    day.mkdir()
    dead, young = day / ".scores-1.parquet.part", day / ".scores-2.parquet.part"
    for draft in (dead, young):
        draft.touch()
    os.utime(dead, (time.time() - 2 * 3600,) * 2)
    write_scores(str(tmp_path), [stretch()])
    assert not dead.exists()
    assert young.exists()


def test_only_the_asked_assets_models_and_instants_are_read(tmp_path):
    write_scores(str(tmp_path), [stretch("P-1"), stretch("P-2"), stretch("P-2", model="n")])
    window = Window(pd.Timestamp("2026-03-01T23:50Z"), pd.Timestamp("2026-03-02T00:10Z"))
    found = read_scores(str(tmp_path), assets=["P-2"], models=["n"], window=window)
    assert list(found["time"]) == list(pd.date_range("2026-03-01T23:50Z", periods=2, freq="10min"))
    assert set(found["model"]) == {"n"}


def test_steps_are_kept_as_steps(tmp_path):
    write_scores(str(tmp_path), [stretch(step=998, rows=4)])
    assert list(read_scores(str(tmp_path), window=Window(999, 1001))["step"]) == [999, 1000]
    assert sorted(path.parent.name for path in tmp_path.rglob("*.parquet")) == ["steps=0", "steps=1000"]


def test_nothing_scored_yet_is_an_empty_frame(tmp_path):
    found = read_scores(str(tmp_path / "nowhere"))
    assert found.empty
    assert "score" in found.columns


def test_stretches_without_rows_write_no_file(tmp_path):
    write_scores(str(tmp_path), [stretch(rows=0)])
    assert not list(tmp_path.rglob("*.parquet"))


def test_a_place_that_cannot_be_written_leaves_no_draft_behind(tmp_path):
    (tmp_path / "day=2026-03-01").write_text("in the way")
    with pytest.raises(UnavailableError, match="could not be written"):
        write_scores(str(tmp_path), [stretch()])
    assert not list(tmp_path.rglob("*.part"))


def test_a_url_works_as_a_path():
    write_scores("memory://scores-test", [stretch()])
    assert len(read_scores("memory://scores-test")) == 6


def test_a_draft_of_a_killed_writer_is_not_read(tmp_path):
    write_scores(str(tmp_path), [stretch()])
    file = next(tmp_path.rglob("*.parquet"))
    file.with_name(f".{file.name}.part").write_bytes(b"half")
    assert len(read_scores(str(tmp_path))) == 6
