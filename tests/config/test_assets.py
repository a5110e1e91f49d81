"""The fleet table: ids as the plant writes them, and every mistake in it with its line."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from datadriver.config.fleet import Asset
from datadriver.config.sections import UseCase
from datadriver.data.assets import load_assets
from datadriver.errors import ConfigError, DatadriverError, UnavailableError, UseCaseError


def usecase(assets: Any, **source: Any) -> UseCase:
    model = {"problem": "anomaly", "estimator": "pumps.models:a", "baseline": "pumps.models:b"}
    sources = {"sensors": {"path": "data/{asset_id}.csv", "index": "ts", **source}}
    return UseCase.model_validate(
        {"name": "pumps", "fleet": {"assets": assets}, "data": {"sources": sources}, "models": {"m": model}}
    )


def fleet(root: Path, text: str | bytes, name: str = "fleet.csv") -> tuple[Asset, ...]:
    (root / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_assets(usecase(name), root)


def test_ids_stay_as_written_and_other_columns_get_types(tmp_path: Path) -> None:
    found = fleet(
        tmp_path,
        "asset_id,country,depth,since,on\n"
        '007,NA,1200,2020-01-01,true\n"15/9-F-1 C",,,,\n1e5,"a,b",0.5,2021-05-01,false\n',
    )
    assert [asset.id for asset in found] == ["007", "15/9-F-1 C", "1e5"]
    assert found[0].attributes == {"country": "NA", "depth": 1200.0, "since": "2020-01-01", "on": True}
    assert set(found[1].attributes.values()) == {None}


def test_empty_and_double_and_unclean_ids_are_named_with_their_lines(tmp_path: Path) -> None:
    text = 'asset_id,note\nP-1,"two\nlines"\n\nP-2,\n,x\nP-1,\n P-3,\n'
    with pytest.raises(ConfigError) as caught:
        fleet(tmp_path, text)
    assert caught.value.problems == (
        "fleet.csv, line 6: the asset id is empty",
        "fleet.csv, line 8: the asset id ' P-3' has spaces around it, or signs that cannot be seen",
        "fleet.csv, lines 2, 7: the asset id 'P-1' is there 2 times",
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "fleet.csv is empty"),
        ("asset_id,country\n", "lists no asset"),
        ("assetid,country\nP-1,NO\n", "did you mean 'assetid'?"),
        ("asset_id;country\nP-1;NO\n", "separated by ';'"),
        ("asset_id, country\nP-1, NO\n", "column name ' country'"),
        ("asset_id,a,a\nP-1,1,2\n", "two columns are named 'a'"),
        ("asset_id,country\nP-1\n", "Expected 2 columns, got 1"),
        (b"asset_id\nP-\xe9\n", "line 2: not UTF-8"),
    ],
)
def test_a_fleet_table_that_is_wrong_says_how(tmp_path: Path, text: str | bytes, said: str) -> None:
    with pytest.raises(ConfigError, match="fleet") as caught:
        fleet(tmp_path, text)
    assert said in caught.value.message


def test_a_missing_fleet_table_names_the_nearest_file(tmp_path: Path) -> None:
    (tmp_path / "fleets.csv").touch()
    with pytest.raises(ConfigError, match=r"did you mean 'fleets\.csv'\?"):
        load_assets(usecase("fleet.csv"), tmp_path)
    with pytest.raises(ConfigError, match=r"neither a \.csv nor a \.parquet file"):
        load_assets(usecase("fleet.xlsx"), tmp_path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.one_of(st.binary(), st.text().map(lambda text: f"asset_id,x\n{text}".encode("utf-8", "replace"))))
def test_any_bytes_give_a_fleet_or_a_config_error(tmp_path: Path, data: bytes) -> None:
    with contextlib.suppress(ConfigError):
        assert fleet(tmp_path, data)


def test_parquet_whole_numbers_become_text_and_numbers_with_decimals_are_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"asset_id": [7, 8], "rate": [1.5, None]}), tmp_path / "fleet.parquet")
    assert load_assets(usecase("fleet.parquet"), tmp_path)[1] == Asset("8", {"rate": None})
    pq.write_table(pa.table({"asset_id": [7.0, None]}), tmp_path / "fleet.parquet")
    with pytest.raises(ConfigError) as caught:
        load_assets(usecase("fleet.parquet"), tmp_path)
    assert "row 2: the asset id is empty" in caught.value.message
    assert "row 1: 7.0 (float) is no asset id" in caught.value.message


def test_a_glob_finds_assets_by_name(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for name in ("P-2.csv", "P-1.csv", ".hidden.csv", "other.txt"):
        (tmp_path / "data" / name).touch()
    assert [asset.id for asset in load_assets(usecase({"glob": "data/*.csv"}), tmp_path)] == ["P-1", "P-2"]
    with pytest.raises(ConfigError, match=r"exactly one \*"):
        load_assets(usecase({"glob": "data/*/*.csv"}), tmp_path)
    with pytest.raises(ConfigError, match="lists no asset"):
        load_assets(usecase({"glob": "nothing/*.csv"}), tmp_path)


def test_a_source_with_a_path_per_asset_lists_them_with_their_attributes(tmp_path: Path) -> None:
    for country, name in (("NO", "P-1"), ("BR", "P-2")):
        (tmp_path / country).mkdir()
        (tmp_path / country / f"{name}.parquet").touch()
    case = usecase({"source": "sensors"}, path="{country}/{asset_id}.parquet")
    assert load_assets(case, tmp_path) == (Asset("P-1", {"country": "NO"}), Asset("P-2", {"country": "BR"}))


@pytest.mark.parametrize("kind", ["csv", "parquet", "hive", "sql"])
def test_a_source_for_the_fleet_lists_the_values_of_its_asset_column(tmp_path: Path, kind: str) -> None:
    table = pa.table({"pump": ["007", "008", "007"], "ts": [1, 1, 2]})
    source: dict[str, Any] = {"asset": "pump", "path": f"all.{kind}"}
    if kind == "csv":
        (tmp_path / "all.csv").write_text("pump;ts\n007;1\n008;1\n007;2\n")
        source["options"] = {"sep": ";"}
    elif kind == "parquet":
        pq.write_table(table, tmp_path / "all.parquet")
    elif kind == "hive":
        pq.write_to_dataset(table, tmp_path / "all.hive", partition_cols=["pump"])
    else:
        with sqlite3.connect(tmp_path / "plant.db") as connection:
            connection.execute("create table readings (pump text, ts int)")
            connection.executemany("insert into readings values (?, ?)", [("007", 1), ("008", 1), ("007", 2)])
        connection.close()
        source = {"asset": "pump", "format": "sql", "uri": "sqlite:///plant.db", "table": "readings", "path": None}
    assert [asset.id for asset in load_assets(usecase({"source": "sensors"}, **source), tmp_path)] == ["007", "008"]


def test_a_database_lists_assets(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "plant.db") as connection:
        connection.execute("create table pumps (asset_id text, country text)")
        connection.execute("insert into pumps values ('0001', 'NO')")
    connection.close()
    sql = {"uri": "sqlite:///plant.db", "table": "pumps"}
    assert load_assets(usecase({"sql": sql}), tmp_path) == (Asset("0001", {"country": "NO"}),)
    with pytest.raises(ConfigError, match="did you mean 'pumps'"):
        load_assets(usecase({"sql": {**sql, "table": "pump"}}), tmp_path)
    with pytest.raises(UnavailableError):
        load_assets(usecase({"sql": {"uri": "sqlite:////nowhere/at/all.db", "table": "pumps"}}), tmp_path)


def test_a_function_lists_assets(tmp_path: Path) -> None:
    (tmp_path / "src" / "plantcode").mkdir(parents=True)
    (tmp_path / "src" / "plantcode" / "__init__.py").touch()
    (tmp_path / "src" / "plantcode" / "fleet.py").write_text(
        "import pandas as pd\n"
        "def pumps():\n    return pd.DataFrame({'asset_id': [1, 2], 'depth': [1.0, None]})\n"
        "def wrong():\n    return 5\n"
    )
    found = load_assets(usecase("python:plantcode.fleet:pumps"), tmp_path)
    assert found == (Asset("1", {"depth": 1.0}), Asset("2", {"depth": None}))
    with pytest.raises(UseCaseError, match="returned int, not a DataFrame"):
        load_assets(usecase("python:plantcode.fleet:wrong"), tmp_path)
    with pytest.raises(DatadriverError, match="did you mean 'pumps'"):
        load_assets(usecase("python:plantcode.fleet:pump"), tmp_path)
