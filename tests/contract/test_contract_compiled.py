"""What is compiled, what is left to Great Expectations, and that it is not imported without need."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from datadriver.config.fleet import Asset
from datadriver.config.sections import Contract
from datadriver.data.contract.batch import to_batch
from datadriver.data.contract.catalogue import entries
from datadriver.data.contract.compiled.plan import MAKERS, plan_of
from datadriver.data.contract.engine import run
from datadriver.data.contract.suite import Suite, load_suite
from datadriver.data.contract.verdict import evaluate
from datadriver.data.contract.view import View
from datadriver.data.frame import SensorFrame
from datadriver.errors import ConfigError

ROOT = Path(__file__).parents[2]
Item = dict[str, Any]
MakeSuite = Callable[[Sequence[Item]], Suite]
Differences = Callable[..., list[Any]]


def test_one_of_five_is_within_a_share_of_four_fifths(suite_of: MakeSuite) -> None:
    frame = pd.DataFrame({"flow": [1.0, 2, 3, 4, 99]}, index=pd.RangeIndex(5, name="step"))
    item = {"type": "expect_column_values_to_be_between", "kwargs": {"column": "flow", "max_value": 9, "mostly": 0.8}}
    (outcome,) = evaluate(suite_of([item]), SensorFrame(Asset("P-1"), frame))
    assert (outcome.success, outcome.result["unexpected_count"]) == (True, 1)


_MISSING = [
    {"type": kind, "kwargs": {**kwargs, **{key: "flwo" for key in ("column", "column_A") if key in kwargs}}}
    for kind, kwargs in {
        "expect_column_values_to_be_between": {"column": "", "max_value": 1},
        "expect_column_values_to_not_be_null": {"column": ""},
        "expect_column_mean_to_be_between": {"column": "", "max_value": 1},
        "expect_column_pair_values_to_be_equal": {"column_A": "", "column_B": "flow"},
        "expect_multicolumn_sum_to_equal": {"column_list": ["flow", "flwo"], "sum_total": 1},
        "expect_column_values_to_not_be_frozen": {"column": "", "max_duration": 2},
        "expect_column_gaps_to_be_at_most": {"column": "", "max_gap": "2h"},
        "expect_data_to_be_fresh": {"column": "flow", "max_age": 1},
        "expect_column_to_exist": {"column": ""},
    }.items()
]


def test_what_cannot_be_judged_is_told_in_the_same_words(suite_of: MakeSuite, differences: Differences) -> None:
    sensor = SensorFrame(Asset("P-1"), pd.DataFrame({"flow": [1.0]}, index=pd.RangeIndex(1, name="step")))
    suite = suite_of(_MISSING)
    reference = run(suite.gx(), to_batch(sensor))
    assert [outcome.exception is None for outcome in reference] == [False] * 8 + [True]
    assert differences(_MISSING, plan_of(suite).run(View.of_sensor(sensor)), reference) == []


_A, _C = {"column": "a"}, {"column": "c"}
_TIES = [
    {"type": kind, "kwargs": kwargs}
    for kind, kwargs in [
        ("expect_column_value_z_scores_to_be_less_than", {**_A, "threshold": 1, "double_sided": True}),
        ("expect_column_value_z_scores_to_be_less_than", {**_A, "threshold": -1, "double_sided": True}),
        ("expect_column_value_z_scores_to_be_less_than", {**_A, "threshold": 1, "double_sided": False}),
        ("expect_column_value_z_scores_to_be_less_than", {**_C, "threshold": 1, "double_sided": False}),
        ("expect_column_values_to_not_be_outliers", {**_A, "method": "std", "multiplier": 1}),
        ("expect_column_values_to_not_be_outliers", {**_A, "method": "std", "multiplier": 0}),
        ("expect_column_values_to_not_be_outliers", {**_A, "method": "iqr", "multiplier": 0.5}),
        ("expect_column_values_to_not_be_outliers", {**_C, "method": "std"}),
        *(
            ("expect_column_quantile_values_to_be_between", {**_A, "quantile_ranges": {"quantiles": [0.5], **ranges}})
            for ranges in ({"value_ranges": [[low, high]]} for low, high in ((2.00019, 3), (2.00021, 3), (1, 1.99981)))
        ),
        ("expect_column_values_to_be_between", {**_A, "min_value": 1, "max_value": 3, "strict_min": True}),
        ("expect_column_values_to_be_between", {**_A, "min_value": 1, "max_value": 3, "strict_max": True}),
        ("expect_column_max_to_be_between", {**_A, "max_value": 3, "strict_max": True}),
        ("expect_column_to_exist", {**_A, "column_index": 0}),
        ("expect_table_row_count_to_be_between", {"min_value": 3, "strict_min": True}),
    ]
]


def test_ties_with_a_limit_fall_on_the_same_side(suite_of: MakeSuite, differences: Differences) -> None:
    frame = pd.DataFrame({"a": [1.0, 2, 3], "c": [4.0, 4, 4]}, index=pd.RangeIndex(3, name="step"))
    sensor, suite = SensorFrame(Asset("P-1"), frame), suite_of(_TIES)
    reference = run(suite.gx(), to_batch(sensor))
    assert {outcome.success for outcome in reference} == {True, False}
    assert differences(_TIES, plan_of(suite).run(View.of_sensor(sensor)), reference) == []


@pytest.mark.parametrize(
    ("kind", "kwargs"),
    [
        ("expect_column_values_to_be_between", {"column": "a", "max_value": "9"}),
        ("expect_column_values_to_be_between", {"column": "a", "max_value": "2024-03-01"}),
        ("expect_column_values_to_be_between", {"column": "a", "max_value": True}),
        ("expect_column_values_to_be_between", {"column": "a", "max_value": math.inf}),
        ("expect_column_values_to_be_between", {"column": "a", "max_value": 2**60 + 1}),
        ("expect_column_values_to_be_between", {"column": "a", "max_value": 1, "mostly": 1.5}),
        ("expect_column_values_to_be_between", {"column": "a", "min_value": 2, "max_value": 1}),
        ("expect_column_values_to_be_between", {"column": "a", "max_value": 1, "strict_max": 1}),
        ("expect_column_values_to_be_between", {"column": "a"}),
        ("expect_column_values_to_be_between", {"column": "a", "max_value": 1, "row_condition": "a > 0"}),
        ("expect_column_values_to_not_be_null", {"column": 7}),
        ("expect_column_values_to_not_be_null", {"column": "a", "result_format": "COMPLETE"}),
        ("expect_column_values_to_not_be_null", {"column": "a", "catch_exceptions": False}),
        ("expect_column_values_to_match_regex", {"column": "a", "regex": "(a)"}),
        ("expect_column_values_to_not_be_frozen", {"column": "a", "max_duration": "0s"}),
        ("expect_read_issues_to_be_at_most", {"kind": "duplicate"}),
        ("expect_table_column_count_to_be_between", {"min_value": 1, "strict_min": True}),
        ("expect_column_values_to_be_of_type", {"column": "a", "type_": "float64"}),
    ],
)
def test_unusual_keywords_are_left_to_great_expectations(
    suite_of: MakeSuite, kind: str, kwargs: dict[str, Any]
) -> None:
    fine = {"type": "expect_column_to_exist", "kwargs": {"column": "a", "catch_exceptions": True}}
    assert plan_of(suite_of([fine, {"type": kind, "kwargs": kwargs}])).left == (1,)


@pytest.mark.parametrize("rows", [0, 3])
def test_a_value_that_great_expectations_refuses_is_a_config_error(suite_of: MakeSuite, rows: int) -> None:
    frame = pd.DataFrame({"a": np.ones(rows)}, index=pd.RangeIndex(rows, name="step"))
    items = [
        {"type": "expect_column_to_exist", "kwargs": {"column": "a"}},
        {"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "a", "mostly": "most"}},
    ]
    with pytest.raises(ConfigError, match=r"expectations\[1\] .* mostly is 'most'"):
        evaluate(suite_of(items), SensorFrame(Asset("P-1"), frame))


def test_what_is_known_of_a_column_is_found_out_once() -> None:
    frame = pd.DataFrame({"a": [1.0, math.nan, 3.0]}, index=pd.RangeIndex(3, name="step"))
    view = View.of_sensor(SensorFrame(Asset("P-1"), frame))
    assert view.column("a").array is view.column("a").array
    assert view.column("a").array.tolist() == [1, 3]


CONTRACTS = [*ROOT.glob("examples/*/contracts/*.json"), *ROOT.glob("project_template/*/contracts/*.json")]


@pytest.mark.parametrize("path", CONTRACTS, ids=lambda path: path.parts[-3])
def test_contracts_that_we_ship_are_compiled_but_for_conditions_on_rows(path: Path) -> None:
    parameters = {"hottest": 90, "longest_gap": "6h", "oldest": "1d"}
    suite = load_suite(Contract(suite=path.name, parameters=parameters), path.parent)
    assert suite is not None
    assert suite.expectations
    conditional = [at for at, item in enumerate(suite.expectations) if "row_condition" in item["kwargs"]]
    assert list(plan_of(suite).left) == conditional
    assert len(conditional) < 2


def test_all_of_ours_are_compiled() -> None:
    assert {kind for kind, entry in entries().items() if entry.ours} <= MAKERS.keys()
    assert MAKERS.keys() <= entries().keys()


def test_a_compiled_contract_is_judged_without_importing_great_expectations(tmp_path: Path) -> None:
    suite = json.loads((ROOT / "examples" / "wind" / "contracts" / "sensors.json").read_text("utf-8"))
    suite["expectations"] = [item for item in suite["expectations"] if "row_condition" not in item["kwargs"]]
    (tmp_path / "suite.json").write_text(json.dumps(suite), "utf-8")
    code = (
        "import sys, pathlib, numpy as np, pandas as pd\n"
        "from datadriver.config.fleet import Asset\n"
        "from datadriver.config.sections import Contract\n"
        "from datadriver.data.frame import SensorFrame\n"
        "from datadriver.data.contract.verdict import judge\n"
        "index = pd.date_range('2024', periods=200, freq='10min', tz='UTC', unit='us', name='time')\n"
        "names = ['power', 'wind_speed', 'wind_100m', 'outdoor']\n"
        "frame = pd.DataFrame({name: np.sin(np.arange(200.0)) for name in names}, index=index)\n"
        "verdict = judge(SensorFrame(Asset('T1'), frame), Contract(suite='suite.json'), 'train', pathlib.Path('.'))\n"
        "assert verdict.action == 'pass' and len(verdict.checks) == 13, verdict\n"
        "print([name for name in ('great_expectations', 'mlflow', 'sklearn', 'scipy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout.strip() == "[]"


def test_the_record_lists_what_is_compiled() -> None:
    text = next((ROOT / "docs" / "adr").glob("0018-*.md")).read_text("utf-8")
    listed = text.partition("## What is compiled")[2].partition("\n## ")[0]
    assert set(re.findall(r"`(expect_\w+)`", listed)) == MAKERS.keys()
