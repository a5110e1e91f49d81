"""The SQL reader on PostgreSQL (here because the server is): aware and naive stamps, ids as numbers, decimals."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import sqlalchemy as sa

from datadriver.config.fleet import Asset
from datadriver.config.sections import UseCase
from datadriver.data.fingerprint import extent, fingerprint
from datadriver.data.read import read_frame
from datadriver.data.window import Window

pytestmark = pytest.mark.postgres

TABLE = """
CREATE SCHEMA IF NOT EXISTS plant;
DROP TABLE IF EXISTS plant.readings;
CREATE TABLE plant.readings (aware timestamptz, naive timestamp, pump integer, "PIT-101.PV" numeric(8, 2), note text);
INSERT INTO plant.readings
SELECT t, t AT TIME ZONE 'Europe/Paris', pump, extract(epoch FROM t - '2026-03-29Z') / 600, 'x'
FROM generate_series('2026-03-29Z'::timestamptz, '2026-03-29T06:00Z', '10min') AS t, generate_series(6, 8) AS pump
ORDER BY t, pump;
"""


@pytest.mark.parametrize("index", ["aware", "naive"])
@pytest.mark.parametrize(
    "where",
    [
        {"table": "plant.readings", "asset": "pump"},
        {"query": "SELECT * FROM plant.readings WHERE CAST(pump AS text) = :asset_id AND {} >= :start AND {} < :end"},
        {"query": "SELECT * FROM plant.readings ORDER BY naive", "asset": "pump"},
    ],
)
def test_rows_of_one_asset_and_window(postgres: str, tmp_path: Path, index: str, where: dict[str, str]) -> None:
    uri = postgres.replace("://", "+psycopg://") + "/postgres"
    engine = sa.create_engine(uri)
    with engine.begin() as connection:
        connection.exec_driver_sql(TABLE)
    engine.dispose()
    source = {"uri": uri, "index": index, "timezone": "Europe/Paris", "tags": {"pressure": {"from": "PIT-101.PV"}}}
    source |= {key: value.replace("{}", index) for key, value in where.items()}
    usecase = UseCase.model_validate(
        {
            "name": "plant",
            "fleet": {"assets": "fleet.csv"},
            "data": {"sources": {"s": source}},
            "models": {"m": {"problem": "regression", "estimator": "a.b:c", "baseline": "a.b:c"}},
        }
    )
    start = pd.Timestamp("2026-03-29", tz="UTC")
    window = Window(start + pd.Timedelta("30min"), start + pd.Timedelta("2h"))
    sensor = read_frame(usecase, Asset("7"), window, tmp_path)
    assert sensor.frame["pressure"].tolist() == list(range(3, 12))
    assert sensor.frame.index[0] == window.start
    assert sensor.rows_read == {"s": 9}
    assert extent(usecase, Asset("7"), tmp_path) == Window(start, start + pd.Timedelta("6h1us"))
    assert fingerprint(usecase, Asset("7"), tmp_path) == fingerprint(usecase, Asset("7"), tmp_path)
