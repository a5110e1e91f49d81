from __future__ import annotations

import html
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from datadriver.config.sections import Contract, UseCase
from datadriver.data.contract.docs import build_docs
from datadriver.data.contract.verdict import judge
from datadriver.data.frame import SensorFrame
from datadriver.errors import ConfigError, DataError, UnavailableError

MakeSensor = Callable[..., SensorFrame]
LIVELY = np.linspace(1, 2, 144)


def usecase(contract: dict[str, Any], overrides: tuple[dict[str, Any], ...] = ()) -> UseCase:
    return UseCase.model_validate(
        {
            "name": "pumps",
            "fleet": {"assets": "fleet.csv"},
            "data": {"sources": {"sensors": {"path": "{asset_id}.parquet", "index": "ts"}}},
            "models": {"m": {"problem": "anomaly", "estimator": "pumps.models:e", "baseline": "pumps.models:b"}},
            "contract": contract,
            "overrides": overrides,
        }
    )


def text_of(page: Path) -> str:
    return html.unescape(re.sub(r"<[^>]*>", " ", page.read_text(encoding="utf-8")))


def test_each_asset_gets_a_page_with_its_own_limits(
    make_sensor: MakeSensor, expect: Callable[..., Any], write_suite: Callable[..., Path], tmp_path: Path
) -> None:
    write_suite(
        expect("expect_column_values_to_be_between", column="flow", max_value={"$PARAMETER": "most"}),
        expect("expect_column_values_to_not_be_frozen", column="flow", max_duration="2h", except_values=[0]),
        expect("expect_column_gaps_to_be_at_most", max_gap="1h"),
        expect("expect_data_to_be_fresh", max_age="1h"),
        expect("expect_sampling_rate_to_be_between", max_interval="1h"),
        expect("expect_read_issues_to_be_at_most", kind="duplicate", max_count=3),
        expect(
            "expect_column_quantile_values_to_be_between",
            column="flow",
            quantile_ranges={"quantiles": [0.5], "value_ranges": [[0, 9]]},
        ),
    )
    override = {"where": 'asset_id == "15/9-F-1 C"', "set": {"contract.parameters.most": 77}}
    pumps = usecase({"suite": "suite.json", "parameters": {"most": 33}}, (override,))
    frames = [make_sensor({"flow": LIVELY}, asset_id=name) for name in ("P-101", "15/9-F-1 C")]
    for _ in range(2):
        index = build_docs(pumps, frames, tmp_path, tmp_path / "docs", now=pd.Timestamp("2024-03-02", tz="UTC"))
    pages = {page.parts[-4].split("-")[0]: text_of(page) for page in (index.parent / "validations").rglob("*.html")}
    assert index.is_file()
    assert sorted(pages) == ["15", "P"]
    assert len(list((index.parent / "validations").rglob("*.html"))) == 2
    assert "less than or equal to 33" in " ".join(pages["P"].split())
    assert "less than or equal to 77" in " ".join(pages["15"].split())
    for sentence in (
        "flow must not hold one value for longer than 2h, except at 0.",
        "Values of the whole frame must be at most 1h apart.",
        "The last value of the whole frame must be at most 1h old.",
        "Values of the whole frame must be at most 1h apart (median).",
        "Reading may meet duplicate at most 3 times.",
    ):
        assert sentence in pages["P"]
    assert judge(frames[0], Contract(suite="suite.json", parameters={"most": 1}), "train", tmp_path).action == "reject"


def test_docs_need_a_suite_rows_and_a_place(
    make_sensor: MakeSensor, expect: Callable[..., Any], write_suite: Callable[..., Path], tmp_path: Path
) -> None:
    write_suite(expect("expect_column_to_exist", column="flow"))
    sensor, empty = make_sensor({"flow": LIVELY}), make_sensor({"flow": LIVELY[:0]})
    with pytest.raises(ConfigError, match=r"set `contract\.suite`"):
        build_docs(usecase({}), [sensor], tmp_path, tmp_path / "docs")
    with pytest.raises(DataError, match="none of the chosen assets has rows"):
        build_docs(usecase({"suite": "suite.json"}), [empty], tmp_path, tmp_path / "docs")
    with pytest.raises(UnavailableError, match="cannot be written"):
        build_docs(usecase({"suite": "suite.json"}), [sensor], tmp_path, tmp_path / "suite.json")
