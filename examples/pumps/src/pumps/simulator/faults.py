"""What wears out: each life of a pump ends by one kind of fault, whose onset is known here and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

KINDS = {"bearing": 0.35, "intake_blockage": 0.25, "impeller": 0.2, "motor": 0.2}
"""Kinds of fault and how often each ends a life."""

WARNING_DAYS = {"bearing": (8, 30), "intake_blockage": (4, 18), "impeller": (12, 40), "motor": (5, 25)}
"""Days from the onset of each kind to the failure."""

MEAN_LIFE_DAYS = 170.0
"""Short beside real pumps, so that a season of data has failures to learn from."""


@dataclass(frozen=True)
class Fault:
    """One fault; all times in days since the start of the data, which the failure may lie beyond."""

    kind: str
    onset: float
    failure: float
    repaired: float


def draw_faults(rng: np.random.Generator, days: float) -> tuple[Fault, ...]:
    """Draw the lives of one pump; the first began some time before the data."""
    faults: list[Fault] = []
    start = -rng.uniform(0, 0.9) * MEAN_LIFE_DAYS
    while start < days:
        failure = start + max(10.0, MEAN_LIFE_DAYS * rng.weibull(1.8) / 0.889)
        fault = _fault(rng, start, failure)
        if failure > 3:  # a pump that failed before the data, or at once, is somebody else's story
            faults.append(fault)
        start = fault.repaired
    return tuple(fault for fault in faults if fault.onset < days)


def _fault(rng: np.random.Generator, start: float, failure: float) -> Fault:
    kind = str(rng.choice(list(KINDS), p=list(KINDS.values())))
    warning = min(rng.uniform(*WARNING_DAYS[kind]), 0.8 * (failure - start))
    return Fault(kind, failure - warning, failure, failure + rng.uniform(4, 10))


def severity(faults: tuple[Fault, ...], days: np.ndarray) -> Mapping[str, np.ndarray]:
    """Return how far each kind of fault has gone at each instant, from 0 (healthy) to 1 (failure)."""
    grown = {kind: np.zeros(len(days)) for kind in KINDS}
    for fault in faults:
        active = (days >= fault.onset) & (days < fault.failure)
        share = (days[active] - fault.onset) / (fault.failure - fault.onset)
        grown[fault.kind][active] = share**1.5
    return grown


def under_repair(faults: tuple[Fault, ...], days: np.ndarray) -> np.ndarray:
    """Return where the pump stands still between its failure and the end of the workover."""
    down = np.zeros(len(days), dtype=bool)
    for fault in faults:
        down |= (days >= fault.failure) & (days < fault.repaired)
    return down
