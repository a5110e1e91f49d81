from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from datadriver.config.sections import Contract, OnBreach
from datadriver.data.contract.verdict import Verdict, judge
from datadriver.data.frame import Issue, SensorFrame
from datadriver.data.window import Window
from datadriver.errors import DataError

MakeSensor = Callable[..., SensorFrame]
Expect = Callable[..., dict[str, Any]]
Judge = Callable[..., Verdict]
LIVELY = np.linspace(1, 2, 144)


@pytest.fixture
def verdict(write_suite: Callable[..., Path]) -> Judge:
    def run(sensor: SensorFrame, *items: dict[str, Any], stage: str = "train", **contract: Any) -> Verdict:
        root = write_suite(*items).parent
        return judge(sensor, Contract(suite="suite.json", **contract), stage, root)  # type: ignore[arg-type]

    return run


def test_a_breach_is_told_in_figures_with_unit_and_instant(
    verdict: Judge, make_sensor: MakeSensor, expect: Expect
) -> None:
    values = LIVELY.copy()
    values[62:93] = 61.2
    sensor = make_sensor({"vibration": values}, units={"vibration": "mm/s"})
    item = expect("expect_column_values_to_be_between", column="vibration", min_value=0, max_value=25)
    check = verdict(sensor, item).checks[0]
    assert (
        check.message == "vibration: 31 of 144 values (21.5%) outside [0, 25] mm/s, e.g. 61.2 at 2024-03-01 10:20 UTC"
    )
    assert (check.unexpected_count, check.element_count, check.column) == (31, 144, "vibration")
    assert [(example.value, example.at) for example in check.examples] == [
        (61.2, f"2024-03-01T{hour}:00+00:00") for hour in ("10:20", "10:30", "10:40", "10:50", "11:00")
    ]


def test_all_in_order_passes_and_says_what_was_looked_at(
    verdict: Judge, make_sensor: MakeSensor, expect: Expect
) -> None:
    found = verdict(
        make_sensor({"flow": LIVELY}), expect("expect_column_values_to_be_between", column="flow", max_value=2)
    )
    assert (found.action, found.reason, found.failing, found.rows) == ("pass", "", (), 144)
    assert found.checks[0].message == "flow: none of 144 values not at most 2"


@pytest.mark.parametrize(
    ("severity", "actions"),
    [
        ("critical", {"train": "reject", "score": "warn"}),
        ("warning", {"train": "warn", "score": "warn"}),
        ("info", {"train": "pass", "score": "pass"}),
        (None, {"train": "reject", "score": "warn"}),
    ],
)
def test_severity_and_stage_decide_the_action(
    verdict: Judge, make_sensor: MakeSensor, expect: Expect, severity: str | None, actions: dict[str, str]
) -> None:
    item = expect("expect_column_max_to_be_between", severity, column="flow", max_value=1)
    for stage, action in actions.items():
        found = verdict(make_sensor({"flow": LIVELY}), item, stage=stage)
        assert found.action == action
        assert len(found.failing) == 1
        assert bool(found.reason) == (action != "pass")


def test_on_breach_may_say_otherwise_for_each_severity(verdict: Judge, make_sensor: MakeSensor, expect: Expect) -> None:
    items = [expect("expect_column_to_exist", severity, column="x") for severity in ("warning", "critical")]
    on_breach = OnBreach.model_validate({"train": {"critical": "ignore", "warning": "reject"}})
    found = verdict(make_sensor({"flow": LIVELY}), *items, on_breach=on_breach)
    assert found.action == "reject"
    assert [check.action for check in found.failing] == ["reject", "ignore"]


def test_the_worst_breach_is_the_reason(verdict: Judge, make_sensor: MakeSensor, expect: Expect) -> None:
    found = verdict(
        make_sensor({"flow": LIVELY}),
        expect("expect_column_max_to_be_between", "warning", column="flow", max_value=1),
        expect("expect_column_mean_to_be_between", column="flow", max_value=1),
        expect("expect_column_min_to_be_between", column="flow", max_value=1),
    )
    assert found.action == "reject"
    assert found.reason == "flow: the mean is 1.5, expected at most 1 (and 1 more)"


def test_a_missing_column_is_a_breach_and_the_other_checks_keep_their_places(
    verdict: Judge, make_sensor: MakeSensor, expect: Expect
) -> None:
    found = verdict(
        make_sensor({"flow": LIVELY, "speed": LIVELY}),
        expect("expect_column_mean_to_be_between", column="flow", min_value=0),
        expect("expect_column_mean_to_be_between", column="flwo", min_value=0),
        expect("expect_column_pair_values_to_be_equal", column_A="speed", column_B="sped"),
        expect("expect_column_gaps_to_be_at_most", column="flowt", max_gap="1h"),
        expect("expect_column_max_to_be_between", column="speed", min_value=0),
    )
    assert [check.column for check in found.checks] == ["flow", "flwo", "speed, sped", "flowt", "speed"]
    assert [check.success for check in found.checks] == [True, False, False, False, True]
    assert found.checks[1].message == "flwo: there is no such column in the frame; did you mean 'flow'?"
    assert found.checks[2].message.startswith("sped: there is no such column")


def test_an_expectation_that_cannot_be_judged_is_a_breach(
    verdict: Judge, make_sensor: MakeSensor, expect: Expect
) -> None:
    found = verdict(
        make_sensor({"mode": np.full(144, "auto")}), expect("expect_column_mean_to_be_between", column="mode")
    )
    assert found.action == "reject"
    assert "expect_column_mean_to_be_between cannot be judged: " in found.reason


def test_a_frame_without_rows_is_one_clear_breach(verdict: Judge, make_sensor: MakeSensor, expect: Expect) -> None:
    start = pd.Timestamp("2024-03-01", tz="UTC")
    empty = make_sensor({"flow": LIVELY[:0]}, window=Window(start, start + pd.Timedelta("1h")))
    items = [expect("expect_column_values_to_be_between", column="flow", max_value=1)] * 3
    found = verdict(empty, *items)
    assert (found.action, found.rows, len(found.checks)) == ("reject", 0, 1)
    assert found.reason.startswith("there are no rows in the window [2024-03-01T00:00:00+00:00, ")
    assert verdict(empty, *items, stage="score").action == "warn"


def test_a_contract_without_a_suite_passes_and_keeps_the_issues(make_sensor: MakeSensor, tmp_path: Path) -> None:
    issues = (Issue("sensors", None, "duplicate", 2),)
    found = judge(make_sensor({"flow": LIVELY}, issues=issues), Contract(), "train", tmp_path)
    assert (found.action, found.checks, found.issues) == ("pass", (), issues)


def test_all_null_columns_are_judged_as_great_expectations_does(
    verdict: Judge, make_sensor: MakeSensor, expect: Expect
) -> None:
    found = verdict(
        make_sensor({"flow": np.full(144, np.nan)}),
        expect("expect_column_values_to_be_between", column="flow", max_value=1),
        expect("expect_column_mean_to_be_between", column="flow", max_value=1),
        expect("expect_column_values_to_not_be_null", column="flow", mostly=0.5),
    )
    assert [check.success for check in found.checks] == [True, False, False]
    assert [check.message for check in found.checks] == [
        "flow: all values are null, none to judge",
        "flow: there is no mean (no values, or infinite ones), expected at most 1",
        "flow: 144 of 144 values (100.0%) null, at most 50% allowed, the first at 2024-03-01 00:00 UTC",
    ]


def test_every_verdict_is_json(verdict: Judge, make_sensor: MakeSensor, expect: Expect) -> None:
    values = np.where(np.arange(144) % 5 == 0, np.inf, LIVELY)
    found = verdict(
        make_sensor({"a": values, "b": LIVELY, "mode": np.where(LIVELY > 1.5, "auto", None)}),
        expect("expect_column_values_to_be_between", column="a", max_value=1),
        expect("expect_column_values_to_be_between", column="time", max_value="2024-03-01T05:00:00+00:00"),
        expect("expect_column_pair_values_to_be_equal", column_A="a", column_B="b"),
        expect("expect_multicolumn_sum_to_equal", column_list=["a", "b"], sum_total=3),
        expect("expect_column_values_to_be_in_set", column="mode", value_set=["manual"]),
        expect("expect_column_sum_to_be_between", column="a", max_value=1),
        expect(
            "expect_column_quantile_values_to_be_between",
            column="b",
            quantile_ranges={"quantiles": [0.5], "value_ranges": [[0, 1]]},
        ),
        expect("expect_table_columns_to_match_set", column_set=["a", "z"]),
    )
    assert not any(check.success for check in found.checks)
    json.dumps(asdict(found), allow_nan=False)
    assert found.checks[-1].message == "frame: columns unexpected: b, mode, time; missing: z"


def test_a_tag_named_like_the_index_is_refused(verdict: Judge, make_sensor: MakeSensor, expect: Expect) -> None:
    with pytest.raises(DataError, match="P-101, contract: a tag has the name of the index, 'time'"):
        verdict(make_sensor({"time": LIVELY}), expect("expect_column_to_exist", column="time"))


def test_judging_leaves_the_frame_as_it_was(verdict: Judge, make_sensor: MakeSensor, expect: Expect) -> None:
    sensor = make_sensor({"flow": LIVELY})
    before = sensor.frame.copy(deep=True)
    verdict(sensor, expect("expect_column_mean_to_be_between", column="flow"))
    pd.testing.assert_frame_equal(sensor.frame, before)
    assert sensor.frame.attrs == {}


def test_nothing_is_logged(
    verdict: Judge, make_sensor: MakeSensor, expect: Expect, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        verdict(make_sensor({"flow": LIVELY}), expect("expect_column_mean_to_be_between", column="nothing"))
    assert not [record for record in caplog.records if record.name.startswith("great_expectations")]


def test_a_fresh_process_prints_nothing_and_writes_no_files(write_suite: Callable[..., Path], expect: Expect) -> None:
    root = write_suite(expect("expect_column_mean_to_be_between", column="x", max_value=1)).parent
    code = (
        "import pathlib, pandas as pd\n"
        "from datadriver.config.fleet import Asset\n"
        "from datadriver.config.sections import Contract\n"
        "from datadriver.data.frame import SensorFrame\n"
        "from datadriver.data.contract.verdict import judge\n"
        "frame = pd.DataFrame({'x': [1.0, 5.0]}, index=pd.Index([1, 2], name='step'))\n"
        "verdict = judge(SensorFrame(Asset('P-1'), frame), Contract(suite='suite.json'), 'train', pathlib.Path('.'))\n"
        "assert verdict.action == 'reject', verdict\n"
    )
    home = {"HOME": str(root), "PATH": os.environ["PATH"], "TMPDIR": str(root)}
    command = [sys.executable, "-W", "error", "-B", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=root, env=home)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert [path.name for path in root.rglob("*")] == ["suite.json"]
