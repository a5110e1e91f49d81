"""What the features promise."""

import numpy as np
import pandas as pd

from wells.features import movement
from wells.models import farthest_sensor, unlike_normal


def frame(**columns: list[float]) -> pd.DataFrame:
    """Return a small frame by hand: one row every ten seconds."""
    length = len(next(iter(columns.values())))
    index = pd.date_range("2017-03-13 16:00", periods=length, freq="10s", tz="UTC", name="time")
    return pd.DataFrame(columns, index=index)


def test_a_well_at_rest_does_not_move_whatever_its_pressure() -> None:
    assert movement(frame(p_tpt=[2e7] * 40, t_tpt=[110.0] * 40)).abs().max().max() == 0


def test_pressures_are_in_bar() -> None:
    moved = movement(frame(p_tpt=[2e7] * 17 + [1.9e7]))
    assert np.isclose(moved["p_tpt_moved"].iloc[-1], -10 * 17 / 18)


def test_a_missing_sensor_has_no_weight() -> None:
    generator = np.random.default_rng(0)
    seen = frame(p_tpt=list(2e7 + 1e4 * generator.normal(size=300)))
    for model in (unlike_normal(), farthest_sensor()):
        alone = movement(seen)
        beside = alone.assign(t_tpt_moved=np.nan, p_pdg_moved=0.0)
        expected = model.fit(alone).score_samples(alone)
        np.testing.assert_allclose(model.fit(beside).score_samples(beside), expected, rtol=0.02)


def test_a_closing_valve_is_farther_from_normal_than_anything_seen() -> None:
    generator = np.random.default_rng(1)
    normal = frame(
        p_tpt=list(2e7 + 1e4 * generator.normal(size=300)), t_tpt=list(110 + 0.1 * generator.normal(size=300))
    )
    closing = normal.tail(60).assign(p_tpt=np.linspace(2e7, 1.5e7, 60), t_tpt=np.linspace(110, 80, 60))
    for model in (unlike_normal(), farthest_sensor()):
        fitted = model.fit(movement(normal))
        assert fitted.score_samples(movement(closing))[20:].max() < fitted.score_samples(movement(normal)).min()
