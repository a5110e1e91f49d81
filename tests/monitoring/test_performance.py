"""Performance once the truth is known: beside the holdout, and only on rows whose truth is one and known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from datadriver.data.window import Window
from datadriver.monitoring.facts import Fact, Subject
from datadriver.monitoring.performance import labels_for, performance_facts

SUBJECT = Subject("P-1", "P-1", "m")
CLASSES = {
    "problem": "classification",
    "target": {"events": "failures", "horizon": "2d"},
    "estimator": "plant.models:boosting",
    "baseline": "plant.models:prior",
    "evaluate": {"metrics": ["roc_auc"], "primary": "roc_auc"},
    "alarm": {"above": 0.5},
}
SOURCES = {
    "sensors": {"path": "{asset_id}.csv", "index": "ts"},
    "failures": {"path": "failures.csv", "asset": "pump", "index": "at", "join": "none"},
}


def scores_of(plant: Any, days: int = 1, error: float = 1.0, version: int = 3) -> pd.DataFrame:
    """Return hourly scores that are off by a constant."""
    frame: pd.DataFrame = plant.rows(24 * days, "actual")
    return frame.assign(score=frame["actual"] - error, alarm=False, version=version)


def judged(plant: Any, scores: pd.DataFrame, *, days: int = 1, labels: Any = None, **given: Any) -> tuple[Fact, ...]:
    instance = plant.instance(plant.usecase({"performance": given.pop("check", {})}))
    version = plant.version(given.pop("metrics", None))
    return performance_facts(SUBJECT, instance, version, scores, labels, plant.days(days), **given)


def test_a_model_as_good_as_on_its_holdout_is_ok(plant: Any) -> None:
    (fact,) = judged(plant, scores_of(plant, error=1.0))
    assert (fact.outcome, fact.value, fact.unit, fact.about) == ("ok", pytest.approx(1.0), "mae", "mae")
    assert fact.limit == pytest.approx(1.1)
    assert fact.spare == pytest.approx(1.0)
    assert fact.details["holdout"] == 1.0


def test_a_worse_one_breaches_with_its_figures(plant: Any) -> None:
    (fact,) = judged(plant, scores_of(plant, error=1.5))
    assert fact.outcome == "breach"
    assert fact.spare == pytest.approx((0.1 - 0.5) / 0.1)
    assert fact.reason == (
        "mae 1.5 on 24 rows, 1 on the holdout (50% worse); limit 1.1 (10% worse than on the holdout)"
    )


def test_where_greater_is_better_less_is_worse(plant: Any) -> None:
    usecase = plant.usecase(model={**plant.regression, "evaluate": {"metrics": ["r2"]}})
    frame = scores_of(plant, error=0.0)
    good, bad = (
        performance_facts(
            SUBJECT, plant.instance(usecase), plant.version({"r2": 0.8}), frame.assign(score=score), None, plant.days(1)
        )[0]
        for score in (frame["actual"], frame["actual"].mean())
    )
    assert (good.outcome, good.limit, good.value) == ("ok", pytest.approx(0.72), pytest.approx(1.0))
    assert (bad.outcome, bad.value) == ("breach", pytest.approx(0.0))


def test_days_that_were_no_worse_on_the_holdout_are_usual(plant: Any) -> None:
    levels, quantiles = [0.0, 0.5, 0.99, 1.0], [0.5, 1.0, 1.6, 1.7]
    metric = {"name": "mae", "length": "1d", "count": 30, "levels": levels, "quantiles": quantiles}
    kept = {"windows": {"metric": metric}}
    (usual,) = judged(plant, scores_of(plant, error=1.5), reference=kept)
    (unusual,) = judged(plant, scores_of(plant, error=1.65), reference=kept)
    assert (usual.outcome, usual.limit) == ("ok", pytest.approx(1.6))
    assert unusual.outcome == "breach"
    assert "what 99% of the holdout's 30 windows stay below" in unusual.reason


def test_a_longer_stretch_than_the_window_can_count(plant: Any) -> None:
    scores = scores_of(plant, 3, error=1.0)
    scores.loc[scores.index[48:], "score"] -= 3.0
    facts = judged(plant, scores, days=3, check={"window": "3d", "min_rows": 48})
    assert [fact.outcome for fact in facts] == ["unknown", "ok", "breach"]
    assert facts[2].rows == 72
    assert facts[2].value == pytest.approx(2.0)


def test_few_scores_with_a_truth_are_unknown(plant: Any) -> None:
    scores = scores_of(plant)
    scores.loc[scores.index[9:], "actual"] = np.nan
    (fact,) = judged(plant, scores)
    assert (fact.outcome, fact.reason) == ("unknown", "9 of the 20 scores with a known truth needed")


def test_only_scores_of_the_champion_count(plant: Any) -> None:
    (fact,) = judged(plant, scores_of(plant, version=2))
    assert (fact.outcome, fact.reason) == ("unknown", "no scores with a known truth (20 are needed)")


def test_labels_that_contradict_are_left_out_and_said(plant: Any) -> None:
    scores = scores_of(plant, error=1.0)
    again = scores.iloc[:3].assign(actual=lambda rows: rows["actual"] + 50, score=0.0)
    twice = pd.concat([scores, again, scores.iloc[5:6]])
    (fact,) = judged(plant, twice)
    assert (fact.outcome, fact.rows, fact.details["contradicting"]) == ("ok", 21, 3.0)
    assert fact.reason.endswith("; 3 rows with several different labels are left out")
    labels = scores["actual"]
    (other,) = judged(plant, scores, labels=pd.concat([labels, labels.iloc[:2] + 1]))
    assert (other.rows, other.details["contradicting"]) == (22, 2.0)


def test_a_label_looked_up_now_counts_more_than_one_stored_then(plant: Any) -> None:
    scores = scores_of(plant, error=1.0)
    (fact,) = judged(plant, scores, labels=scores["actual"] + 4.0)
    assert fact.value == pytest.approx(5.0)


def test_a_champion_without_the_metric_cannot_be_compared(plant: Any) -> None:
    (fact,) = judged(plant, scores_of(plant), metrics={"r2": 0.5})
    assert (fact.outcome, fact.reason) == ("unknown", "version 3 has no mae of its holdout to compare with")


def events_of(*stamps: str) -> pd.DataFrame:
    index = pd.DatetimeIndex(list(stamps), tz="UTC", name="time").as_unit("us")
    return pd.DataFrame({"known_at": index}, index=index)


def test_labels_that_look_ahead_count_once_their_horizon_has_passed(plant: Any) -> None:
    usecase = plant.usecase({"performance": {"window": "4d", "min_events": 1}}, CLASSES, data={"sources": SOURCES})
    instance = plant.instance(usecase)
    sensor = plant.sensor(plant.rows(24 * 8, "flow"))
    end = plant.start + pd.Timedelta(days=8)
    labels = labels_for(instance, sensor, events_of("2025-03-05 12:00"), end)
    assert labels is not None
    # The failure is on the fifth day: rows of two days before it are positive.
    assert labels[labels == 1].index.min() == pd.Timestamp("2025-03-03 12:00", tz="UTC")
    assert labels[labels.notna()].index.max() <= end - pd.Timedelta(days=2)
    # The score sees it coming one day ahead only.
    late = sensor.frame.index >= pd.Timestamp("2025-03-04 12:00", tz="UTC")
    scores = pd.DataFrame({"score": late.astype(float), "actual": np.nan, "version": 3}, index=sensor.frame.index)
    facts = performance_facts(SUBJECT, instance, plant.version({"roc_auc": 0.9}), scores, labels, plant.days(8))
    # On the fifth day the rows of the third are known, and so is that the failure followed.
    assert [fact.outcome for fact in facts] == ["unknown"] * 4 + ["breach"] * 4
    assert facts[3].reason == "no events (1 are needed)"
    assert facts[4].rows == 72
    assert "up to 2025-03-03 23:00 UTC" in facts[4].reason
    assert facts[7].rows == 96


def test_too_few_events_are_unknown(plant: Any) -> None:
    usecase = plant.usecase({"performance": {"window": "6d"}}, CLASSES, data={"sources": SOURCES})
    instance, sensor = plant.instance(usecase), plant.sensor(plant.rows(24 * 8, "flow"))
    window = Window(plant.start + pd.Timedelta(days=7), plant.start + pd.Timedelta(days=8))
    labels = labels_for(instance, sensor, events_of("2025-03-05 12:00"), window.end)
    scores = pd.DataFrame({"score": 0.1, "actual": np.nan, "version": 3}, index=sensor.frame.index)
    (fact,) = performance_facts(SUBJECT, instance, plant.version({"roc_auc": 0.9}), scores, labels, [window])
    assert (fact.outcome, fact.reason) == ("unknown", "1 of the 3 events needed")


def test_an_asset_without_the_target_has_no_truth(plant: Any) -> None:
    instance = plant.instance(plant.usecase())
    assert labels_for(instance, plant.sensor(plant.rows(24, "flow")), None, None) is None
    known = labels_for(instance, plant.sensor(plant.rows(24, "temperature")), None, None)
    assert known is not None
    assert known.notna().all()


def test_a_metric_that_is_no_metric_any_more_is_unknown(plant: Any, tmp_path: Path) -> None:
    usecase = plant.usecase(model={**plant.regression, "evaluate": {"metrics": ["plant.metrics:gone"]}})
    version = plant.version({"plant.metrics:gone": 1.0})
    (fact,) = performance_facts(
        SUBJECT, plant.instance(usecase), version, scores_of(plant), None, plant.days(1), root=tmp_path
    )
    assert fact.outcome == "unknown"
    assert "plant" in fact.reason


def test_without_labels_a_probe_of_the_training_is_unknown(plant: Any) -> None:
    anomaly = {"problem": "anomaly", "estimator": "p.m:a", "baseline": "p.m:b"}
    instance = plant.instance(plant.usecase(model=anomaly))
    version = plant.version({"synthetic_roc_auc": 0.9})
    scores = scores_of(plant).assign(actual=np.nan)
    (fact,) = performance_facts(SUBJECT, instance, version, scores, None, plant.days(1))
    assert fact.outcome == "unknown"
    assert "there is no truth to judge by" in fact.reason
