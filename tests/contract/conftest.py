"""Frames and suites to judge."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from datadriver.config.fleet import Asset
from datadriver.data.contract.engine import Outcome
from datadriver.data.contract.suite import Suite
from datadriver.data.frame import SensorFrame

DAY = 144
MakeSensor = Callable[..., SensorFrame]
Expect = Callable[..., dict[str, Any]]


def times(rows: int = DAY, step: str = "10min") -> pd.DatetimeIndex:
    return pd.date_range("2024-03-01", periods=rows, freq=step, tz="UTC", unit="us", name="time")


@pytest.fixture
def make_sensor() -> MakeSensor:
    """A frame of one asset, every 10 minutes from 2024-03-01, unless `index` says otherwise."""

    def make(columns: dict[str, Any], index: pd.Index | None = None, **about: Any) -> SensorFrame:
        rows = len(next(iter(columns.values())))
        index = times(rows) if index is None else index
        frame = pd.DataFrame({name: np.asarray(values) for name, values in columns.items()}, index=index)
        return SensorFrame(Asset(about.pop("asset_id", "P-101")), frame, **about)

    return make


@pytest.fixture
def expect() -> Expect:
    def item(kind: str, severity: str | None = None, /, **kwargs: Any) -> dict[str, Any]:
        return {"type": kind, "kwargs": kwargs} | ({"severity": severity} if severity else {})

    return item


@pytest.fixture
def write_suite(tmp_path: Path) -> Callable[..., Path]:
    """Writes `suite.json` with these expectations into `tmp_path`."""

    def write(*expectations: Any) -> Path:
        path = tmp_path / "suite.json"
        path.write_text(json.dumps({"name": "sensors", "expectations": list(expectations)}), encoding="utf-8")
        return path

    return write


@pytest.fixture(scope="session")
def suite_of() -> Callable[[Sequence[dict[str, Any]]], Suite]:
    """A suite of these expectations, without a file and without its checks."""

    def make(items: Sequence[dict[str, Any]]) -> Suite:
        full = [{"severity": "critical", "meta": {}, "notes": None, "description": None, **item} for item in items]
        return Suite("suite.json", "sensors", json.dumps(full))

    return make


def _same(one: Any, other: Any) -> bool:
    """Say whether two results are equal, where NaN equals NaN and numpy's numbers equal Python's."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, (bool, np.bool_)) or isinstance(other, (bool, np.bool_)):
        return isinstance(one, (bool, np.bool_)) and isinstance(other, (bool, np.bool_)) and bool(one == other)
    if isinstance(one, (int, float, np.integer)) and isinstance(other, (int, float, np.integer)):
        return bool(one == other) or (math.isnan(one) and math.isnan(other))
    return type(one) is type(other) and (one is other or bool(one == other))


def _differences(
    items: Sequence[dict[str, Any]], found: Sequence[Outcome | None], reference: Sequence[Outcome]
) -> list[Any]:
    return [
        (item, ours, theirs)
        for item, ours, theirs in zip(items, found, reference, strict=True)
        if ours is None
        or (ours.success, ours.exception) != (theirs.success, theirs.exception)
        or not _same(ours.result, theirs.result)
    ]


@pytest.fixture(scope="session")
def differences() -> Callable[..., list[Any]]:
    """The expectations whose outcomes are not those of Great Expectations, or were not compiled, with both outcomes."""
    return _differences
