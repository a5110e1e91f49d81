"""What the operators do: speed set-points, trips and restarts."""

from __future__ import annotations

import numpy as np


def speed(rng: np.random.Generator, hours: np.ndarray) -> np.ndarray:
    """Return the speed set-point in Hz at `hours` since the start: held for days, then changed."""
    changes = _renewals(rng, hours[-1], mean=rng.uniform(60, 150))
    usual = rng.uniform(46, 54)
    levels = np.clip(rng.normal(usual, 2.5, len(changes) + 1), 40, 60).round(1)
    return levels[np.searchsorted(changes, hours, side="right")]


def trips(rng: np.random.Generator, hours: np.ndarray) -> np.ndarray:
    """Return where the pump stands still after a trip: most are short, some take days to restart."""
    starts = _renewals(rng, hours[-1], mean=rng.uniform(350, 900))
    lengths = np.exp(rng.normal(np.log(5), 1.1, len(starts)))
    stopped = np.zeros(len(hours), dtype=bool)
    for start, length in zip(starts, lengths, strict=True):
        stopped |= (hours >= start) & (hours < start + length)
    return stopped


def _renewals(rng: np.random.Generator, end: float, *, mean: float) -> np.ndarray:
    """Return the times of a renewal process up to `end`, in hours."""
    count = int(end / mean * 2) + 10
    times = np.cumsum(rng.gamma(2.0, mean / 2, count))
    return times[times < end]
