"""Event tables: rows as they are, and no event before it was known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from datadriver.config.fleet import Asset
from datadriver.data.events import read_events
from datadriver.errors import DataError

TABLE = """pump,done_on,entered_on,kind,cost
P-1,2026-03-05,2026-03-09,seal,10
P-1,2026-03-01,2026-03-01,motor,20
P-2,2026-03-02,,seal,5
P-1,2026-03-05,2026-03-05,motor,30
P-1,2026-04-20,2026-03-02,planned,40
"""


@pytest.fixture
def usecase(usecase_of: Any, tmp_path: Path) -> Any:
    (tmp_path / "jobs.csv").write_text(TABLE)
    source = {"path": "jobs.csv", "asset": "pump", "index": "done_on", "join": "none"}
    known = {**source, "known_at": "entered_on"}
    planned = {**known, "times": {"future": "keep"}}
    few = {**source, "tags": {"price": {"from": "cost", "range": [0, 25]}}}
    return usecase_of(
        {"jobs": source, "known": known, "planned": planned, "few": few, "wrong": {**source, "index": "on"}}
    )


def day(text: str) -> pd.Timestamp:
    return pd.Timestamp(text, tz="UTC")


def test_events_are_sorted_and_known_when_they_happen_unless_said_otherwise(usecase: Any, tmp_path: Path) -> None:
    jobs = read_events(usecase, "jobs", Asset("P-1"), tmp_path)
    assert jobs["cost"].tolist() == [20, 10, 30, 40]  # two on one day are two events
    assert list(jobs.columns) == ["known_at", "entered_on", "kind", "cost"]
    assert jobs.index.name == "time"
    assert jobs.index.tolist() == jobs["known_at"].tolist()


def test_only_what_was_known_before_is_given(usecase: Any, tmp_path: Path) -> None:
    def costs(source: str, before: str) -> list[int]:
        return read_events(usecase, source, Asset("P-1"), tmp_path, known_before=day(before))["cost"].tolist()

    assert costs("known", "2026-03-09") == [20, 30]
    assert costs("known", "2026-03-10") == [20, 30, 10]
    assert costs("planned", "2026-03-10") == [20, 30, 10, 40]
    assert costs("known", "2026-05-01") == [20, 30, 10, 40]
    known = read_events(usecase, "known", Asset("P-1"), tmp_path)
    assert list(known.columns) == ["known_at", "kind", "cost"]
    assert known["known_at"].tolist() == [day(d) for d in ("2026-03-01", "2026-03-05", "2026-03-09", "2026-04-20")]


def test_an_asset_without_events_has_an_empty_table(usecase: Any, tmp_path: Path) -> None:
    empty = read_events(usecase, "known", Asset("P-9"), tmp_path)
    assert empty.empty
    assert str(empty.index.dtype) == str(empty["known_at"].dtype) == "datetime64[us, UTC]"
    assert read_events(usecase, "known", Asset("P-2"), tmp_path).empty  # never entered: never known


def test_declared_tags_are_renamed_and_cleaned(usecase: Any, tmp_path: Path) -> None:
    few = read_events(usecase, "few", Asset("P-1"), tmp_path)
    assert few["price"].fillna(-1).tolist() == [20, 10, -1, -1]
    with pytest.raises(DataError, match="there is no column 'on'"):
        read_events(usecase, "wrong", Asset("P-1"), tmp_path)
