"""What training keeps for drift: distances that mean what statistics say, and what is usual of windows."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from datadriver.training.distances import Distances, Rows, compare
from datadriver.training.reference import Spell, nulls_of, reference, usual_distances

NUMBERS = st.floats(-1e6, 1e6, allow_nan=False).map(lambda value: round(value, 3))
SAMPLES = st.lists(NUMBERS, min_size=5, max_size=60)


def against(kept: pd.Series, seen: pd.Series, codes: np.ndarray | None = None) -> tuple[Distances, Distances]:
    """Compare one column with what is kept of another."""
    summary = reference(kept.to_frame("x"), {})
    codes = np.zeros(len(seen), dtype=int) if codes is None else codes
    return compare(summary["features"]["x"], summary["rows"], seen, Rows(codes, int(codes.max(initial=0)) + 1))


@given(SAMPLES)
def test_psi_of_the_training_part_with_itself_is_zero(values: list[float]) -> None:
    column = pd.Series(values)
    own, nulls = against(column, column)
    assert own.psi[0] == pytest.approx(0, abs=1e-12)
    assert nulls.psi[0] == pytest.approx(0, abs=1e-12)


@given(SAMPLES, SAMPLES)
def test_psi_is_never_negative_and_ks_is_a_share(kept: list[float], seen: list[float]) -> None:
    own, _ = against(pd.Series(kept), pd.Series(seen))
    assert own.psi[0] >= 0
    assert 0 <= own.ks[0] <= 1


@given(SAMPLES, st.randoms())
def test_the_order_of_rows_does_not_matter(values: list[float], shuffle: Any) -> None:
    mixed = values.copy()
    shuffle.shuffle(mixed)
    kept = pd.Series(np.linspace(-1e6, 1e6, 50))
    one, other = (against(kept, pd.Series(rows))[0] for rows in (values, mixed))
    assert (one.psi[0], one.ks[0]) == (other.psi[0], other.ks[0])


@pytest.mark.parametrize("shift", [0.0, 0.3, 3.0])
def test_ks_is_that_of_scipy_in_the_limit(shift: float) -> None:
    generator = np.random.default_rng(1)
    kept, seen = generator.normal(size=50_000), generator.normal(shift, 1, 400)
    own, _ = against(pd.Series(kept), pd.Series(seen))
    # 21 points with straight lines between, instead of the 50,000 steps.
    assert own.ks[0] == pytest.approx(stats.ks_2samp(kept, seen).statistic, abs=0.02)


@given(st.lists(st.integers(0, 6), min_size=5, max_size=80), st.lists(st.integers(-1, 7), min_size=5, max_size=80))
def test_ks_of_few_values_is_exactly_that_of_scipy(kept: list[int], seen: list[int]) -> None:
    own, _ = against(pd.Series(kept), pd.Series(seen))
    assert own.ks[0] == pytest.approx(stats.ks_2samp(kept, seen, method="asymp").statistic, abs=1e-9)


@given(SAMPLES, st.lists(SAMPLES, min_size=1, max_size=4))
def test_a_window_does_not_depend_on_the_others(kept: list[float], windows: list[list[float]]) -> None:
    seen = pd.Series(sum(windows, []))  # noqa: RUF017 - four short lists
    codes = np.repeat(np.arange(len(windows)), [len(window) for window in windows])
    together, _ = against(pd.Series(kept), seen, codes)
    for place, window in enumerate(windows):
        alone, _ = against(pd.Series(kept), pd.Series(window))
        assert together.psi[place] == pytest.approx(alone.psi[0], abs=1e-12)
        assert together.ks[place] == pytest.approx(alone.ks[0], abs=1e-12)


def test_a_constant_that_changes_is_as_far_as_can_be() -> None:
    same, _ = against(pd.Series([4.0] * 500), pd.Series([4.0 + 1e-12] * 30))
    other, _ = against(pd.Series([4.0] * 500), pd.Series([4.1] * 30))
    assert same.psi[0] < 0.1
    assert same.ks[0] == 0
    assert other.psi[0] > 5
    assert other.ks[0] == 1


def test_values_never_seen_are_farther_out_than_rare_ones() -> None:
    kept = pd.Series(np.linspace(0, 1, 2000))
    rare, unseen = (against(kept, pd.Series(values))[0].psi[0] for values in (np.full(30, 0.995), np.full(30, 1.5)))
    assert unseen > rare > against(kept, pd.Series(np.full(30, 0.55)))[0].psi[0]


def test_texts_are_compared_by_category_and_unseen_ones_count() -> None:
    kept = pd.Series(["on"] * 80 + ["off"] * 20)
    same, _ = against(kept, pd.Series(["on"] * 40 + ["off"] * 10))
    unseen, _ = against(kept, pd.Series(["on"] * 30 + ["stuck"] * 20))
    assert same.psi[0] < 0.01
    assert unseen.psi[0] > 2
    assert np.isnan(same.ks[0])


def test_nulls_are_a_distance_of_their_own() -> None:
    kept, seen = pd.Series(np.linspace(0, 1, 500)), pd.Series([0.5] * 30 + [np.nan] * 20)
    own, nulls = against(kept, seen)
    assert int(own.rows[0]) == 30
    assert nulls.ks[0] == pytest.approx(0.4)
    assert nulls.psi[0] > 2


def test_a_feature_without_any_value_in_training_is_compared_by_its_nulls_alone() -> None:
    own, nulls = against(pd.Series([np.nan] * 50), pd.Series([1.0] * 30))
    assert np.isnan(own.psi[0])
    assert nulls.ks[0] == 1


def walk(assets: int, days: int, seed: int = 0) -> tuple[pd.DataFrame, np.ndarray]:
    """Make hourly rows of assets that each wander around a level of their own."""
    generator = np.random.default_rng(seed)
    hours = pd.date_range("2025-01-01", periods=24 * days, freq="h", tz="UTC", unit="us", name="time")
    index = pd.MultiIndex.from_product([[f"P-{n}" for n in range(assets)], hours], names=["asset_id", "time"])
    day = np.repeat(generator.normal(size=assets * days), 24)
    level = np.repeat(generator.normal(0, 3, assets), 24 * days)
    values = level + day + generator.normal(0, 0.2, len(index))
    return pd.DataFrame({"x": values, "y": generator.normal(size=len(index))}, index=index), values


def usual(features: pd.DataFrame, scores: np.ndarray, fitted: np.ndarray | None = None, **spell: Any) -> dict[str, Any]:
    fitted = np.ones(len(features), dtype=bool) if fitted is None else fitted
    kept = reference(features[fitted], {"score": scores[fitted]})
    found = Spell(**{"length": timedelta(days=1), **spell})
    return usual_distances(kept, features, scores, fitted=fitted, spell=found)


def test_windows_are_days_of_each_asset() -> None:
    found = usual(*walk(3, 40))
    assert (found["count"], found["length"]) == (120, "1d")
    assert set(found["features"]["psi"]["scales"]) == {"x", "y"}
    assert set(found["nulls"]["psi"]["scales"]) == {nulls_of("x"), nulls_of("y")}
    assert len(found["features"]["ks"]["worst"]) == len(found["levels"])


def test_a_day_is_usually_far_from_the_whole_where_days_differ() -> None:
    found = usual(*walk(1, 60))["features"]["psi"]["scales"]
    assert found["x"] > 2
    assert found["y"] < 1.5


def test_windows_with_few_rows_do_not_say_what_is_usual() -> None:
    features, scores = walk(1, 40)
    assert usual(features, scores, min_rows=25)["count"] == 0
    few = usual(features.iloc[:-12], scores[:-12])
    assert few["count"] == 39


def largest(found: dict[str, Any], kind: str, share: float = 1.0) -> float:
    """Return what a share of the windows have for a distance of the score, the only one of its family."""
    score = found["score"][kind]
    return float(score["scales"]["score"] * np.interp(share, found["levels"], score["worst"]))


def test_a_window_is_compared_with_the_others_and_not_with_itself() -> None:
    features, scores = walk(1, 5)
    scores[:24] += 100.0
    # The first day is a fifth of the whole, yet shares no value with the rest of it.
    assert largest(usual(features, scores), "ks") == pytest.approx(1.0, abs=0.03)
    assert largest(usual(features, scores), "psi") > 4


def test_the_holdout_says_what_is_usual_too() -> None:
    features, scores = walk(1, 60)
    fitted = np.arange(len(features)) < 24 * 48
    before = largest(usual(features[fitted], scores[fitted]), "psi", 0.9)
    scores[~fitted] += 50.0
    assert largest(usual(features[fitted], scores[fitted]), "psi", 0.9) == before
    assert largest(usual(features, scores, fitted), "psi", 0.9) > before + 1
