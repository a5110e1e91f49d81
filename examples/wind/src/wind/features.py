"""Features: plain functions, sensor frame in, feature frame out, with the same index.

A feature at an instant may use that instant and what came before it, never what came after. How far it looks back is
`window.lookback` in `usecase.yaml`.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

STANDARD_DENSITY = 1.225  # kg/m3, IEC 61400-12-1
CALM = 0.1  # m/s; below this the cups of an anemometer do not turn, and it reads 0


def in_production(frame: pd.DataFrame) -> pd.Series:
    """Return which rows count: there is wind, the blades are not parked and the plant is not curtailed.

    Parked blades stand at 45 degrees or more. `frame` has the columns of all roles here, so that the plant's
    curtailment can be asked for.
    """
    windy = frame["wind_speed"] > CALM
    parked = frame["pitch"] > 40
    curtailed = frame["curtailment"].fillna(0) > 0
    return windy & ~parked & ~curtailed


def wind_at_the_nacelle(frame: pd.DataFrame) -> pd.DataFrame:
    """Return what a turbine makes its power of: wind at its nacelle, air density, and how it stands in the wind.

    `equivalent_wind` is the wind speed at standard density with the same energy: (density / 1.225)^(1/3) times the
    measured one (IEC 61400-12-1).
    """
    wind = frame["wind_speed"].where(frame["wind_speed"] > CALM)
    density = frame["air_density"].fillna(STANDARD_DENSITY)
    direction = np.deg2rad(frame["wind_direction"])
    return pd.DataFrame(
        {
            "wind_speed": wind,
            "equivalent_wind": wind * (density / STANDARD_DENSITY) ** (1 / 3),
            "wind_30min": wind.rolling("30min").mean(),
            "turbulence": wind.rolling("1h").std() / wind.rolling("1h").mean(),
            "misaligned": frame["vane"].abs().rolling("30min").mean(),
            "outdoor": frame["outdoor"],
            "from_north": np.cos(direction),
            "from_east": np.sin(direction),
        }
    )


def weather(frame: pd.DataFrame) -> pd.DataFrame:
    """Return what the weather model says of the hour: no sensor of the turbine is needed."""
    clock = pd.DatetimeIndex(frame.index)
    hour = (clock.hour + clock.minute / 60) / 24 * 2 * np.pi
    wind = frame["wind_100m"]
    return pd.DataFrame(
        {
            "wind_100m": wind,
            "wind_3h": wind.rolling("3h").mean(),
            "wind_change": wind - wind.rolling("3h").mean(),
            "air_density": frame["air_density"],
            "wind_east": frame["wind_east"],
            "wind_north": frame["wind_north"],
            "day": np.sin(hour),
            "night": np.cos(hour),
        },
        index=frame.index,
    )
