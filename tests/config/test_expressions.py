"""Cohort expressions mean what Python means, refuse everything else, and say where the mistake is."""

from __future__ import annotations

import contextlib
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datadriver.config.expressions import parse, unknown_names
from datadriver.errors import ConfigError

NAMES = ("country", "depth", "active")
rows = st.fixed_dictionaries(
    {"country": st.sampled_from(["NO", "BR", "", "é"]), "depth": st.integers(-3, 3), "active": st.booleans()}
)
texts = st.one_of(
    st.builds("country {} {!r}".format, st.sampled_from(["==", "!=", "<", ">="]), st.sampled_from(["NO", "BR", "X"])),
    st.builds("depth {} {}".format, st.sampled_from(["==", "!=", "<", "<=", ">", ">="]), st.integers(-3, 3)),
    st.builds("{} < depth <= {}".format, st.integers(-3, 3), st.integers(-3, 3)),
    st.builds("country {} {!r}".format, st.sampled_from(["in", "not in"]), st.lists(st.sampled_from(["NO", "BR"]))),
    st.sampled_from(["active", "True", "'O' in country", "depth is None", "country is not None"]),
)
expressions = st.recursive(
    texts,
    lambda inner: st.one_of(
        st.builds("({} and {})".format, inner, inner),
        st.builds("({} or {})".format, inner, inner),
        st.builds("not ({})".format, inner),
    ),
    max_leaves=6,
)


@given(expressions, rows)
def test_an_expression_means_what_python_means(text: str, row: dict[str, Any]) -> None:
    assert parse(text).matches(row) == bool(eval(text, {"__builtins__": {}}, dict(row)))


@pytest.mark.parametrize(
    "text", ["depth == 1", "depth != 1", "depth < 1", "depth in [1]", "depth not in [1]", "1 < depth < 3"]
)
@pytest.mark.parametrize("row", [{}, {"depth": None}, {"depth": float("nan")}])
def test_a_missing_attribute_matches_no_comparison(text: str, row: dict[str, Any]) -> None:
    assert not parse(text).matches(row)
    assert parse("depth is None").matches(row)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        ("country = 'NO'", "character 9: invalid syntax; write == to compare"),
        ("country == 'NO' && depth > 1", "write `and`"),
        ("country == 'NO' or 'SE'", "character 20: 'SE' is not a condition"),
        ("country == None", "is None"),
        ("country is 'NO'", "write =="),
        ("country in [NO]", "'NO' in quotes"),
        ("__import__('os').system('x')", "character 1: only comparisons"),
        ("depth + 1 > 2", "character 1: expected an attribute"),
        ("country.upper() == 'NO'", "character 1: expected an attribute"),
        ("[x for x in y]", "only comparisons"),
        ("(" * 5000, "too long"),
        ("not " * 900 + "x", "too long"),
        ("depth == 1j", "expected an attribute"),
        ("lambda: 1", "only comparisons"),
    ],
)
def test_what_is_outside_of_the_grammar_is_a_config_error(text: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text)
    assert said in caught.value.message


@given(st.text(max_size=40))
def test_any_text_is_an_expression_or_a_config_error(text: str) -> None:
    with contextlib.suppress(ConfigError):
        assert parse(text).matches({"country": "NO"}) in (True, False)


def test_ordering_text_against_a_number_is_a_config_error() -> None:
    with pytest.raises(ConfigError, match="'NO' > 5 compares things of different types"):
        parse("country > 5").matches({"country": "NO"})


def test_an_expression_knows_its_names_and_survives_pickling() -> None:
    expression = parse("contry == 'NO' and depth > 1")
    assert unknown_names(expression, {"country", "depth"}) == (
        "`contry == 'NO' and depth > 1`: no asset has an attribute 'contry'; did you mean 'country'?",
    )
    assert pickle.loads(pickle.dumps(expression)) == expression
