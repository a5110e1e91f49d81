"""What the sensors would read: affinity laws for the pump, a steady inflow for the well, a lagging motor."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from scipy.signal import lfilter

from pumps.simulator.plates import NOMINAL_HZ, Plate

Array = np.ndarray
Severity = Mapping[str, np.ndarray]

NOISE = {
    "intake_pressure": 0.25,
    "discharge_pressure": 0.4,
    "motor_temperature": 0.15,
    "vibration": 0.0,  # its noise grows with its level, see `_vibration`
    "current": 0.35,
    "frequency": 0.02,
    "flow": 0.0,  # likewise
}
"""Standard deviation of each sensor's noise; the keys are the tags in the order of the export."""


def sensors(
    plate: Plate,
    rng: np.random.Generator,
    *,
    days: Array,
    hertz: Array,
    running: Array,
    faults: Severity,
) -> dict[str, Array]:
    """Return readings by tag: pressures in bar, temperature in deg C, vibration in g, current in A, flow in m3/d.

    `hertz` is the set-point, which counts only where the pump is `running`; `faults` is their severity by kind.
    """
    step_h = float(days[1] - days[0]) * 24
    speed = np.where(running, hertz / NOMINAL_HZ, 0.0)
    flow, lift, drawdown = _hydraulics(plate, rng, days, speed, faults, step_h)
    shut_in = plate.reservoir * np.exp(-plate.decline * days)
    intake = shut_in - _lag(drawdown, 2.0, step_h)
    standing = plate.column + 0.4 * plate.wellhead
    discharge = np.where(running, intake + lift, standing)
    shaft = _shaft_kw(plate, flow, lift, speed)
    readings = {
        "intake_pressure": intake,
        "discharge_pressure": _lag(discharge, 0.3, step_h),
        "motor_temperature": _temperature(plate, days, flow, shaft, faults, step_h),
        "vibration": _vibration(plate, rng, speed, flow, faults),
        "current": _current(plate, rng, speed, shaft, faults),
        "frequency": np.where(running, hertz, 0.0),
        "flow": flow * (1 + rng.normal(0, 0.012, len(days))),
    }
    return {tag: _noisy(rng, value, NOISE[tag], tag, running) for tag, value in readings.items()}


def _hydraulics(
    plate: Plate, rng: np.random.Generator, days: Array, speed: Array, faults: Severity, step_h: float
) -> tuple[Array, Array, Array]:
    """Find the flow at which the pump's head meets what the well asks for.

    Affinity laws: head(flow, speed) = head0 speed^2 - droop flow^2. The well asks for
    wellhead + column + friction flow^2 - (reservoir - flow / inflow). Both together are quadratic in the flow.
    """
    slugging = 1 + 0.02 * _wander(rng, len(days), 6.0, step_h)
    inflow = plate.inflow * slugging * (1 - 0.65 * faults["intake_blockage"])
    head = plate.head * speed**2 * (1 - 0.22 * faults["impeller"] - 0.05 * faults["intake_blockage"])
    shut_in = plate.reservoir * np.exp(-plate.decline * days)
    square = plate.droop + plate.friction
    missing = plate.wellhead + plate.column - shut_in - head
    root = np.sqrt(np.maximum(inflow**-2 - 4 * square * missing, 0.0))
    flow = np.maximum((root - 1 / inflow) / (2 * square), 0.0)
    flow = np.where(speed > 0, flow, 0.0)
    return flow, np.maximum(head - plate.droop * flow**2, 0.0), flow / inflow


def _shaft_kw(plate: Plate, flow: Array, lift: Array, speed: Array) -> Array:
    """Return shaft power; the efficiency falls away from the best point, which moves with the speed."""
    best = plate.rated_flow * np.maximum(speed, 0.1)
    efficiency = np.maximum(0.62 * (1 - 0.9 * (flow / best - 1) ** 2), 0.3)
    churning = 0.06 * plate.rated_kw * speed**3
    return lift * 1e5 * flow / 86_400 / 1000 / efficiency + churning


def _current(plate: Plate, rng: np.random.Generator, speed: Array, shaft: Array, faults: Severity) -> Array:
    """Return the current: a part that carries the load, a part that magnetises, and more of it in bad health."""
    volts = plate.volts * np.maximum(speed, 0.1)
    load = shaft * 1000 / (math.sqrt(3) * 0.83 * 0.88 * volts)
    total = np.hypot(load, np.where(speed > 0, plate.magnetising, 0.0))
    health = 1 + 0.03 * faults["bearing"] + 0.06 * faults["motor"]
    gas = 1 + 0.06 * faults["intake_blockage"] * rng.normal(0, 1, len(speed))
    return total * health * gas


def _temperature(plate: Plate, days: Array, flow: Array, shaft: Array, faults: Severity, step_h: float) -> Array:
    """Return the motor's temperature: losses heat it, flow cools it, and its mass delays both."""
    loss = 0.14 * shaft * (1 + 0.25 * faults["bearing"])
    cooling = 0.35 + 0.65 * flow / plate.rated_flow
    rise = plate.heat * (1 + 0.7 * faults["motor"]) * loss / cooling
    season = 1.2 * np.sin(2 * np.pi * days / 365.25) + 0.3 * np.sin(2 * np.pi * days)
    return plate.fluid + season + _lag(rise, plate.lag_h, step_h)


def _vibration(plate: Plate, rng: np.random.Generator, speed: Array, flow: Array, faults: Severity) -> Array:
    """Return vibration: grows with speed squared, at resonance, off the best point, with worn bearings and gas."""
    best = plate.rated_flow * np.maximum(speed, 0.1)
    resonance = 0.5 * np.exp(-(((speed * NOMINAL_HZ - plate.resonance) / 1.2) ** 2))
    off_best = 0.6 * (flow / best - 1) ** 2
    wear = 1 + 3.5 * faults["bearing"] + 0.9 * faults["impeller"] + 0.5 * faults["intake_blockage"]
    level = plate.shake * (speed**2 + resonance * (speed > 0) + off_best * (speed > 0)) * wear
    noise = np.exp(rng.normal(0, 0.06, len(speed)) + 0.05 * _wander(rng, len(speed), 3.0, 0.2))
    return level * noise + 0.004 * np.abs(rng.normal(0, 1, len(speed)))


def _lag(value: Array, hours: float, step_h: float) -> Array:
    """Follow `value` with a first-order lag, starting settled."""
    keep = math.exp(-step_h / hours)
    start = np.array([keep * value[0]])
    lagged: Array = lfilter([1 - keep], [1, -keep], value, zi=start)[0]
    return lagged


def _wander(rng: np.random.Generator, count: int, hours: float, step_h: float) -> Array:
    """Return a slow random walk around 0 with a standard deviation of 1."""
    keep = math.exp(-step_h / hours)
    walk: Array = lfilter([math.sqrt(1 - keep**2)], [1, -keep], rng.normal(0, 1, count))
    return walk


def _noisy(rng: np.random.Generator, value: Array, sd: float, tag: str, running: Array) -> Array:
    """Add the sensor's noise; electrical readings of a pump that stands still are exactly 0."""
    noise = rng.normal(0, 1, len(value)) * sd
    if tag in ("current", "frequency"):
        noise = np.where(running, noise, 0.0)
    return value + noise
