"""Tables of the fleet: what is gathered says the same as the source, is made once, and knows what changed."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datadriver.config.fleet import Asset
from datadriver.data.events import read_events
from datadriver.data.fingerprint import extent, fingerprint
from datadriver.data.looks import one_look
from datadriver.data.read import read_frame
from datadriver.data.readers import gathered
from datadriver.data.window import Window
from datadriver.errors import DataError

DAY = pd.Timestamp("2026-03-01", tz="UTC")
IDS = ("P-1", "007", "15/9-F-1 C", "NA")
ASSETS = [Asset(name) for name in IDS]


def fleet(rows: int = 40, ids: tuple[str, ...] = IDS, seed: int = 0) -> pd.DataFrame:
    """Rows in the order of time, each asset in turn, with a text column, gaps and a column that is mostly numbers."""
    generator = np.random.default_rng(seed)
    count = rows * len(ids)
    speed = generator.normal(size=count)
    speed[generator.random(count) < 0.1] = np.nan
    load = np.where(generator.random(count) < 0.05, "Bad Input", np.round(generator.normal(size=count), 3).astype(str))
    return pd.DataFrame(
        {
            "ts": np.repeat(pd.date_range(DAY, periods=rows, freq="10min", unit="us"), len(ids)),
            "pump": list(ids) * rows,
            "speed": speed,
            "load": load,
            "note": pd.Series(["ok", "off"] * (count // 2)),
            "count": range(count),
        }
    )


def copies(root: Path) -> list[Path]:
    return sorted(path for path in (root / ".datadriver" / "cache").glob("*") if path.is_dir())


def write(table: pd.DataFrame, path: Path, **options: Any) -> None:
    if path.suffix == ".csv":
        table.to_csv(path, index=False)
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of pandas, about what Arrow does with zones
        pq.write_table(pa.Table.from_pandas(table, preserve_index=False), path, **options)


def source(path: str, **more: Any) -> dict[str, Any]:
    return {"s": {"path": path, "asset": "pump", "index": "ts", **more}}


def same(usecase: Any, root: Path, windows: tuple[Window, ...], assets: list[Asset] = ASSETS) -> None:
    """Compare what is read before and after the table was gathered, for every asset."""

    def everything() -> list[Any]:
        return [
            (read_frame(usecase, asset, window, root), extent(usecase, asset, root))
            for asset in assets
            for window in windows
        ]

    assert not copies(root)
    before = everything()
    assert not copies(root), "a small table is not gathered by reading it"
    fingerprint(usecase, ASSETS[0], root)
    assert copies(root)
    for (one, its_extent), (other, other_extent) in zip(before, everything(), strict=True):
        pd.testing.assert_frame_equal(one.frame, other.frame, check_exact=True)
        assert one.digest() == other.digest()
        assert (one.issues, one.rows_read, its_extent) == (other.issues, other.rows_read, other_extent)


@pytest.mark.parametrize("path", ["fleet.csv", "fleet.parquet"])
@pytest.mark.parametrize("tags", [None, {"speed": {}, "state": {"from": "note", "type": "text"}}])
def test_what_is_gathered_gives_the_same_frames(usecase_of: Any, tmp_path: Path, path: str, tags: Any) -> None:
    write(fleet(), tmp_path / path)
    usecase = usecase_of(source(path, tags=tags), resolution="30min")
    same(usecase, tmp_path, (Window(), Window(DAY + pd.Timedelta("2h"), DAY + pd.Timedelta("3h"))))


@pytest.mark.parametrize("path", ["fleet.csv", "fleet.parquet"])
def test_long_tables_with_ids_that_are_numbers(usecase_of: Any, tmp_path: Path, path: str) -> None:
    table = fleet(ids=("7", "12", "-3")).melt(["ts", "pump"], ["speed", "count"], "tag", "reading").dropna()
    table["tag"] = table["tag"].astype("category")
    write(table.astype({"pump": "int64"}), tmp_path / path)
    usecase = usecase_of(source(path, layout={"long": {"tag": "tag", "value": "reading"}}))
    for name in ("7", "12", "-3"):
        before = read_frame(usecase, Asset(name), Window(), tmp_path)
        shutil.rmtree(tmp_path / ".datadriver", ignore_errors=True)
        fingerprint(usecase, Asset(name), tmp_path)
        after = read_frame(usecase, Asset(name), Window(), tmp_path)
        pd.testing.assert_frame_equal(before.frame, after.frame, check_exact=True)
        assert len(after.frame)


@settings(max_examples=10)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(8, 40),
    st.sampled_from([("csv", {}), *(("parquet", {"row_group_size": size}) for size in (3, 20, 1000))]),
    st.sampled_from(["us", "ns", "text", "zone"]),
)
def test_any_table_of_a_fleet_is_the_same_gathered(  # noqa: PLR0913, PLR0917
    usecase_of: Any,
    tmp_path_factory: pytest.TempPathFactory,
    seed: int,
    rows: int,
    written: tuple[str, dict[str, int]],
    stamps: str,
) -> None:
    root, (kind, options) = tmp_path_factory.mktemp("fleet"), written
    table = fleet(rows, seed=seed).sample(frac=1, random_state=seed)
    if stamps == "text":
        table["ts"] = table["ts"].dt.strftime("%Y-%m-%d %H:%M")
    elif stamps == "zone":
        table["ts"] = table["ts"].dt.tz_convert("Europe/Paris")
    else:
        table["ts"] = table["ts"].dt.as_unit(stamps)
    write(table, root / f"fleet.{kind}", **options)
    usecase = usecase_of(source(f"fleet.{kind}"), resolution="1h")
    same(usecase, root, (Window(DAY + pd.Timedelta("1h")),), ASSETS[:2])


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_events_of_the_fleet_are_the_same_gathered(usecase_of: Any, tmp_path: Path, kind: str) -> None:
    table = fleet().astype({"note": "category"}) if kind == "parquet" else fleet()
    write(table, tmp_path / f"events.{kind}")
    write(fleet(), tmp_path / "main.csv")
    usecase = usecase_of({**source("main.csv"), "events": {**source(f"events.{kind}")["s"], "join": "none"}})
    before = [read_events(usecase, "events", asset, tmp_path) for asset in ASSETS]
    fingerprint(usecase, ASSETS[0], tmp_path)
    assert len(copies(tmp_path)) == 2
    for one, asset in zip(before, ASSETS, strict=True):
        after = read_events(usecase, "events", asset, tmp_path)
        assert (one.dtypes == "category").tolist() == (after.dtypes == "category").tolist()
        text = dict.fromkeys(one.columns[one.dtypes == "category"], "str")
        pd.testing.assert_frame_equal(one.astype(text), after.astype(text), check_exact=True)


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_fingerprint_changes_with_the_rows_of_its_own_asset_only(usecase_of: Any, tmp_path: Path, kind: str) -> None:
    path, usecase = tmp_path / f"fleet.{kind}", usecase_of(source(f"fleet.{kind}"))
    table = fleet()
    write(table, path)

    def prints() -> dict[str, str]:
        return {asset.id: fingerprint(usecase, asset, tmp_path) for asset in ASSETS}

    before = prints()
    path.touch()
    os.utime(path, ns=(1, 1))
    assert prints() == before, "a file that was only touched says the same"
    write(table.sample(frac=1, random_state=1).sort_values("ts", kind="stable"), path)
    order = prints()
    table.loc[table.pump == "007", "speed"] += 1
    write(table, path)
    assert {name for name, value in prints().items() if value != before[name]} == {"007"}
    write(pd.concat([table, table[table.pump == "NA"].tail(1)]), path)
    assert {name for name, value in prints().items() if value != before[name]} == {"007", "NA"}
    assert set(order) == set(before)


def test_other_row_groups_are_no_change(usecase_of: Any, tmp_path: Path) -> None:
    usecase = usecase_of(source("fleet.parquet"))
    write(fleet(), tmp_path / "fleet.parquet", row_group_size=100)
    before = fingerprint(usecase, ASSETS[1], tmp_path)
    write(fleet(), tmp_path / "fleet.parquet", row_group_size=7, compression="zstd", use_dictionary=False)
    assert fingerprint(usecase, ASSETS[1], tmp_path) == before


def test_a_table_is_read_once_for_the_whole_fleet_and_old_copies_go(usecase_of: Any, tmp_path: Path) -> None:
    path, usecase = tmp_path / "fleet.csv", usecase_of(source("fleet.csv"))
    write(fleet(), path)
    for asset in ASSETS:
        fingerprint(usecase, asset, tmp_path)
    (first,) = copies(tmp_path)
    made = (first / "rows.arrow").stat().st_mtime_ns
    fingerprint(usecase, ASSETS[0], tmp_path)
    assert (first / "rows.arrow").stat().st_mtime_ns == made
    write(fleet(41), path)
    fingerprint(usecase, ASSETS[0], tmp_path)
    (second,) = copies(tmp_path)
    assert second != first
    shutil.rmtree(tmp_path / ".datadriver")
    assert len(read_frame(usecase, ASSETS[0], Window(), tmp_path).frame) == 41, "the cache may go at any time"


def test_reading_a_large_table_asset_by_asset_gathers_it(
    usecase_of: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gathered, "_SMALL_ROWS", 100)
    for path in ("fleet.csv", "fleet.parquet"):
        write(fleet(), tmp_path / path)
        usecase = usecase_of(source(path))
        frames = [len(read_frame(usecase, asset, Window(), tmp_path).frame) for asset in ASSETS * 2]
        assert frames == [40] * 8
    assert len(copies(tmp_path)) == 2


def test_a_shared_csv_is_parsed_a_few_times_not_for_every_asset(
    usecase_of: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gathered, "_SMALL_ROWS", 100)
    write(fleet(), tmp_path / "fleet.csv")
    write(fleet(ids=("w", "w2")).drop(columns=["pump", "load"]).add_prefix("air_"), tmp_path / "weather.csv")
    usecase = usecase_of({**source("fleet.csv"), "w": {"path": "weather.csv", "index": "air_ts"}}, resolution="1h")
    before = [read_frame(usecase, asset, Window(), tmp_path).frame for asset in ASSETS]
    after = [read_frame(usecase, asset, Window(), tmp_path).frame for asset in ASSETS]
    assert [path.name.partition("-")[0] for path in copies(tmp_path)] == ["s", "w"]
    for one, other in zip(before, after, strict=True):
        pd.testing.assert_frame_equal(one, other, check_exact=True)


def test_chunks_of_a_large_csv_have_the_types_of_the_whole(
    usecase_of: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from datadriver.data.readers import csv  # noqa: PLC0415 - hides the standard library's

    monkeypatch.setattr(csv, "_CHUNK_BYTES", 10)
    monkeypatch.setattr(csv, "_CHUNK_ROWS", 7)
    monkeypatch.setattr(gathered, "_RUN_BYTES", 1000)
    table = fleet(rows=60).assign(
        whole=range(240),
        late_text=[*map(str, range(230)), *["Bad Input"] * 10],
        late_fraction=[*range(230), *[0.5] * 10],
        late_words=[*map(str, range(100)), *["stuck"] * 140],
        sometimes=[None] * 100 + [1.0] * 140,
        truth=[True] * 120 + [None] * 120,
    )
    write(table, tmp_path / "fleet.csv")
    same(usecase_of(source("fleet.csv")), tmp_path, (Window(),))


def test_a_copy_that_cannot_be_written_is_done_without(usecase_of: Any, tmp_path: Path) -> None:
    write(fleet(), tmp_path / "fleet.csv")
    (tmp_path / ".datadriver").write_text("not a folder")
    usecase = usecase_of(source("fleet.csv"))
    before = fingerprint(usecase, ASSETS[0], tmp_path)
    assert len(read_frame(usecase, ASSETS[0], Window(), tmp_path).frame) == 40
    write(fleet(41), tmp_path / "fleet.csv")
    assert fingerprint(usecase, ASSETS[0], tmp_path) != before


def test_a_half_written_copy_of_a_killed_process_is_no_copy(usecase_of: Any, tmp_path: Path) -> None:
    write(fleet(), tmp_path / "fleet.csv")
    usecase = usecase_of(source("fleet.csv"))
    expected = fingerprint(usecase, ASSETS[0], tmp_path)
    (copy,) = copies(tmp_path)
    copy.rename(copy.with_name(f"{copy.name}-1234.part"))
    gathered._opened.cache_clear()
    assert fingerprint(usecase, ASSETS[0], tmp_path) == expected
    assert copies(tmp_path) == [copy]


def _fingerprint(arguments: tuple[Any, Path]) -> str:
    return fingerprint(arguments[0], ASSETS[0], arguments[1])


def test_processes_that_gather_at_once_agree(usecase_of: Any, tmp_path: Path) -> None:
    write(fleet(rows=5_000), tmp_path / "fleet.csv")
    usecase = usecase_of(source("fleet.csv"))
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        found = pool.map(_fingerprint, [(usecase, tmp_path)] * 2)
    assert len(set(found)) == 1
    assert len(copies(tmp_path)) == 1


def test_a_table_sorted_by_asset_is_read_in_place(usecase_of: Any, tmp_path: Path) -> None:
    write(fleet().sort_values(["pump", "ts"]), tmp_path / "fleet.parquet", row_group_size=10)
    usecase = usecase_of(source("fleet.parquet"))
    fingerprint(usecase, ASSETS[0], tmp_path)
    assert len(read_frame(usecase, ASSETS[0], Window(), tmp_path).frame) == 40
    assert not copies(tmp_path)


def test_days_in_files_of_their_own_are_gathered_one_by_one(usecase_of: Any, tmp_path: Path) -> None:
    (tmp_path / "days").mkdir()
    for day in range(3):
        table = fleet()
        table["ts"] += pd.Timedelta(days=day)
        write(table, tmp_path / "days" / f"{day}.parquet")
    usecase = usecase_of(source("days"))
    same(usecase, tmp_path, (Window(), Window(DAY + pd.Timedelta("1D"), DAY + pd.Timedelta("2D"))))
    assert len(copies(tmp_path)) == 3
    times = {path: (path / "rows.arrow").stat().st_mtime_ns for path in copies(tmp_path)}
    write(fleet(30), tmp_path / "days" / "2.parquet")
    fingerprint(usecase, ASSETS[0], tmp_path)
    assert len(set(times) & set(copies(tmp_path))) == 2, "a new day leaves the copies of the others alone"


def test_an_asset_without_a_folder_in_a_hive_layout_is_an_error_of_the_data(usecase_of: Any, tmp_path: Path) -> None:
    (tmp_path / "fleet" / "pump=P-1").mkdir(parents=True)
    write(fleet().drop(columns="pump"), tmp_path / "fleet" / "pump=P-1" / "rows.parquet")
    with pytest.raises(DataError, match="there is no folder pump=P-2"):
        read_frame(usecase_of(source("fleet")), Asset("P-2"), Window(), tmp_path)


def test_within_one_look_a_directory_is_listed_once(usecase_of: Any, tmp_path: Path) -> None:
    folder = tmp_path / "fleet" / "pump=P-1"
    folder.mkdir(parents=True)
    write(fleet().drop(columns="pump"), folder / "rows.parquet")
    usecase = usecase_of(source("fleet"))
    before = fingerprint(usecase, ASSETS[0], tmp_path)
    with one_look():
        assert fingerprint(usecase, ASSETS[0], tmp_path) == before
        write(fleet().drop(columns="pump"), folder / "more.parquet")
        assert fingerprint(usecase, ASSETS[0], tmp_path) == before
    assert fingerprint(usecase, ASSETS[0], tmp_path) != before
