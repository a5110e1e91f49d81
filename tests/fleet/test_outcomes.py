"""How a command ends when some of its work failed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from datadriver.errors import DataError, PartialFailure, UnavailableError
from datadriver.fleet.outcomes import Miss, failure, grouped
from datadriver.fleet.plan import _changed

misses = st.lists(st.builds(Miss, st.text(min_size=1), st.text(), st.sampled_from([1, 2, 3, 4, 5])), max_size=8)


def test_no_miss_is_no_failure():
    assert failure([], of=3, what="assets") is None


def test_all_failed_in_the_same_way_ends_with_that_code():
    error = failure([Miss("P-1", "no rows", 3), Miss("P-2", "no rows", 3)], of=2, what="assets")
    assert isinstance(error, DataError)
    assert error.message == "P-1: no rows (and 1 more assets)"
    assert isinstance(failure([Miss("P-1", "down", 5)], of=1, what="assets"), UnavailableError)


def test_some_failed_or_all_in_different_ways_ends_with_6():
    assert isinstance(failure([Miss("P-1", "no rows", 3)], of=2, what="assets"), PartialFailure)
    two = [Miss("P-1", "no rows", 3), Miss("P-2", "KeyError", 4)]
    assert isinstance(failure(two, of=2, what="assets"), PartialFailure)


@given(misses)
def test_groups_hold_every_miss_once(found):
    groups = grouped(found)
    assert sorted(name for group in groups for name in group.names) == sorted(miss.name for miss in found)
    assert [len(group.names) for group in groups] == sorted((len(group.names) for group in groups), reverse=True)


def test_a_part_that_could_not_be_looked_at_always_differs():
    assert _changed("data:?;code:1", "data:?;code:1") == ("data",)
