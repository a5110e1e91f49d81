"""Every technology gives the same frame, and reads the asked asset, window and columns only."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any
from urllib.parse import quote

import fsspec
import pandas as pd
import pytest

from datadriver.config.fleet import Asset
from datadriver.data.fingerprint import extent, fingerprint
from datadriver.data.read import read_frame
from datadriver.data.readers import Query, open_reader, origin
from datadriver.data.window import Window
from datadriver.errors import ConfigError, DataError, UnavailableError, UseCaseError

DAY = pd.Timestamp("2026-03-01", tz="UTC")
WINDOW = Window(DAY + pd.Timedelta("2h"), DAY + pd.Timedelta("4h"))
P1, ODD = Asset("P-1", {"country": "NO"}), Asset("15/9-F-1 C")


def table_of(asset: str = "P-1", shift: float = 0.0) -> pd.DataFrame:
    """Six hours of two tags, and a column of text."""
    stamps = pd.date_range(DAY, periods=36, freq="10min", unit="us")
    values = pd.Series(range(36), dtype="float64") + shift
    return pd.DataFrame({"ts": stamps, "pump": asset, "speed": values, "load": values / 2, "note": "ok"})


def fleet() -> pd.DataFrame:
    return pd.concat([table_of("P-2", 100), table_of("P-1"), table_of("007", 200), table_of(ODD.id, 300)])


EXPECTED = table_of().set_index("ts").loc[WINDOW.start : WINDOW.end, ["speed", "load"]].iloc[:-1]


def check(usecase: Any, root: Path, asset: Asset = P1, shift: float = 0.0) -> None:
    """Read the window, and compare with what was written."""
    got = read_frame(usecase, asset, WINDOW, root).frame[["speed", "load"]]
    want = table_of(shift=shift).set_index("ts").loc[EXPECTED.index, ["speed", "load"]]
    pd.testing.assert_frame_equal(got, want, check_names=False, check_freq=False)
    whole = extent(usecase, asset, root)
    assert whole == Window(DAY, DAY + pd.Timedelta("5h50min1us"))
    assert fingerprint(usecase, asset, root) == fingerprint(usecase, asset, root)


def test_parquet_file_per_asset(usecase_of: Any, tmp_path: Path) -> None:
    (tmp_path / "NO").mkdir()
    table_of().to_parquet(tmp_path / "NO" / "P-1.parquet")
    check(usecase_of({"s": {"path": "{country}/{asset_id}.parquet", "index": "ts"}}), tmp_path)


def test_an_id_that_is_no_file_name_becomes_its_slug(usecase_of: Any, tmp_path: Path) -> None:
    table_of().to_parquet(tmp_path / "15-9-F-1-C-525d4a6b.parquet")
    check(usecase_of({"s": {"path": "{asset_id}.parquet", "index": "ts"}}), tmp_path, ODD)


@pytest.mark.parametrize(("asset", "shift"), [(P1, 0), (ODD, 300), (Asset("007"), 200)])
def test_hive_partitions_keep_ids_as_they_are(usecase_of: Any, tmp_path: Path, asset: Asset, shift: float) -> None:
    for name, rows in fleet().groupby("pump"):
        folder = tmp_path / "fleet" / f"pump={quote(str(name), safe='')}"
        folder.mkdir(parents=True)
        rows.drop(columns="pump").to_parquet(folder / "rows.parquet")
    usecase = usecase_of({"s": {"path": "fleet", "asset": "pump", "index": "ts"}})
    check(usecase, tmp_path, asset, shift)
    before = fingerprint(usecase, P1, tmp_path)
    table_of("P-2").to_parquet(tmp_path / "fleet" / "pump=P-2" / "more.parquet")
    assert fingerprint(usecase, P1, tmp_path) == before
    table_of().to_parquet(tmp_path / "fleet" / "pump=P-1" / "more.parquet")
    assert fingerprint(usecase, P1, tmp_path) != before


@pytest.mark.parametrize("kind", ["str", "category"])
def test_one_parquet_table_for_the_fleet(usecase_of: Any, tmp_path: Path, kind: str) -> None:
    fleet().astype({"pump": kind}).to_parquet(tmp_path / "fleet.parquet")
    usecase = usecase_of({"s": {"path": "fleet.parquet", "asset": "pump", "index": "ts"}})
    check(usecase, tmp_path)
    check(usecase, tmp_path, ODD, 300)


def test_parquet_reads_only_what_is_asked(usecase_of: Any, tmp_path: Path) -> None:
    fleet().assign(pump=fleet()["pump"].factorize()[0]).to_parquet(tmp_path / "fleet.parquet")
    usecase = usecase_of({"s": {"path": "fleet.parquet", "asset": "pump", "index": "ts"}})
    reader = open_reader(origin(usecase, "s", tmp_path))
    query = Query(Asset("1"), columns=frozenset({"ts", "load"}), start=WINDOW.start, end=WINDOW.end)
    assert reader.read(query).shape == (12, 2)
    assert reader.read(Query(Asset("01"), columns=frozenset({"ts"}))).empty  # an id is text: 01 is not 1


def test_files_of_a_directory_may_differ_in_columns_and_types(usecase_of: Any, tmp_path: Path) -> None:
    (tmp_path / "P-1").mkdir()
    table_of().iloc[:20].drop(columns="load").to_parquet(tmp_path / "P-1" / "a.parquet")
    table_of().iloc[20:].astype({"speed": "str"}).to_parquet(tmp_path / "P-1" / "b.parquet")
    (tmp_path / "P-1" / "_SUCCESS").touch()
    source = {"path": "{asset_id}", "index": "ts", "tags": {"speed": {}, "load": {}}}
    frame = read_frame(usecase_of({"s": source}), P1, Window(), tmp_path).frame
    assert frame["speed"].tolist() == list(range(36))
    assert frame["load"].isna().sum() == 20


@pytest.mark.parametrize("url", ["memory://plant/P-1.{0}", "file://{1}/P-1.{0}"])
@pytest.mark.parametrize("suffix", ["parquet", "csv", "csv.gz"])
def test_urls_of_any_file_system(usecase_of: Any, tmp_path: Path, url: str, suffix: str) -> None:
    url = url.format(suffix, tmp_path)
    with fsspec.open(url, "wb", compression="infer") as file:
        (table_of().to_parquet if suffix == "parquet" else table_of().to_csv)(file)
    check(usecase_of({"s": {"path": url.replace("P-1", "{asset_id}"), "index": "ts"}}), tmp_path)


def test_csv_of_the_fleet_as_a_spreadsheet_writes_it(usecase_of: Any, tmp_path: Path) -> None:
    table = fleet()
    for tag in ("load", "speed"):
        table[tag] = [f"{value:.1f}".replace(".", ",") for value in table[tag]]
    table["ts"] = table["ts"].dt.tz_convert("Europe/Paris").dt.strftime("%d/%m/%Y %H:%M")
    table["speed"] = ["Bad Input" if value == "105,0" else value for value in table["speed"]]
    table.to_csv(tmp_path / "fleet.csv", sep=";", index=False, encoding="latin-1")
    options = {"sep": ";", "decimal": ",", "encoding": "latin-1", "date_format": "%d/%m/%Y %H:%M"}
    source = {"path": "fleet.csv", "asset": "pump", "index": "ts", "timezone": "Europe/Paris", "options": options}
    usecase = usecase_of({"s": source})
    check(usecase, tmp_path)
    assert read_frame(usecase, Asset("007"), WINDOW, tmp_path).frame["speed"].iloc[0] == 212


def test_an_asset_called_na_is_an_asset(usecase_of: Any, tmp_path: Path) -> None:
    (tmp_path / "fleet.csv").write_text("ts,pump,speed\n2026-03-01,NA,1\n2026-03-01,NO,2\n2026-03-02,NA,NA\n")
    usecase = usecase_of({"s": {"path": "fleet.csv", "asset": "pump", "index": "ts"}})
    assert read_frame(usecase, Asset("NA"), Window(), tmp_path).frame["speed"].tolist()[:1] == [1.0]


def database(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE readings (ts TIMESTAMP, pump TEXT, speed REAL, load REAL, note TEXT)")
    rows = fleet().assign(ts=lambda table: table["ts"].astype(str))
    connection.executemany("INSERT INTO readings VALUES (?, ?, ?, ?, ?)", rows.itertuples(index=False))
    connection.commit()
    connection.close()


@pytest.mark.parametrize(
    "where",
    [
        {"table": "readings", "asset": "pump"},
        {"query": "SELECT * FROM readings WHERE pump = :asset_id AND ts >= :start AND ts < :end"},
        {"query": "SELECT * FROM readings", "asset": "pump"},
    ],
)
def test_sql_tables_and_queries(usecase_of: Any, tmp_path: Path, where: dict[str, Any]) -> None:
    database(tmp_path / "plant.db")
    usecase = usecase_of({"s": {"uri": "sqlite:///plant.db", "index": "ts", **where}})
    check(usecase, tmp_path)
    check(usecase, tmp_path, ODD, 300)


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"table": "reading"}, ConfigError, "did you mean 'readings'"),
        ({"query": "SELECT tx FROM readings"}, ConfigError, "refused the query: no such column"),
        ({"table": "readings", "uri": "sqlite:///other.db"}, ConfigError, "other.db does not exist"),
        ({"table": "readings", "uri": "sqlite:////"}, UnavailableError, "does not answer"),
        ({"table": "readings", "options": {"pol_size": 1}}, ConfigError, "pol_size"),
        ({"uri": "sqlite:///plant.db"}, ConfigError, "either `table` or `query`"),
    ],
)
def test_what_is_wrong_with_a_database_is_said(
    usecase_of: Any, tmp_path: Path, settings: dict[str, Any], error: type[Exception], message: str
) -> None:
    database(tmp_path / "plant.db")
    source = {"format": "sql", "uri": "sqlite:///plant.db", "index": "ts", **settings}
    with pytest.raises(error, match=message):
        read_frame(usecase_of({"s": source}), P1, WINDOW, tmp_path)


def test_a_function_of_the_use_case(usecase_of: Any, tmp_path: Path) -> None:
    (tmp_path / "src" / "reader_plant").mkdir(parents=True)
    (tmp_path / "src" / "reader_plant" / "__init__.py").touch()
    (tmp_path / "src" / "reader_plant" / "data.py").write_text(
        "import pandas as pd\n"
        "def load(asset, start, end, attributes, factor):\n"
        "    assert asset == 'P-1' and attributes == {'country': 'NO'}\n"
        "    stamps = pd.date_range('2026-03-01', periods=36, freq='10min', tz='UTC', name='ts')\n"
        "    speed = pd.Series(range(36), index=stamps)\n"
        "    return pd.DataFrame({'speed': speed, 'load': speed * factor})\n"
        "def wrong(asset, start, end):\n"
        "    return [1]\n"
    )
    source = {"index": "ts", "function": "reader_plant.data:load", "options": {"factor": 0.5}}
    check(usecase_of({"s": source}), tmp_path)
    with pytest.raises(UseCaseError, match=r"P-1, source s: reader_plant.data:wrong returned list"):
        read_frame(usecase_of({"s": {"index": "ts", "function": "reader_plant.data:wrong"}}), P1, WINDOW, tmp_path)


@pytest.mark.parametrize("declared", [True, False])
@pytest.mark.parametrize("format", ["csv", "parquet", "sql"])
def test_long_tables(usecase_of: Any, tmp_path: Path, declared: bool, format: str) -> None:  # noqa: A002
    long = fleet().drop(columns="note").melt(["ts", "pump"], var_name="name", value_name="reading")
    long = pd.concat([long, long.iloc[:3].assign(name="other", pump="P-1")])
    if format == "sql":
        with sqlite3.connect(tmp_path / "fleet.sql") as connection:
            long.assign(ts=long["ts"].astype(str)).to_sql("fleet", connection, index=False)
        connection.close()
        source: dict[str, Any] = {"uri": "sqlite:///fleet.sql", "table": "fleet"}
    else:
        (long.to_csv if format == "csv" else long.to_parquet)(tmp_path / f"fleet.{format}")
        source = {"path": f"fleet.{format}"}
    source |= {"asset": "pump", "index": "ts", "layout": {"long": {"tag": "name", "value": "reading"}}}
    if declared:
        source["tags"] = {"speed": {}, "load": {}}
        wrong = {**source, "tags": {"speed": {"from": "sped"}}}
        with pytest.raises(DataError, match=r"missing 'sped' \(tag speed\); did you mean 'speed'"):
            read_frame(usecase_of({"s": wrong}), P1, WINDOW, tmp_path)
    usecase = usecase_of({"s": source})
    check(usecase, tmp_path)
    assert ("other" in read_frame(usecase, P1, Window(), tmp_path).frame) is not declared


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"path": "none.parquet"}, DataError, "P-1, source s: .*none.parquet does not exist"),
        ({"path": "{contry}.parquet"}, ConfigError, "needs the attribute 'contry'; did you mean 'country'"),
        ({"path": "data.xlsx"}, ConfigError, "format: cannot be told from the path"),
        ({"path": "nothere://x.csv"}, ConfigError, "cannot be opened"),
        ({"index": "time"}, DataError, "there is no column 'time'"),
        ({"asset": "pupm"}, DataError, "there is no column 'pupm'; did you mean 'pump'"),
        ({"tags": {"pressure": {"from": "sped"}}}, DataError, r"missing 'sped' \(tag pressure\); did you mean 'speed'"),
        ({"options": {"sepp": ";"}}, ConfigError, "options.sepp: is no option of pandas.read_csv; did you mean 'sep'"),
        ({"options": {"usecols": ["ts"]}}, ConfigError, "options.usecols: is decided by datadriver"),
        ({"options": {"encoding": "utf-99"}}, DataError, "not readable as CSV"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(
    usecase_of: Any, tmp_path: Path, settings: dict[str, Any], error: type[Exception], message: str
) -> None:
    table_of().to_csv(tmp_path / "data.csv", index=False)
    with pytest.raises(error, match=message):
        read_frame(usecase_of({"s": {"path": "data.csv", "index": "ts", **settings}}), P1, WINDOW, tmp_path)


def test_an_asset_without_rows_and_an_empty_window_are_said(usecase_of: Any, tmp_path: Path) -> None:
    fleet().to_parquet(tmp_path / "fleet.parquet")
    usecase = usecase_of({"s": {"path": "fleet.parquet", "asset": "pump", "index": "ts"}})
    with pytest.raises(DataError, match=r"P-9, source s: the asset has no data"):
        read_frame(usecase, Asset("P-9"), Window(), tmp_path)
    with pytest.raises(DataError, match=r"no data in the window \[2027-.*its data are from \[2026-03-01T00:00:00"):
        read_frame(usecase, P1, Window(pd.Timestamp("2027-01-01", tz="UTC")), tmp_path)
    assert extent(usecase, P1, tmp_path, until=DAY + pd.Timedelta("1h")).end == DAY + pd.Timedelta("50min1us")


@pytest.mark.parametrize("broken", [slice(0, 1000), slice(4, None), slice(None, -8), slice(0, 0)])
def test_a_broken_parquet_file_is_a_fault_of_the_data(usecase_of: Any, tmp_path: Path, broken: slice) -> None:
    table_of().to_parquet(tmp_path / "whole")
    content = (tmp_path / "whole").read_bytes()
    noise = bytes(255 - byte for byte in content[-300:-8])
    for damaged in (content[broken], content[:-300] + noise + content[-8:]):
        (tmp_path / "P-1.parquet").write_bytes(damaged)
        with pytest.raises(DataError, match="P-1, source s: not readable as Parquet"):
            read_frame(usecase_of({"s": {"path": "{asset_id}.parquet", "index": "ts"}}), P1, WINDOW, tmp_path)


@pytest.mark.parametrize("file", ["s.parquet", "s.csv"])
@pytest.mark.parametrize("window", [Window(), Window(DAY + pd.Timedelta("1h"), DAY + pd.Timedelta("2h"))])
def test_a_few_cells_of_text_do_not_take_a_column_away(
    usecase_of: Any, tmp_path: Path, file: str, window: Window
) -> None:
    table = table_of().assign(load=["Bad Input", *(str(value) for value in range(35))])
    table.to_parquet(tmp_path / file, index=False) if file == "s.parquet" else table.to_csv(
        tmp_path / file, index=False
    )
    sensor = read_frame(usecase_of({"s": {"path": file, "asset": "pump", "index": "ts"}}), P1, window, tmp_path)
    assert list(sensor.frame.columns) == ["speed", "load"]
    want = pd.Series([float("nan"), *range(35)], table["ts"])
    assert sensor.frame["load"].equals(want.loc[sensor.frame.index].rename_axis("time"))
    assert [issue.kind for issue in sensor.issues] == ["unexpected_text"] * (window.start is None)


def test_text_in_one_of_many_parquet_files_does_not_take_its_numbers_away(usecase_of: Any, tmp_path: Path) -> None:
    table = table_of()
    table[:30].to_parquet(tmp_path / "1.parquet")
    table[30:].assign(load=[*table["load"][30:35].astype(str), "Bad Input"]).to_parquet(tmp_path / "2.parquet")
    sensor = read_frame(usecase_of({"s": {"path": ".", "index": "ts", "format": "parquet"}}), P1, Window(), tmp_path)
    assert sensor.frame["load"].notna().sum() == 35


def test_a_source_without_a_column_of_numbers_is_an_error(usecase_of: Any, tmp_path: Path) -> None:
    table_of(shift=0.5).to_csv(tmp_path / "s.csv", sep=";", decimal=",", index=False)
    source = {"path": "s.csv", "asset": "pump", "index": "ts", "options": {"sep": ";"}}
    with pytest.raises(DataError, match=r"P-1, source s: no column is one of numbers; .* `options.decimal`"):
        read_frame(usecase_of({"s": source}), P1, Window(), tmp_path)


@pytest.mark.parametrize("file", ["s.parquet", "s.csv"])
def test_row_numbers_that_pandas_wrote_along_are_no_tags(usecase_of: Any, tmp_path: Path, file: str) -> None:
    table = table_of()[1:].sample(frac=1, random_state=0)
    table.to_parquet(tmp_path / file) if file == "s.parquet" else table.to_csv(tmp_path / file)
    sensor = read_frame(usecase_of({"s": {"path": file, "asset": "pump", "index": "ts"}}), P1, Window(), tmp_path)
    assert list(sensor.frame.columns) == ["speed", "load"]


def test_two_columns_of_one_name_are_an_error(usecase_of: Any, tmp_path: Path) -> None:
    database(tmp_path / "plant.db")
    query = "SELECT a.ts, a.speed, b.speed FROM readings a JOIN readings b ON a.ts = b.ts"
    with pytest.raises(DataError, match="two columns 'speed'"):
        read_frame(
            usecase_of({"s": {"uri": "sqlite:///plant.db", "query": query, "index": "ts"}}), P1, WINDOW, tmp_path
        )
