"""What the features promise."""

import numpy as np
import pandas as pd

from wind.features import in_production, weather, wind_at_the_nacelle
from wind.models import PowerCurve


def frame(length: int = 30, **columns: object) -> pd.DataFrame:
    """Return a turbine in a steady wind, a row every ten minutes."""
    index = pd.date_range("2014-06-01", periods=length, freq="10min", tz="UTC", name="time")
    usual = {
        "wind_speed": 8.0,
        "wind_direction": 90.0,
        "vane": -2.0,
        "pitch": -1.0,
        "outdoor": 15.0,
        "wind_100m": 8.5,
        "wind_east": 6.0,
        "wind_north": 6.0,
        "air_density": 1.225,
        "curtailment": 0.0,
    }
    return pd.DataFrame({**usual, **columns}, index=index)


def test_parked_calm_and_curtailed_rows_do_not_count() -> None:
    assert in_production(frame()).all()
    assert not in_production(frame(pitch=90.0)).any()
    assert not in_production(frame(wind_speed=0.0)).any()
    assert not in_production(frame(wind_speed=np.nan)).any()
    assert not in_production(frame(curtailment=10.0)).any()


def test_a_plant_meter_that_is_away_curtails_nothing() -> None:
    assert in_production(frame(curtailment=np.nan)).all()


def test_thin_air_is_less_wind() -> None:
    features = wind_at_the_nacelle(frame(air_density=1.1))
    assert (features["equivalent_wind"] < features["wind_speed"]).all()
    assert np.allclose(wind_at_the_nacelle(frame())["equivalent_wind"], 8.0)


def test_a_calm_gives_nulls_and_no_infinities() -> None:
    features = wind_at_the_nacelle(frame(wind_speed=[8.0] * 10 + [0.0] * 20))
    assert not np.isinf(features.to_numpy()).any()
    assert features["wind_speed"].tail(20).isna().all()


def test_the_weather_model_needs_no_sensor_of_the_turbine() -> None:
    blind = frame(wind_speed=np.nan, wind_direction=np.nan, vane=np.nan, pitch=np.nan, outdoor=np.nan)
    pd.testing.assert_frame_equal(weather(blind), weather(frame()))


def test_the_power_curve_is_the_mean_of_each_bin() -> None:
    winds = pd.DataFrame({"wind_speed": [4.0, 4.0, 8.0, 8.0]})
    curve = PowerCurve().fit(winds, pd.Series([100.0, 120.0, 900.0, 940.0]))
    asked = pd.DataFrame({"wind_speed": [4.0, 6.0, 8.0, 30.0]})
    assert curve.predict(asked).tolist() == [110.0, 515.0, 920.0, 920.0]
