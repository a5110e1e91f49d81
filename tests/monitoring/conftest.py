"""Builders of what facts are made of: a use case, an instance with its champion, frames, windows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest

from datadriver.config.fleet import Asset, Instance, Unit
from datadriver.config.sections import UseCase
from datadriver.data.frame import SensorFrame
from datadriver.data.window import Window
from datadriver.tracking.records import Version

DAY = pd.Timedelta(days=1)
START = pd.Timestamp("2025-03-01", tz="UTC").as_unit("us")

REGRESSION = {
    "problem": "regression",
    "target": {"column": "temperature"},
    "estimator": "plant.models:ridge",
    "baseline": "plant.models:mean",
    "evaluate": {"metrics": ["mae"], "primary": "mae"},
    "alarm": {"on": "residual", "above": {"quantile": 0.999}},
}


def make_usecase(
    checks: Mapping[str, Any] | None = None, model: Mapping[str, Any] | None = None, **sections: Any
) -> UseCase:
    """Make a use case of one model; `checks` of `monitor`, all others as by default."""
    data = {"resolution": "1h", "sources": {"sensors": {"path": "{asset_id}.csv", "index": "ts"}}}
    monitor = {"window": "1d", "checks": dict(checks or {})}
    return UseCase.model_validate(
        {
            "name": "plant",
            "fleet": {"assets": "fleet.csv"},
            "data": {**data, **sections.pop("data", {})},
            "models": {"m": model or REGRESSION},
            "monitor": {**monitor, **sections.pop("monitor", {})},
            **sections,
        }
    )


def make_instance(usecase: UseCase, assets: Sequence[str] = ("P-1",)) -> Instance:
    """Make the instance of its model."""
    spec = usecase.models["m"]
    unit = (
        Unit(assets[0], (Asset(assets[0]),)) if spec.fit == "asset" else Unit("fleet", tuple(map(Asset, assets)), True)
    )
    return Instance(unit, "m", spec, usecase)


def make_version(metrics: Mapping[str, float] | None = None, threshold: float | None = 2.0, number: int = 3) -> Version:
    """Make the champion."""
    return Version(
        "P-1", "m", number, "run", "uri", "path", "0" * 64, "key", "model", "predict",
        {"model": dict(metrics or {"mae": 1.0}), "baseline": dict(metrics or {"mae": 2.0})}, {}, threshold,
    )  # fmt: skip


def make_days(count: int, start: pd.Timestamp = START) -> tuple[Window, ...]:
    """Return windows of a day."""
    return tuple(Window(start + day * DAY, start + (day + 1) * DAY) for day in range(count))


def make_rows(hours: int, *columns: str, seed: int = 0, start: pd.Timestamp = START) -> pd.DataFrame:
    """Return hourly rows of numbers without pattern."""
    index = pd.date_range(start, periods=hours, freq="h", name="time").as_unit("us")
    values = np.random.default_rng(seed).normal(10, 2, (hours, len(columns)))
    return pd.DataFrame(values, index=index, columns=list(columns))


def make_sensor(frame: pd.DataFrame, **given: Any) -> SensorFrame:
    """Return the sensor frame of an asset."""
    return SensorFrame(Asset("P-1"), frame, **given)


class Plant:
    """All of them in one place, for tests to ask for."""

    start = START
    regression = REGRESSION
    usecase = staticmethod(make_usecase)
    instance = staticmethod(make_instance)
    version = staticmethod(make_version)
    days = staticmethod(make_days)
    rows = staticmethod(make_rows)
    sensor = staticmethod(make_sensor)


@pytest.fixture(scope="session")
def plant() -> type[Plant]:
    """Builders."""
    return Plant
