"""Whatever the sources look like: no value depends on the window asked for, or on what became known after it."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path
from typing import Any

import pandas as pd
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from datadriver.config.fleet import Asset
from datadriver.data.read import read_frame
from datadriver.data.window import Window
from datadriver.errors import DataError

EPOCH = pd.Timestamp("2026-03-01", tz="UTC")
ASSET = Asset("P-1")


def at(minutes: float) -> pd.Timestamp:
    return EPOCH + pd.Timedelta(minutes=minutes)


Row = tuple[float, float, float | None]


def table(chance: random.Random, *, least: int = 1) -> list[Row]:
    """Rows of (instant, known from, value) in any order, with repeated stamps, nulls, late entries and gaps."""
    late = chance.choice([0.0, 0.5])
    stamps = [chance.randint(0, 72) * 2.5 for _ in range(chance.randint(least, 60))]
    if chance.random() < 0.7:
        stamps.sort()
    delays = [chance.choice([7, 45]) if chance.random() < late else 0 for _ in stamps]
    values = [None if chance.random() < 0.15 else round(chance.uniform(1, 9), 3) for _ in stamps]
    return [(stamp, stamp + delay, value) for stamp, delay, value in zip(stamps, delays, values, strict=True)]


@st.composite
def settings_of_data(draw: st.DrawFn) -> dict[str, Any]:
    """A section `data` with a main source and another one, joined in any way."""

    def source(name: str, join: str) -> dict[str, Any]:
        tag = {"aggregate": draw(st.sampled_from(["mean", "median", "last", "min", "sum", "count", "std", "first"]))}
        tag |= {"fill": draw(st.sampled_from(["hold", "none"])), "from": "value"}
        described: dict[str, Any] = {"path": f"{name}.parquet", "index": "ts", "join": join, "tags": {name: tag}}
        described["max_gap"] = draw(st.sampled_from([None, "3min", "20min"]))
        described["times"] = {
            "duplicates": draw(st.sampled_from(["last", "first", "mean"])),
            "future": draw(st.sampled_from(["drop", "keep"])),
        }
        if draw(st.sampled_from([True, True, False])):
            described["known_at"] = "known"
        return described

    other = source("other", draw(st.sampled_from(["bin", "asof"])))
    resolution = draw(st.sampled_from(["native", "5min", "7min", "1h"]))
    return {"sources": {"main": source("main", "bin"), "other": other}, "resolution": resolution}


def write(rows: list[Row], path: Path) -> None:
    table = pd.DataFrame(rows, columns=["ts", "known", "value"]).astype({"value": "float64"})
    for column in ("ts", "known"):
        table[column] = pd.to_datetime([at(minutes) for minutes in table[column]], utc=True).as_unit("us")
    table.to_parquet(path)


def frame_of(usecase: Any, window: Window, root: Path) -> pd.DataFrame:
    """Read a frame; empty if there are no data. Rows at its ends in which the main source says nothing do not count."""
    try:
        frame = read_frame(usecase, ASSET, window, root).frame
    except DataError:
        return pd.DataFrame(
            {"main": [], "other": []}, index=pd.DatetimeIndex([], tz="UTC", name="time"), dtype="float64"
        )
    return stripped(frame)


def stripped(frame: pd.DataFrame) -> pd.DataFrame:
    said = frame["main"].notna() & frame["main"].ne(0)  # a count of nothing is 0
    return frame.loc[said.idxmax() : said[::-1].idxmax()] if said.any() else frame.iloc[:0]


def assert_same(left: pd.DataFrame, right: pd.DataFrame) -> None:
    if len(left) or len(right):
        pd.testing.assert_frame_equal(left, right, check_exact=True, check_freq=False)


# The rows come from a seed: Hypothesis could only shrink it, not them, and a failure is told by its seed.
checked = settings(phases=[Phase.explicit, Phase.reuse, Phase.generate])
seeds = st.integers(0, 2**32).map(random.Random)


@given(settings_of_data(), seeds)
@checked
def test_reading_a_window_is_reading_all_and_slicing(usecase_of: Any, data: Any, chance: random.Random) -> None:
    data["sources"]["main"]["times"]["order"] = chance.choice(["sort", "drop"])
    usecase = usecase_of(**data)
    with tempfile.TemporaryDirectory() as folder:
        for least, source in enumerate(("other", "main")):
            write(table(chance, least=least), Path(folder) / f"{source}.parquet")
        whole = frame_of(usecase, Window(None, at(1000)), Path(folder))
        for _ in range(3):
            start = chance.randint(0, 200)
            window = Window(at(start), at(start + chance.randint(1, 120)))
            assert_same(frame_of(usecase, window, Path(folder)), stripped(window.slice(whole)))


@given(settings_of_data(), seeds)
@checked
def test_nothing_known_later_changes_what_stands_at_an_instant(
    usecase_of: Any, data: Any, chance: random.Random
) -> None:
    usecase = usecase_of(**data)
    rows = {source: table(chance, least=least) for least, source in enumerate(("other", "main"))}
    with tempfile.TemporaryDirectory() as folder:
        for cut in sorted(chance.sample(range(200), k=3)):
            window = Window(None, at(cut) + pd.Timedelta("1us"))
            for source, first in rows.items():
                write(first, Path(folder) / f"{source}.parquet")
            before = frame_of(usecase, window, Path(folder))
            for source, first in rows.items():
                known = 1 if "known_at" in data["sources"][source] else 0
                write(with_another_future(first, cut, known, chance), Path(folder) / f"{source}.parquet")
            assert_same(frame_of(usecase, window, Path(folder)), before)


def with_another_future(rows: list[Row], cut: float, known: int, chance: random.Random) -> list[Row]:
    """Keep what was known at the cut, in its order; drop some of the later rows, and store others anywhere."""
    result = [row for row in rows if row[known] <= cut or chance.random() < 0.5]
    for row in table(chance, least=0):
        if row[known] > cut:
            result.insert(chance.randint(0, len(result)), row)
    return result


@given(st.sampled_from(["mean", "median", "min", "max", "sum", "first", "last", "std", "count"]), seeds)
@checked
def test_bins_agree_with_pandas(usecase_of: Any, aggregate: str, chance: random.Random) -> None:
    source = {"path": "main.parquet", "index": "ts", "tags": {"main": {"from": "value", "aggregate": aggregate}}}
    usecase, rows = usecase_of({"main": source}, resolution="5min"), table(chance)
    with tempfile.TemporaryDirectory() as folder:
        write(rows, Path(folder) / "main.parquet")
        got = read_frame(usecase, ASSET, Window(None, at(1000)), Path(folder)).frame
    values = pd.DataFrame(rows, columns=["ts", "known", "value"]).drop_duplicates("ts", keep="last").sort_values("ts")
    values.index = pd.DatetimeIndex([at(minutes) for minutes in values["ts"]])
    bins = values["value"].astype("float64").resample("5min", closed="right", label="right")
    want = bins.sum(min_count=1) if aggregate == "sum" else bins.aggregate(aggregate)
    pd.testing.assert_series_equal(
        got["main"], want.astype("float64"), check_names=False, check_freq=False, check_index_type=False, rtol=1e-12
    )
