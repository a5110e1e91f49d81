"""Alarms of the models: how many scores, for how long, how far beyond the threshold."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datadriver.monitoring.alarms import alarm_facts
from datadriver.monitoring.facts import Subject

SUBJECT = Subject("P-1", "P-1", "m")


def scores_of(plant: Any, alarms: dict[int, float], days: int = 1) -> pd.DataFrame:
    """Return hourly scores with residuals of 0.5, and larger ones where there is an alarm."""
    frame: pd.DataFrame = plant.rows(24 * days, "actual")
    residual = np.full(len(frame), 0.5)
    residual[list(alarms)] = list(alarms.values())
    return frame.assign(score=frame["actual"] - residual, alarm=residual > 2.0, version=3)


def test_the_reason_has_threshold_share_length_and_peak(plant: Any) -> None:
    scores = scores_of(plant, dict.fromkeys(range(6, 13), 3.0) | {14: 4.3})
    instance = plant.instance(plant.usecase({"alarms": {"max": 0}}))
    (fact,) = alarm_facts(SUBJECT, instance, plant.version(threshold=2.1), scores, plant.days(1), unit="degC")
    assert (fact.outcome, fact.value, fact.limit, fact.spare) == ("breach", pytest.approx(8 / 24), 0.0, -1.0)
    assert fact.reason == (
        "residual above 2.1 degC (0.999 quantile of training) in 33.3% of 24 scores, longest 6 h, "
        "largest 4.3 degC at 2025-03-01 14:00 UTC"
    )
    assert fact.details == {
        "share": pytest.approx(8 / 24),
        "longest": 6 * 3600,
        "largest": pytest.approx(4.3),
        "threshold": 2.1,
    }


def test_no_alarm_is_ok_and_has_room_to_spare(plant: Any) -> None:
    (fact,) = alarm_facts(
        SUBJECT,
        plant.instance(plant.usecase({"alarms": {"max": 0}})),
        plant.version(),
        scores_of(plant, {}),
        plant.days(1),
    )
    assert (fact.outcome, fact.value, fact.spare) == ("ok", 0.0, 1.0)


def test_a_share_may_be_allowed(plant: Any) -> None:
    instance = plant.instance(plant.usecase({"alarms": {"max": "10%"}}))
    one, two = (
        alarm_facts(SUBJECT, instance, plant.version(), scores_of(plant, hours), plant.days(1))[0]
        for hours in ({3: 5.0}, {3: 5.0, 4: 5.0, 5: 5.0})
    )
    assert (one.outcome, two.outcome) == ("ok", "breach")


def test_few_scores_are_unknown_whatever_they_say(plant: Any) -> None:
    scores = scores_of(plant, {1: 9.0}).iloc[:9]
    (fact,) = alarm_facts(SUBJECT, plant.instance(plant.usecase()), plant.version(), scores, plant.days(1))
    assert (fact.outcome, fact.reason, fact.rows) == ("unknown", "9 of the 20 scores needed", 9)


def test_a_version_without_threshold_is_unknown_and_a_model_without_alarm_silent(plant: Any) -> None:
    scores = scores_of(plant, {})
    instance = plant.instance(plant.usecase())
    (fact,) = alarm_facts(SUBJECT, instance, plant.version(threshold=None), scores, plant.days(1))
    assert fact.outcome == "unknown"
    assert "no alarm threshold" in fact.reason
    model = {name: value for name, value in plant.regression.items() if name != "alarm"}
    assert (
        alarm_facts(SUBJECT, plant.instance(plant.usecase(model=model)), plant.version(), scores, plant.days(1)) == ()
    )


def test_residuals_nobody_knows_are_not_the_largest(plant: Any) -> None:
    scores = scores_of(plant, {})
    scores["actual"] = np.nan
    (fact,) = alarm_facts(SUBJECT, plant.instance(plant.usecase()), plant.version(), scores, plant.days(1))
    assert fact.outcome == "ok"
    assert fact.reason.endswith("in 0% of 24 scores; no residual is known")
    assert fact.details["largest"] is None


@given(alarms=st.sets(st.integers(0, 71)), chosen=st.sets(st.integers(0, 2), min_size=1))
def test_facts_of_a_window_do_not_depend_on_which_others_are_asked(
    plant: Any, alarms: set[int], chosen: set[int]
) -> None:
    instance, days = plant.instance(plant.usecase()), plant.days(3)
    scores = scores_of(plant, dict.fromkeys(alarms, 3.0), 3)
    together = alarm_facts(SUBJECT, instance, plant.version(), scores, days)
    order = sorted(chosen, reverse=True)
    mixed = scores.sample(frac=1, random_state=len(alarms))
    alone = alarm_facts(SUBJECT, instance, plant.version(), mixed, [days[place] for place in order])
    assert list(alone) == [together[place] for place in order]
    assert sum(fact.value * fact.rows for fact in together if fact.value) == pytest.approx(len(alarms))
