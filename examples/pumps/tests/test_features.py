"""What the features promise."""

import numpy as np
import pandas as pd

from pumps.features import behaviour, in_operation, load_and_flow, signs_of_wear
from pumps.metrics import days_of_warning
from pumps.models import VibrationRule
from pumps.simulate import Settings, simulate_pump


def sensors(index: int, days: float = 40) -> pd.DataFrame:
    export = simulate_pump(index, Settings(days=days, kinds=(), resolution_s=1800)).export
    frame = pd.DataFrame(export.values, index=pd.DatetimeIndex(export.stamps, tz="UTC", name="time"))
    return frame.assign(insulation=1000.0)


def test_a_pump_at_rest_does_not_count() -> None:
    frame = sensors(0)
    assert in_operation(frame).dtype == bool
    assert frame.loc[in_operation(frame), "frequency"].min() > 35
    assert not in_operation(frame.assign(frequency=0.0)).any()


def test_no_feature_looks_ahead() -> None:
    frame = sensors(1)
    early = frame.iloc[:1000]
    for features in (load_and_flow, behaviour, lambda data: signs_of_wear(data, {"rated_flow": 500.0})):
        whole, part = features(frame).iloc[:1000], features(early)
        pd.testing.assert_frame_equal(whole, part, rtol=1e-9)


def test_affinity_laws_take_the_speed_out_of_the_lift() -> None:
    frame = sensors(3)
    frame = frame[in_operation(frame)]
    lift = frame["discharge_pressure"] - frame["intake_pressure"]
    by_law = behaviour(frame)["lift"]
    assert by_law.std() / by_law.mean() < lift.std() / lift.mean()


def test_warning_is_counted_from_the_first_alarm_to_the_failure() -> None:
    times = pd.date_range("2025-01-01", periods=200, freq="1h", tz="UTC")
    index = pd.MultiIndex.from_product([["P-1"], times], names=["asset_id", "time"])
    truth = pd.Series(np.r_[np.zeros(100), np.ones(49), np.zeros(51)], index=index)
    score = pd.Series(0.0, index=index)
    score.iloc[124:149] = 1.0
    assert days_of_warning(truth, score, pd.DataFrame(index=index)) == 1.0
    assert days_of_warning(truth, score * 0, pd.DataFrame(index=index)) == 0.0


def test_the_rule_gives_a_higher_risk_where_vibration_is_up() -> None:
    features = pd.DataFrame({"vibration_trend": [0.0] * 8 + [1.0] * 2})
    rule = VibrationRule().fit(features, pd.Series([0] * 8 + [1, 0]))
    assert rule.predict_proba(features)[:, 1].tolist() == [0.0] * 8 + [0.5] * 2
