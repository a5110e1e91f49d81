"""What people write down: failures, reported some time later, and maintenance visits, entered late."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

import numpy as np

from pumps.simulator.faults import Fault

Row = dict[str, object]


def failure_rows(
    rng: np.random.Generator, asset_id: str, faults: tuple[Fault, ...], *, start: datetime, days: float
) -> list[Row]:
    """Return one row per failure inside the data, with the time at which the report was filed."""
    rows: list[Row] = []
    for fault in faults:
        delay = rng.exponential(1.0)
        if fault.failure < days:
            failed = start + timedelta(days=fault.failure)
            rows.append(
                {
                    "asset_id": asset_id,
                    "failed_at": _minute(failed),
                    "reported_at": _minute(failed + timedelta(days=delay)),
                    "cause": fault.kind,
                }
            )
    return rows


def visit_rows(
    rng: np.random.Generator,
    asset_id: str,
    faults: tuple[Fault, ...],
    motor: Mapping[float, float],
    *,
    start: datetime,
    days: float,
) -> list[Row]:
    """Return maintenance visits; at each one the insulation of the motor is measured, in megohm.

    `motor` gives the severity of the motor's fault by day. Three visits in ten are entered days to weeks late.
    """
    healthy = rng.uniform(600, 2500)
    visits = [(day, "inspection") for day in np.cumsum(rng.uniform(12, 40, int(days / 12) + 2))]
    visits += [(fault.repaired, "workover") for fault in faults]
    rows: list[Row] = []
    for day, work in sorted(visits):
        wait = rng.uniform(4, 25) if rng.random() < 0.3 else rng.uniform(0.05, 2)
        reading = healthy * np.exp(rng.normal(0, 0.12) - 4 * motor.get(int(day), 0.0))
        if day + wait < days:
            done = start + timedelta(days=float(day))
            rows.append(
                {
                    "pump": asset_id,
                    "done_on": _minute(done),
                    "entered_on": _minute(done + timedelta(days=float(wait))),
                    "work": work,
                    "insulation_megohm": round(float(reading), 1),
                }
            )
    return rows


def _minute(instant: datetime) -> str:
    return instant.strftime("%Y-%m-%d %H:%M")
