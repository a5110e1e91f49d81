"""A made fleet to measure training on: sensor frames in Parquet files, a contract, and as many models as asked for.

Every tag of an asset follows two hidden loads and its own past, so that a Ridge regression beats the mean. A fifth of
the assets have rows that breach the contract; it warns, so the work is the same for all.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

ROWS = 2000
TAGS = tuple(f"tag_{number}" for number in range(10))
START = pd.Timestamp("2025-01-01", tz="UTC")
END = START + pd.Timedelta(hours=ROWS)

_MODELS = '''"""Estimators of the benchmark."""

from sklearn.dummy import DummyRegressor
from sklearn.ensemble import RandomForestRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


def ridge(alpha=1.0):
    return make_pipeline(SimpleImputer(), StandardScaler(), Ridge(alpha=alpha))


def forest(trees=10):
    return make_pipeline(SimpleImputer(), RandomForestRegressor(trees, max_depth=6, random_state=0))


def mean():
    return DummyRegressor()
'''

_FEATURES = '''"""Features of the benchmark."""


def with_means(frame):
    means = frame.iloc[:, :3].rolling(6, min_periods=1).mean()
    return frame.join(means.add_suffix("_6h"))
'''

_YAML = """
name: plant
fleet: {{assets: fleet.csv}}
data:
  resolution: 1h
  sources:
    sensors: {{path: "data/{{asset_id}}.parquet", index: ts}}
contract: {{suite: contracts/sensors.json, on_breach: {{train: warn, score: warn}}}}
models:
{models}
tracking: {{uri: "{tracking}", artifacts: .datadriver/artifacts}}
ledger: {{uri: "{ledger}"}}
"""

_MODEL = """
  {name}:
    problem: regression
    target: {{column: {target}}}
    features: plant.features:with_means
    estimator: plant.models:{estimator}
    baseline: plant.models:mean
    window: {{min_rows: 500}}
    evaluate: {{split: time, holdout: 20%, metrics: [mae, r2], primary: mae}}
    alarm: {{on: residual, above: {{quantile: 0.999}}, for: 2h}}
"""


@dataclass(frozen=True)
class Fleet:
    """A use case on disk, and what it is made of.

    Attributes:
        estimator: `ridge` or `forest`.
        per_asset: models an asset; each learns another tag.
    """

    root: Path
    assets: int
    per_asset: int
    estimator: str

    @property
    def models(self) -> int:
        """How many models there are in all."""
        return self.assets * self.per_asset


def make_data(folder: Path, assets: int, *, workers: int) -> None:
    """Write the sensor files of the first assets, where they do not lie there already."""
    folder.mkdir(parents=True, exist_ok=True)
    missing = [number for number in range(assets) if not _file(folder, number).exists()]
    with get_context("spawn").Pool(workers) as pool:
        for _ in pool.imap_unordered(partial(_write_asset, folder), missing, chunksize=16):
            pass


def make_fleet(  # noqa: PLR0913 - what a fleet is made of
    root: Path,
    data: Path,
    models: int,
    *,
    per_asset: int = 1,
    estimator: str = "ridge",
    tracking: str = "sqlite:///.datadriver/mlflow.db",
    ledger: str = "sqlite:///.datadriver/ledger.db",
) -> Fleet:
    """Write a use case of `models` models over sensor files that lie in `data`."""
    fleet = Fleet(root, -(-models // per_asset), per_asset, estimator)
    package = root / "src" / "plant"
    package.mkdir(parents=True)
    (root / "contracts").mkdir()
    (root / "data").symlink_to(data.absolute())
    (root / "fleet.csv").write_text("asset_id\n" + "".join(f"{_name(number)}\n" for number in range(fleet.assets)))
    (root / "contracts" / "sensors.json").write_text(json.dumps({"name": "plant", "expectations": _expectations()}))
    for name, text in (("__init__", ""), ("models", _MODELS), ("features", _FEATURES)):
        (package / f"{name}.py").write_text(text)
    sections = [
        _MODEL.strip("\n").format(name=f"{estimator}_{number}", target=TAGS[-1 - number], estimator=estimator)
        for number in range(per_asset)
    ]
    text = _YAML.lstrip("\n").format(models="\n".join(sections), tracking=tracking, ledger=ledger)
    (root / "usecase.yaml").write_text(text)
    return fleet


def _write_asset(folder: Path, number: int) -> None:
    generator = np.random.default_rng(number)
    loads = np.cumsum(generator.normal(0, 0.3, (ROWS, 2)), axis=0)
    noise = generator.normal(0, 1, (ROWS, len(TAGS)))
    values = (50 + np.tanh(loads / 10) @ generator.normal(0, 12, (2, len(TAGS))) + noise).round(2)
    if number % 5 == 0:
        values[100:150, 0] = 400.0
        values[200:300, 1] = np.nan
        values[500:560, 2] = 50.0
    stamps = pd.date_range(START + pd.Timedelta(hours=1), periods=ROWS, freq="h", unit="us")
    table = pa.table({"ts": pa.array(stamps), **{tag: values[:, place] for place, tag in enumerate(TAGS)}})
    pq.write_table(table, _file(folder, number))


def _expectations() -> list[dict[str, object]]:
    """Return 18 expectations as a sensor contract has them: 2 of the table, 4 of each of four tags."""
    items: list[tuple[str, dict[str, object]]] = [
        ("expect_table_row_count_to_be_between", {"min_value": 48}),
        ("expect_column_values_to_be_increasing", {"column": "time", "strictly": True}),
    ]
    for tag in TAGS[:4]:
        items += [
            ("expect_column_values_to_not_be_null", {"column": tag, "mostly": 0.99}),
            ("expect_column_values_to_be_between", {"column": tag, "min_value": 0, "max_value": 150, "mostly": 0.99}),
            ("expect_column_mean_to_be_between", {"column": tag, "min_value": 10, "max_value": 90}),
            ("expect_column_values_to_not_be_frozen", {"column": tag, "max_duration": "12h"}),
        ]
    return [{"type": kind, "kwargs": kwargs} for kind, kwargs in items]


def _file(folder: Path, number: int) -> Path:
    return folder / f"{_name(number)}.parquet"


def _name(number: int) -> str:
    return f"A-{number:05d}"
