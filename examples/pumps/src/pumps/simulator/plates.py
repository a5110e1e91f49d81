"""What is installed: the name plate of each pump, and the well that it stands in."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np

GRAVITY = 9.81
DENSITY = 890.0  # kg/m3, oil with some water
NOMINAL_HZ = 50.0

TYPES = {"ESP-400": (250.0, 450.0), "ESP-538": (500.0, 1100.0), "ESP-675": (1200.0, 2400.0)}
"""Pump series by housing diameter, and the flow in m3/d that each is built for."""

SITES = {
    "NO": (("Frigg", "Sleipner"), "15/9-F-{n} {letter}"),
    "GB": (("Beryl", "Forties"), "22/30b-{letter}{n}"),
    "BR": (("Marlim", "Roncador"), "7-MRL-{n:03d}D-RJS"),
    "US": (("Mission Canyon", "Permian"), "MC 520 #{letter}-{n}"),
    "OM": (("Yibal", "Marmul"), "YBL-{n:04d}"),
}
"""Sites of each country, and how wells are named there; `n` counts the fleet, so that no two are alike."""


@dataclass(frozen=True)
class Plate:
    """One pump and its well. Lengths in m, pressures in bar, flows in m3/d, powers in kW, temperatures in deg C."""

    asset_id: str
    country: str
    site: str
    type: str
    depth_m: int
    installed_on: date
    rated_kw: float
    rated_flow: float
    column: float  # weight of the liquid in the tubing, bar
    wellhead: float
    reservoir: float  # pressure at the pump when the well is shut in
    decline: float  # of the reservoir, per day
    inflow: float  # productivity, m3/d per bar of drawdown
    friction: float  # bar per (m3/d)^2
    head: float  # of the pump at NOMINAL_HZ and no flow, bar
    droop: float  # of that head with flow, bar per (m3/d)^2
    volts: float  # at NOMINAL_HZ
    magnetising: float  # current without load, A
    heat: float  # deg C per kW lost, at rated flow
    lag_h: float  # thermal time constant of the motor, hours
    fluid: float  # temperature of the fluid at the pump
    shake: float  # vibration of the healthy pump at NOMINAL_HZ, g
    resonance: float  # speed at which the string resonates, Hz


def make_plate(index: int, rng: np.random.Generator, *, today: date) -> Plate:
    """Draw the pump number `index`; it depends on the generator alone, not on how many pumps there are."""
    country = str(rng.choice(list(SITES)))
    sites, pattern = SITES[country]
    letter = "ABCDFH"[rng.integers(6)]
    kind = str(rng.choice(list(TYPES)))
    depth = round(rng.uniform(1500, 3000), -1)
    flow = round(rng.uniform(*TYPES[kind]), -1)
    installed = today - timedelta(days=int(rng.uniform(30, 1800)))
    return Plate(
        asset_id=pattern.format(n=index + 1, letter=letter),
        country=country,
        site=str(rng.choice(sites)),
        type=kind,
        depth_m=int(depth),
        installed_on=installed,
        rated_flow=flow,
        **_well(rng, depth, flow),
    )


def _well(rng: np.random.Generator, depth: float, flow: float) -> dict[str, float]:
    """Size the pump for its well, so that at NOMINAL_HZ it gives about its rated flow."""
    column = DENSITY * GRAVITY * depth / 1e5
    wellhead = rng.uniform(8, 20)
    reservoir = rng.uniform(0.55, 0.8) * column
    drawdown = rng.uniform(0.3, 0.45) * reservoir
    friction = rng.uniform(0.02, 0.06) * column / flow**2
    lift = wellhead + column + friction * flow**2 - (reservoir - drawdown)
    steepness = rng.uniform(0.25, 0.45)
    return {
        "column": column,
        "wellhead": wellhead,
        "reservoir": reservoir,
        "decline": rng.uniform(1e-4, 5e-4),
        "inflow": flow / drawdown,
        "friction": friction,
        "head": lift * (1 + steepness),
        "droop": lift * steepness / flow**2,
        **_motor(rng, hydraulic_kw=lift * 1e5 * flow / 86_400 / 1000, depth=depth),
    }


def _motor(rng: np.random.Generator, *, hydraulic_kw: float, depth: float) -> dict[str, float]:
    shaft = hydraulic_kw / 0.62
    rated = math.ceil(shaft * 1.6 / 5) * 5.0
    amperes = rng.uniform(35, 80)
    return {
        "rated_kw": rated,
        "volts": rated * 1000 / (math.sqrt(3) * 0.83 * 0.88 * amperes),
        "magnetising": 0.3 * amperes,
        "heat": rng.uniform(24, 38) / (0.14 * shaft),
        "lag_h": rng.uniform(1.5, 3.5),
        "fluid": 16 + 0.027 * depth + rng.normal(0, 3),
        "shake": rng.uniform(0.10, 0.22),
        "resonance": rng.uniform(44, 60),
    }
