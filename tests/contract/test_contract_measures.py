from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datadriver.data.contract.measures import Run, as_instants, as_values, frozen_runs, gaps, interval, longest_gap

NAN = float("nan")


@st.composite
def series(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    steps = draw(st.lists(st.integers(1, 4), max_size=40))
    values = draw(
        st.lists(
            st.sampled_from([0.0, 1.0, 1.2, 1.4, 5.0, float("inf"), NAN]), min_size=len(steps), max_size=len(steps)
        )
    )
    return np.cumsum(np.array(steps, dtype=np.int64)), np.array(values, dtype=np.float64)


def naive_frozen_runs(at: np.ndarray, values: np.ndarray, longer_than: int, tolerance: float) -> list[Run]:
    """Grow every run row by row, as the docstring says it."""
    runs, first = [], 0
    while first < len(at):
        last = first
        while (
            last + 1 < len(at)
            and at[last + 1] - at[last] <= longer_than
            and (values[last + 1] == values[first] or abs(values[last + 1] - values[first]) <= tolerance)
        ):
            last += 1
        if at[last] - at[first] > longer_than:
            runs.append(Run(first, last, int(at[last] - at[first])))
        first = last + 1
    return runs


@given(series(), st.integers(1, 12), st.sampled_from([0.0, 0.25, 1.0]))
def test_frozen_runs_are_those_of_a_row_by_row_search(
    data: tuple[np.ndarray, np.ndarray], longer_than: int, tolerance: float
) -> None:
    at, values = data
    with np.errstate(invalid="ignore"):
        expected = naive_frozen_runs(at, values, longer_than, tolerance)
        assert frozen_runs(at, values, longer_than=longer_than, tolerance=tolerance) == expected


@given(series(), st.integers(1, 12))
def test_a_longer_limit_never_finds_more_frozen_time_within_one_unbroken_stretch(
    data: tuple[np.ndarray, np.ndarray], limit: int
) -> None:
    _, values = data
    at = np.arange(len(values), dtype=np.int64)
    shorter, longer = (sum(run.span for run in frozen_runs(at, values, longer_than=n)) for n in (limit, limit + 1))
    assert longer <= shorter


def test_nulls_end_a_run() -> None:
    at, values = np.arange(6), np.array([1.0, 1, NAN, 1, 1, 1])
    assert frozen_runs(at, values, longer_than=1) == [Run(3, 5, 2)]


def test_a_pause_longer_than_the_limit_ends_a_run() -> None:
    assert frozen_runs(np.array([0, 1, 100, 101]), np.ones(4), longer_than=5) == []


def test_a_slow_drift_within_the_tolerance_of_its_neighbours_is_not_frozen() -> None:
    drift = np.arange(50) * 0.1
    assert frozen_runs(np.arange(50), drift, longer_than=10, tolerance=0.25) == []


def test_runs_at_an_allowed_value_do_not_count() -> None:
    values = np.array([0.0] * 5 + [3.0] * 5)
    assert frozen_runs(np.arange(10), values, longer_than=2, allowed=(0,)) == [Run(5, 9, 4)]


@given(series())
def test_gaps_tile_the_frame_and_the_longest_is_among_them(data: tuple[np.ndarray, np.ndarray]) -> None:
    at, values = data
    present = ~np.isnan(values)
    found = gaps(at, present, longer_than=0)
    assert sum(gap.span for gap in found) == (at[-1] - at[0] if len(at) else 0)
    assert all(not present[(at > gap.start) & (at < gap.end)].any() for gap in found)
    assert longest_gap(at, present) == max((gap.span for gap in found), default=0)
    assert gaps(at, present, longer_than=2) == [gap for gap in found if gap.span > 2]


def test_the_interval_is_a_median_and_needs_two_values() -> None:
    at = np.array([0, 10, 20, 500])
    assert interval(at, np.ones(4, dtype=bool)) == 10
    assert interval(at, np.array([True, False, False, False])) is None


def test_instants_are_microseconds_whatever_the_unit_and_zone() -> None:
    stamps = pd.DatetimeIndex(["2024-03-01T01:00:00+01:00"])
    for unit in ("s", "ms", "us", "ns"):
        assert as_instants(stamps.as_unit(unit)).tolist() == [1_709_251_200_000_000]
        assert as_instants(pd.Series(stamps.tz_convert("UTC").tz_localize(None).as_unit(unit))).tolist() == [
            1_709_251_200_000_000
        ]
    with pytest.raises(ValueError, match="neither time nor whole steps"):
        as_instants(pd.Series([1.5], name="x"))


def test_texts_are_compared_as_numbers() -> None:
    values = as_values(pd.Series(["run", "run", None, "stop"]))
    assert values[0] == values[1] != values[3]
    assert np.isnan(values[2])
