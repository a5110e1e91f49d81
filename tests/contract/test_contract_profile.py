from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

from datadriver.config.fleet import Asset
from datadriver.config.sections import Contract
from datadriver.data.contract import catalogue
from datadriver.data.contract.engine import quiet
from datadriver.data.contract.profile import profile
from datadriver.data.contract.verdict import Verdict, judge
from datadriver.data.frame import Issue, SensorFrame
from datadriver.errors import DataError

MakeSensor = Callable[..., SensorFrame]
RNG = np.random.default_rng(7)
NORMAL = RNG.normal(100, 5, 2000)


def verdict_on(draft: dict[str, Any], sensor: SensorFrame, root: Path) -> Verdict:
    (root / "draft.json").write_text(json.dumps(draft), encoding="utf-8")
    return judge(sensor, Contract(suite="draft.json"), "train", root)


def by_type(draft: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [item for item in draft["expectations"] if item["type"] == kind]


@st.composite
def histories(draw: st.DrawFn) -> list[SensorFrame]:
    """Frames of up to three assets with the same tags, as dirty as it goes."""
    steps = draw(st.booleans())
    values = st.sampled_from([0.0, -1.5, 3.0, 1e-6, 250.0, float("nan"), float("inf")]) | st.floats(-1e7, 1e7)
    frames = []
    for number in range(draw(st.integers(1, 3))):
        rows = draw(st.integers(1, 25))
        at = np.cumsum(draw(st.lists(st.integers(1, 5), min_size=rows, max_size=rows)))
        index = (
            pd.Index(at, name="step") if steps else pd.to_datetime(at, unit="h", utc=True).as_unit("us").rename("time")
        )
        tags = {
            tag: pd.Series(draw(st.lists(values, min_size=rows, max_size=rows)), dtype="float64").to_numpy()
            for tag in ("a", "b")
        }
        tags["mode"] = np.array(draw(st.lists(st.sampled_from(["auto", "off", None]), min_size=rows, max_size=rows)))
        issues = (Issue("s", "a", "unexpected_text", draw(st.integers(1, 9))),)
        frame = pd.DataFrame(tags, index=index).astype({"mode": "str"})
        frames.append(SensorFrame(Asset(f"P-{number}"), frame, issues=issues, rows_read={"s": 10}))
    return frames


@given(histories())
@settings(
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_the_history_that_a_draft_was_made_from_meets_it(tmp_path: Path, frames: list[SensorFrame]) -> None:
    frames = [sensor for sensor in frames if sensor.frame.notna().to_numpy().any()]
    assume(frames)
    draft = profile(frames)
    for sensor in frames:
        found = verdict_on(draft, sensor, tmp_path)
        assert found.failing == ()


def test_a_draft_is_a_suite_that_stock_great_expectations_loads(make_sensor: MakeSensor, tmp_path: Path) -> None:
    draft = profile([make_sensor({"load": NORMAL})])
    path = tmp_path / "draft.json"
    path.write_text(json.dumps(draft), encoding="utf-8")
    assert catalogue.problems(path, {}) == ()
    with quiet():
        gx = importlib.import_module("great_expectations")
        suite = gx.ExpectationSuite(**draft)
    assert len(suite.expectations) == len(draft["expectations"])


def test_ranges_are_robust_and_round_and_explained(make_sensor: MakeSensor) -> None:
    values = NORMAL.copy()
    values[500] = 1e9
    (item,) = by_type(profile([make_sensor({"load": values})]), "expect_column_values_to_be_between")
    assert item["kwargs"] == {"column": "load", "min_value": 75, "max_value": 125, "mostly": 0.999}
    assert "0.1% and 99.9% quantiles" in item["meta"]["notes"]["content"][0]


def test_a_quantity_that_is_never_negative_gets_no_negative_bound(make_sensor: MakeSensor) -> None:
    (item,) = by_type(profile([make_sensor({"flow": np.abs(NORMAL - 100)})]), "expect_column_values_to_be_between")
    assert item["kwargs"]["min_value"] == 0


def test_a_machine_at_rest_is_left_out_of_the_limit_on_frozen_values(make_sensor: MakeSensor) -> None:
    values = NORMAL.copy()
    values[200:1400] = 0.0
    (item,) = by_type(profile([make_sensor({"flow": values})]), "expect_column_values_to_not_be_frozen")
    assert item["kwargs"] == {"column": "flow", "max_duration": "30min", "except_values": [0.0]}


def test_a_column_that_never_moves_gets_no_limit_and_the_draft_says_so(make_sensor: MakeSensor) -> None:
    draft = profile([make_sensor({"flow": np.full(300, 173.0961), "load": NORMAL[:300]})])
    assert [item["kwargs"]["column"] for item in by_type(draft, "expect_column_values_to_not_be_frozen")] == ["load"]
    assert any(note.startswith("flow: it is always 173.0961") for note in draft["meta"]["notes"]["content"])


def test_a_column_that_hardly_moves_gets_a_range_and_no_limit_on_frozen_values(make_sensor: MakeSensor) -> None:
    draft = profile([make_sensor({"flow": np.repeat([173.1, 173.2], 150)})])
    assert by_type(draft, "expect_column_values_to_not_be_frozen") == []
    (item,) = by_type(draft, "expect_column_values_to_be_between")
    assert (item["kwargs"]["min_value"], item["kwargs"]["max_value"]) == (173.07, 173.23)
    assert any(note.startswith("flow: an asset holds one value") for note in draft["meta"]["notes"]["content"])


def test_a_column_that_some_assets_lack_is_not_demanded(make_sensor: MakeSensor, tmp_path: Path) -> None:
    frames = [make_sensor({"load": NORMAL, "flow": NORMAL}), make_sensor({"load": NORMAL}, asset_id="P-102")]
    draft = profile(frames)
    assert [item["kwargs"]["column"] for item in by_type(draft, "expect_column_to_exist")] == ["load"]
    assert all(verdict_on(draft, sensor, tmp_path).action == "pass" for sensor in frames)


def test_a_draft_finds_what_good_history_lacks(make_sensor: MakeSensor, tmp_path: Path) -> None:
    draft = profile([make_sensor({"load": NORMAL})])
    frozen, shifted, holed = NORMAL.copy(), NORMAL * 10, NORMAL.copy()
    frozen[100:200] = frozen[100]
    holed[100:400] = np.nan
    for bad, kind in (
        (frozen, "expect_column_values_to_not_be_frozen"),
        (shifted, "expect_column_values_to_be_between"),
        (holed, "expect_column_values_to_not_be_null"),
    ):
        found = verdict_on(draft, make_sensor({"load": bad}), tmp_path)
        assert kind in {check.expectation for check in found.failing}


def test_a_draft_needs_rows(make_sensor: MakeSensor) -> None:
    with pytest.raises(DataError, match="no history to profile"):
        profile([make_sensor({"load": NORMAL[:0]})])
