"""Drift against the training part: beyond the limit, and beyond what its own windows show."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datadriver.monitoring.drift import drift_facts, score_drift_facts
from datadriver.monitoring.facts import Fact, Subject
from datadriver.training.reference import Spell, reference, usual_distances

SUBJECT = Subject("P-1", "P-1", "m")
DAY = timedelta(days=1)


def training(
    days: int = 60, assets: int = 1, seed: int = 0, length: timedelta = timedelta(days=1)
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Return hourly features of which each day has a level of its own, and the reference that training keeps."""
    generator = np.random.default_rng(seed)
    hours = pd.date_range("2025-01-01", periods=24 * days, freq="h", tz="UTC", unit="us", name="time")
    names = [f"P-{number}" for number in range(1, assets + 1)]
    index = pd.MultiIndex.from_product([names, hours], names=["asset_id", "time"])
    day = np.repeat(generator.normal(10, 1, assets * days), 24)
    features = pd.DataFrame(
        {
            "flow": day + generator.normal(0, 0.3, len(index)),
            "noise": generator.normal(size=len(index)),
            "state": generator.choice(["on", "idle"], len(index), p=[0.8, 0.2]),
            "rated": 5.0,
        },
        index=index,
    )
    kept = reference(features, {"score": features["flow"].to_numpy()})
    spell = Spell(length)
    fitted = np.ones(len(features), dtype=bool)
    windows = usual_distances(kept, features, features["flow"].to_numpy(), fitted=fitted, spell=spell)
    return features, kept | {"windows": windows}


def later(plant: Any, days: int = 1, level: float = 10.0, seed: int = 5) -> pd.DataFrame:
    """Return later rows of a machine like that."""
    generator = np.random.default_rng(seed)
    frame: pd.DataFrame = plant.rows(24 * days)
    return frame.assign(
        flow=level + generator.normal(0, 0.3, len(frame)),
        noise=generator.normal(size=len(frame)),
        state=generator.choice(["on", "idle"], len(frame), p=[0.8, 0.2]),
        rated=5.0,
    )


def facts_of(
    plant: Any, kept: Mapping[str, Any] | None, features: pd.DataFrame, days: int = 1, **drift: Any
) -> tuple[Fact, ...]:
    instance = plant.instance(plant.usecase({"drift": drift}))
    return drift_facts(SUBJECT, instance, plant.version(), kept, features, plant.days(days))


def test_a_day_like_those_of_the_training_part_is_ok_however_unlike_the_whole_it_is(plant: Any) -> None:
    _, kept = training()
    (fact,) = facts_of(plant, kept, later(plant))
    assert fact.outcome == "ok"
    assert fact.details["flow: PSI"] > 1.0  # five times the limit of 0.2
    assert fact.version == 3
    assert fact.rows == 24
    (naive,) = facts_of(plant, kept, later(plant), usual=None)
    assert (naive.outcome, naive.about, naive.limit) == ("breach", "flow", 0.2)


def test_a_day_never_seen_is_drift_with_its_figures(plant: Any) -> None:
    _, kept = training()
    (fact,) = facts_of(plant, kept, later(plant, level=25.0))
    assert (fact.outcome, fact.about, fact.unit) == ("breach", "flow", "PSI")
    assert fact.value is not None
    assert fact.limit is not None
    assert fact.value > fact.limit > 0.2
    assert fact.spare == pytest.approx((fact.limit - fact.value) / fact.limit)
    assert "flow has a median of 24.9, 10.1 in training" in fact.reason
    assert "99% of 60 windows of 1d in training stay below" in fact.reason


def test_nulls_where_there_were_none_are_drift(plant: Any) -> None:
    _, kept = training()
    features = later(plant, 1)
    features.loc[features.index[:10], "noise"] = np.nan
    (fact,) = facts_of(plant, kept, features, min_rows=10)
    assert (fact.outcome, fact.about) == ("breach", "nulls of noise")
    assert fact.details["nulls of noise"] == pytest.approx(10 / 24)
    assert "41.7% of noise is null, 0% in training" in fact.reason


def test_a_category_never_seen_is_named(plant: Any) -> None:
    _, kept = training()
    (fact,) = facts_of(plant, kept, later(plant).assign(state="stuck"))
    assert (fact.outcome, fact.about) == ("breach", "state")
    assert "state is 'stuck' in 100% of the rows, never seen in training" in fact.reason


def test_a_constant_that_changes_is_drift_by_ks_too(plant: Any) -> None:
    _, kept = training()
    (fact,) = facts_of(plant, kept, later(plant).assign(rated=6.0), psi=None, ks=0.5)
    assert (fact.outcome, fact.about, fact.value, fact.unit) == ("breach", "rated", 1.0, "KS")


def test_a_window_with_few_rows_is_unknown(plant: Any) -> None:
    _, kept = training()
    (fact,) = facts_of(plant, kept, later(plant, level=25.0).iloc[:9])
    assert (fact.outcome, fact.reason, fact.rows) == ("unknown", "9 of the 20 rows needed", 9)
    (empty,) = facts_of(plant, kept, later(plant).iloc[:0])
    assert (empty.outcome, empty.reason) == ("unknown", "no rows (20 are needed)")


def test_a_feature_of_nulls_alone_does_not_hide_the_others(plant: Any) -> None:
    _, kept = training()
    (fact,) = facts_of(plant, kept, later(plant).assign(noise=np.nan))
    assert (fact.outcome, fact.about) == ("breach", "nulls of noise")
    assert fact.details["noise: PSI"] is None


def test_few_rows_of_a_usual_day_are_not_drift_by_chance(plant: Any) -> None:
    features, kept = training()
    generator = np.random.default_rng(2)
    columns = features.reset_index(drop=True)
    for _ in range(30):
        # Rows drawn from the training part itself: whatever they show is chance.
        drawn = columns.iloc[generator.integers(len(columns), size=20)].set_index(plant.rows(20).index)
        assert facts_of(plant, kept, drawn)[0].outcome == "ok"


@pytest.mark.parametrize(
    ("kept", "words"),
    [
        (None, "version 3 came without a reference"),
        (
            {"features": {"other": {"nulls": 0.0, "shares": {"a": 1.0}}}, "rows": 9},
            "none of the features that version 3",
        ),
        ({"features": {"flow": {"nulls": 0.0, "quantiles": [1.0] * 21}}, "rows": 9}, "older form"),
    ],
)
def test_a_champion_without_usable_reference_is_unknown(plant: Any, kept: Any, words: str) -> None:
    (fact,) = facts_of(plant, kept, later(plant))
    assert fact.outcome == "unknown"
    assert words in fact.reason


def test_too_few_windows_of_training_leave_a_large_distance_unjudged(plant: Any) -> None:
    _, kept = training(days=8)
    (fact,) = facts_of(plant, kept, later(plant, level=25.0))
    assert fact.outcome == "unknown"
    assert "training had 8 windows of 1d, and 20 are needed" in fact.reason
    (limit_alone,) = facts_of(plant, kept, later(plant, level=25.0), usual=None)
    assert limit_alone.outcome == "breach"


def test_windows_of_another_length_say_nothing_about_days(plant: Any) -> None:
    _, kept = training(length=timedelta(hours=36))
    (fact,) = facts_of(plant, kept, later(plant, level=25.0))
    assert fact.outcome == "unknown"
    assert "training looked at windows of 1d 12h, and monitor.window is 1d" in fact.reason


def test_what_sets_assets_of_a_pool_apart_is_usual(plant: Any) -> None:
    features, _ = training(assets=8, seed=1)
    features["flow"] += 5 * features.index.get_level_values(0).str[-1].astype(int)
    kept = reference(features, {"score": features["flow"].to_numpy()})
    every = np.ones(len(features), dtype=bool)
    kept["windows"] = usual_distances(
        kept, features, features["flow"].to_numpy(), fitted=every, spell=Spell(timedelta(days=1))
    )
    assert kept["windows"]["count"] == 8 * 60
    assert facts_of(plant, kept, later(plant, level=10 + 5 * 8))[0].outcome == "ok"
    assert facts_of(plant, kept, later(plant, level=10 + 5 * 12))[0].outcome == "breach"


def test_of_many_features_that_do_not_drift_few_windows_breach(plant: Any) -> None:
    generator = np.random.default_rng(3)
    names = [f"x{number}" for number in range(30)]
    hours = 24 * 300
    days = generator.normal(size=(300, 30)).repeat(24, axis=0) + generator.normal(0, 0.3, (hours, 30))
    index = pd.date_range("2024-01-01", periods=hours, freq="h", tz="UTC", unit="us", name="time")
    features = pd.DataFrame(days, columns=names, index=index)
    fitted = pd.concat({"P-1": features.iloc[: 24 * 200]}, names=["asset_id", "time"])
    kept = reference(fitted, {"score": np.zeros(len(fitted))})
    every = np.ones(len(fitted), dtype=bool)
    kept["windows"] = usual_distances(kept, fitted, np.zeros(len(fitted)), fitted=every, spell=Spell(DAY))
    windows = plant.days(100, start=index[24 * 200])
    instance = plant.instance(plant.usecase())
    found = drift_facts(SUBJECT, instance, plant.version(), kept, features, windows)
    # Each of 30 features by itself would exceed its own 99% in a quarter of the windows.
    assert sum(fact.outcome == "breach" for fact in found) <= 3


@given(chosen=st.sets(st.integers(0, 3), min_size=1), seed=st.integers(0, 3), level=st.sampled_from([10.0, 14.0]))
def test_facts_of_a_window_do_not_depend_on_which_others_are_asked(
    plant: Any, chosen: set[int], seed: int, level: float
) -> None:
    _, kept = training(days=30)
    features, days = later(plant, 4, level=level, seed=seed), plant.days(4)
    instance = plant.instance(plant.usecase())
    together = drift_facts(SUBJECT, instance, plant.version(), kept, features, days)
    order = sorted(chosen, reverse=True)
    alone = drift_facts(SUBJECT, instance, plant.version(), kept, features, [days[place] for place in order])
    assert list(alone) == [together[place] for place in order]


def test_the_order_of_rows_and_features_does_not_matter(plant: Any) -> None:
    _, kept = training()
    features = later(plant, 2, level=11.0)
    mixed = features.sample(frac=1, random_state=1)[["state", "rated", "noise", "flow"]]
    turned = {**kept, "features": dict(reversed(kept["features"].items()))}
    one, other = facts_of(plant, kept, features, 2), facts_of(plant, turned, mixed, 2)
    figures = [(fact.outcome, fact.value, fact.about, fact.limit, dict(fact.details)) for fact in one]
    assert figures == [(fact.outcome, fact.value, fact.about, fact.limit, dict(fact.details)) for fact in other]


def scored(plant: Any, level: float, version: int = 3) -> pd.DataFrame:
    return pd.DataFrame({"score": later(plant, level=level)["flow"], "version": version})


def test_scores_drift_like_features(plant: Any) -> None:
    _, kept = training()
    instance = plant.instance(plant.usecase({"score_drift": {"psi": 0.2, "ks": None}}))
    usual, unusual = (
        score_drift_facts(SUBJECT, instance, plant.version(), kept, scored(plant, level), plant.days(1))[0]
        for level in (10.0, 25.0)
    )
    assert (usual.check, usual.outcome) == ("score_drift", "ok")
    assert (unusual.outcome, unusual.about) == ("breach", "score")


def test_scores_of_an_earlier_version_are_not_compared(plant: Any) -> None:
    _, kept = training()
    instance = plant.instance(plant.usecase())
    scores = scored(plant, 25.0, version=2)
    (fact,) = score_drift_facts(SUBJECT, instance, plant.version(), kept, scores, plant.days(1))
    assert (fact.outcome, fact.reason) == ("unknown", "no scores (20 are needed)")


def test_a_check_for_other_models_says_nothing(plant: Any) -> None:
    _, kept = training()
    instance = plant.instance(plant.usecase({"drift": {"models": ["other"]}, "score_drift": None}))
    assert drift_facts(SUBJECT, instance, plant.version(), kept, later(plant), plant.days(1)) == ()
    assert score_drift_facts(SUBJECT, instance, plant.version(), kept, scored(plant, 1.0), plant.days(1)) == ()
