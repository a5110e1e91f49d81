from __future__ import annotations

import base64

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from datadriver.reporting.series import Grid, Within, fit_grid, pack, put_on, runs

_GAP, _BRIDGE = 65535, 65534
finite = st.floats(-1e9, 1e9, allow_nan=False)
values = st.lists(st.one_of(finite, st.just(float("nan"))), min_size=1, max_size=60).map(np.array)


def unpacked(packed: dict) -> np.ndarray:
    """Read what `pack` wrote, as `plots.js` does; gaps and bridges are NaN."""
    codes = np.frombuffer(base64.b64decode(packed["d"]), dtype="<u2")
    return np.where(codes >= _BRIDGE, np.nan, packed["o"] + codes * packed["s"])


@given(values)
def test_packed_values_come_back_to_a_part_in_60_000_of_their_range(values):
    back = unpacked(pack(values))
    known = np.isfinite(values)
    assert (np.isfinite(back) == known).all()
    if known.any():
        low, high = values[known].min(), values[known].max()
        tolerance = (high - low) / 60_000 + 1e-8 * max(abs(low), abs(high)) + 1e-300
        assert np.abs(back[known] - values[known]).max() <= tolerance


@given(st.lists(finite, min_size=1, max_size=300), st.integers(1, 40))
def test_thinning_loses_no_extreme(raw, points):
    series = np.array(raw)
    at = np.arange(len(series)) * 10
    grid = fit_grid(0, 10 * len(series), 10, points=points)
    curve = put_on(grid, at, series)
    assert grid.size <= points
    low = curve.mean if curve.low is None else curve.low
    high = curve.mean if curve.high is None else curve.high
    assert np.nanmin(low) == series.min()
    assert np.nanmax(high) == series.max()


def test_the_mean_of_a_step_counts_each_reading_once():
    grid = Grid(0, 10, 1)
    within = Within(np.array([0.0, 5.0]), np.array([2.0, 9.0]), np.array([1.0, 3.0]))
    curve = put_on(grid, np.array([0, 5]), np.array([1.0, 7.0]), within)
    assert curve.mean.tolist() == [5.5]
    assert curve.low is not None
    assert (curve.low.tolist(), curve.high.tolist()) == ([0.0], [9.0])


def test_values_outside_of_the_grid_do_not_count():
    curve = put_on(Grid(100, 10, 2), np.array([90, 100, 119, 120]), np.array([9.0, 1.0, 2.0, 9.0]))
    assert curve.mean.tolist() == [1.0, 2.0]


def test_a_missing_step_is_a_gap():
    curve = put_on(Grid(0, 10, 5), np.array([0, 10, 30, 40]), np.ones(4))
    assert codes(curve).tolist()[2] == _GAP


def test_a_series_that_comes_every_third_step_has_no_gaps_but_real_ones():
    at = np.array([0, 30, 60, 120, 150])
    curve = put_on(Grid(0, 10, 16), at, np.ones(5))
    assert [int(code) for code in codes(curve)[1:3]] == [_BRIDGE, _BRIDGE]
    assert set(codes(curve)[7:12].tolist()) == {_GAP}


def test_a_clock_that_is_never_exact_makes_no_gaps():
    at = np.array([0, 109, 201, 305, 396, 500, 601, 699])  # a reading about every 100
    curve = put_on(fit_grid(0, 800, 100), at, np.ones(8))
    assert np.isnan(curve.mean[:-1]).any()
    assert _GAP not in codes(curve).tolist()[:-1]


def test_alarms_that_follow_one_another_are_one_stretch():
    flags = np.array([False, True, True, False, True])
    assert runs(flags, np.arange(5) * 10, 10) == [[10, 30], [40, 50]]


def test_an_alarm_does_not_reach_over_a_gap():
    assert runs(np.array([True, True]), np.array([0, 500]), 10) == [[0, 10], [500, 510]]


def codes(curve) -> np.ndarray:
    return np.frombuffer(base64.b64decode(pack(curve.mean, joined=curve.joined)["d"]), dtype="<u2")
