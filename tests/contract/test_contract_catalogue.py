from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datadriver.data.contract import catalogue, snapshot

Write = Callable[..., Path]
Expect = Callable[..., dict[str, Any]]


def test_the_snapshot_is_what_great_expectations_has_now() -> None:
    shipped = Path(catalogue.__file__).with_name("catalogue.json").read_text(encoding="utf-8")
    assert shipped == snapshot.text(), "run python -m datadriver.data.contract.snapshot"


def test_a_static_check_loads_neither_great_expectations_nor_pandas(write_suite: Write, expect: Expect) -> None:
    path = write_suite(expect("expect_column_to_exist", column="flow"))
    code = (
        "import sys, pathlib, datadriver.data.contract\n"
        "from datadriver.data.contract.catalogue import problems\n"
        f"assert problems(pathlib.Path({str(path)!r}), {{}}) == ()\n"
        "print([name for name in ('great_expectations', 'pandas', 'numpy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_right_suite_has_no_problems(write_suite: Write, expect: Expect) -> None:
    path = write_suite(
        expect("expect_column_values_to_be_between", "warning", column="flow", max_value={"$PARAMETER": "most"}),
        expect("expect_column_values_to_not_be_frozen", column="flow", max_duration="2h"),
    )
    assert catalogue.problems(path, {"most": 9}) == ()


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (
            {"type": "expect_column_values_to_be_betwen", "kwargs": {"column": "a"}},
            "unknown expectation; did you mean 'expect_column_values_to_be_between'",
        ),
        (
            {"type": "expect_column_values_to_be_between", "kwargs": {"column": "a", "max_valeu": 3}},
            "unknown keyword 'max_valeu'; did you mean 'max_value'",
        ),
        ({"type": "expect_column_values_to_be_between", "kwargs": {}}, "the keyword 'column' is missing"),
        (
            {"type": "expect_column_to_exist", "kwargs": {"column": "a"}, "severity": "critcal"},
            "unknown severity 'critcal'; did you mean 'critical'",
        ),
        (
            {"type": "expect_column_max_to_be_between", "kwargs": {"column": "a", "max_value": {"$PARAMETER": "mots"}}},
            "the parameter 'mots' is not under `contract.parameters`; did you mean 'most'",
        ),
        (
            {"type": "expect_column_max_to_be_between", "kwargs": {"column": "a", "max_value": {"$PARAMETER": []}}},
            "parameter []",
        ),
        (
            {
                "type": "expect_column_mean_to_be_between",
                "kwargs": {"column": "a", "min_value": 10, "max_value": {"$PARAMETER": "most"}},
            },
            "min_value 10 is above max_value 9",
        ),
        (
            {"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "a", "mostly": 95}},
            "mostly is 95; it is a share from 0 to 1",
        ),
        (
            {"type": "expect_data_to_be_fresh", "kwargs": {"max_age": "2 parsecs"}},
            "max_age: '2 parsecs' is not a duration",
        ),
        (
            {"type": "expect_read_issues_to_be_at_most", "kwargs": {"kind": "duplicates", "max_count": 1}},
            "kind is 'duplicates'; did you mean 'duplicate'",
        ),
        ({"type": "unexpected_rows_expectation", "kwargs": {"unexpected_rows_query": "x"}}, "works on SQL tables only"),
        ({"expectation_type": "expect_column_to_exist", "kwargs": {}}, "`expectation_type` is the old spelling"),
        ({"type": "expect_column_to_exist", "kwarg": {"column": "a"}}, "unknown key 'kwarg'; did you mean 'kwargs'"),
        ({"type": "expect_column_to_exist", "kwargs": ["a"]}, "`kwargs` must be an object, not a list"),
        ("expect_column_to_exist", "an expectation is an object with `type` and `kwargs`, not a text"),
    ],
)
def test_each_mistake_is_named_with_its_place(write_suite: Write, item: Any, message: str) -> None:
    good = {"type": "expect_column_to_exist", "kwargs": {"column": "a"}}
    found = catalogue.problems(write_suite(good, item), {"most": 9}, label="contracts/s.json")
    assert any(message in problem for problem in found), found
    assert all(problem.startswith("contracts/s.json: expectations[1]") for problem in found)


def test_all_mistakes_are_found_at_once(write_suite: Write, expect: Expect) -> None:
    path = write_suite(expect("expect_nothing"), expect("expect_column_to_exist", "bad", colunm="a"))
    assert len(catalogue.problems(path, {})) == 4


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"name": "s",\n "expectations": [}', "line 2, column 19: not valid JSON"),
        ('{"name": "s", "expectations": [], "name": "t"}', "the key 'name' is given twice"),
        ("[]", "a suite is an object with `name` and `expectations`, not a list"),
        ('{"expectations": []}', "`name` must be a text, not null"),
        ('{"name": "s"}', "`expectations` must be a list, not null"),
        ('{"name": "s", "expectation": [], "expectations": []}', "unknown key 'expectation'"),
        ('{"name": "s", "expectations": [], "suite_parameters": {"a": 1}}', "`contract.parameters`"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_a_file_that_is_no_suite_is_explained(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "suite.json"
    path.write_text(text, encoding="utf-8")
    assert any(message in problem for problem in catalogue.problems(path, {}))


def test_a_missing_file_names_its_neighbour(tmp_path: Path, write_suite: Write) -> None:
    write_suite()
    assert "did you mean 'suite.json'" in catalogue.problems(tmp_path / "suites.json", {})[0]
    assert "no such suite file" in catalogue.problems(tmp_path / "nowhere" / "suite.json", {})[0]


JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["name", "expectations", "type", "kwargs", "severity", "column", "$PARAMETER", "max_gap", "x"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(JSON)
def test_whatever_the_file_holds_the_check_answers_in_sentences(document: Any) -> None:
    suite = {"name": "s", "expectations": [document, {"type": "expect_column_to_exist", "kwargs": document}]}
    for candidate in (document, suite):
        found = catalogue.problems_of(json.loads(json.dumps(candidate)), {"a": 1}, label="s.json")
        assert all(isinstance(problem, str) and problem.startswith("s.json: ") for problem in found)
