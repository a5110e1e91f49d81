from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from datadriver.config.sections import Contract
from datadriver.data.contract.suite import load_suite
from datadriver.errors import ConfigError

Write = Callable[..., Path]
Expect = Callable[..., dict[str, Any]]
CONTRACT = Contract(suite="suite.json", parameters={"most": 90})


def test_parameters_are_filled_in_wherever_they_stand(write_suite: Write, expect: Expect) -> None:
    path = write_suite(
        expect("expect_column_max_to_be_between", column="a", max_value={"$PARAMETER": "most"}),
        expect("expect_column_values_to_be_in_set", column="a", value_set=[1, {"$PARAMETER": "most"}]),
    )
    suite = load_suite(CONTRACT, path.parent)
    assert suite is not None
    assert [item["kwargs"] for item in suite.expectations] == [
        {"column": "a", "max_value": 90},
        {"column": "a", "value_set": [1, 90]},
    ]


def test_a_contract_without_a_suite_has_none(tmp_path: Path) -> None:
    assert load_suite(Contract(), tmp_path) is None


def test_severity_is_critical_unless_said(write_suite: Write, expect: Expect) -> None:
    path = write_suite(
        expect("expect_column_to_exist", column="a"), expect("expect_column_to_exist", "info", column="b")
    )
    suite = load_suite(CONTRACT, path.parent)
    assert suite is not None
    assert [item["severity"] for item in suite.expectations] == ["critical", "info"]
    assert [expectation.severity.value for expectation in suite.gx().expectations] == ["critical", "info"]


def test_the_digest_changes_with_a_parameter_and_not_with_notes(write_suite: Write, expect: Expect) -> None:
    item = expect("expect_column_max_to_be_between", column="a", max_value={"$PARAMETER": "most"})
    digests = []
    for parameters, notes in (({"most": 90}, "x"), ({"most": 90}, "y"), ({"most": 91}, "y")):
        path = write_suite({**item, "notes": notes})
        suite = load_suite(Contract(suite="suite.json", parameters=parameters), path.parent)
        assert suite is not None
        digests.append(suite.digest)
    assert digests[0] == digests[1] != digests[2]


def test_mistakes_are_config_errors_that_name_the_suite_as_the_config_does(write_suite: Write, expect: Expect) -> None:
    path = write_suite(expect("expect_column_to_exits", column="a"), expect("expect_column_to_exist", colum="a"))
    with pytest.raises(ConfigError) as caught:
        load_suite(CONTRACT, path.parent)
    assert len(caught.value.problems) == 3
    assert caught.value.problems[0].startswith(
        "suite.json: expectations[0] expect_column_to_exits: unknown expectation"
    )


@pytest.mark.parametrize(
    ("kind", "kwargs", "message"),
    [
        ("expect_column_values_to_be_between", {"column": 7}, "column is 7: "),
        ("expect_column_values_to_be_between", {"column": "a", "mostly": "most"}, "mostly is 'most': "),
        (
            "expect_column_values_to_not_be_frozen",
            {"column": "a", "max_duration": "0s"},
            "'0s' is not longer than zero",
        ),
        (
            "expect_column_values_to_not_be_frozen",
            {"column": "a", "max_duration": 1.5},
            "neither a duration such as 1h",
        ),
        ("expect_read_issues_to_be_at_most", {"kind": "duplicate"}, "give max_count, max_share or both"),
    ],
)
def test_values_that_great_expectations_refuses_are_config_errors(
    write_suite: Write, expect: Expect, kind: str, kwargs: dict[str, Any], message: str
) -> None:
    suite = load_suite(CONTRACT, write_suite(expect(kind, **kwargs)).parent)
    assert suite is not None
    with pytest.raises(ConfigError) as caught:
        suite.gx()
    assert caught.value.problems[0].startswith(f"suite.json: expectations[0] {kind}: ")
    assert message in caught.value.problems[0]


def test_equal_suites_are_built_once(write_suite: Write, expect: Expect) -> None:
    path = write_suite(expect("expect_column_to_exist", column="a"))
    first, second = load_suite(CONTRACT, path.parent), load_suite(CONTRACT, path.parent)
    assert first is not None
    assert second is not None
    assert first.gx() is second.gx()
