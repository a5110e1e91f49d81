from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datadriver.config.values import Rows, Share, format_amount, format_duration, parse_amount, parse_duration

durations = st.timedeltas(min_value=timedelta(), max_value=timedelta(days=36500))


@given(durations)
def test_a_duration_reads_back_as_it_was_written(value):
    assert parse_duration(format_duration(value)) == value


@given(durations.filter(bool) | st.integers(1, 10**9).map(Rows) | st.integers(1, 99).map(lambda p: Share(p / 100)))
def test_an_amount_reads_back_as_it_was_written(value):
    assert parse_amount(format_amount(value)) == value


@given(st.text(max_size=12) | st.integers() | st.floats() | st.none() | st.lists(st.integers()))
def test_any_other_value_is_refused_with_a_reason(value):
    for parse in (parse_duration, parse_amount):
        try:
            parse(value)
        except ValueError as error:
            assert str(error)  # noqa: PT017 - the property is that nothing but a ValueError comes out


@pytest.mark.parametrize("text", ["0%", "100%", "120%"])
def test_a_share_is_a_part(text):
    with pytest.raises(ValueError, match="between 0% and 100%"):
        parse_amount(text)


def test_a_duration_beyond_all_bounds_is_refused():
    with pytest.raises(ValueError, match="longer than"):
        parse_duration("99999999999999d")
