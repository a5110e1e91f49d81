"""Places between 0 and 1 that depend on nothing but a name and a seed: who is in the holdout today is tomorrow."""

from __future__ import annotations

import hashlib

import numpy as np
import pandas as pd


def place(name: str, seed: int) -> float:
    """Return the place of a name in [0, 1).

    >>> place("P-101", seed=0) == place("P-101", seed=0) != place("P-101", seed=1)
    True
    """
    return _hash64(name, seed) / 2**64


def row_places(assets: np.ndarray, instants: pd.Index, seed: int) -> np.ndarray:
    """Return the place of each row in [0, 1), from its asset id and its instant (microseconds or step)."""
    codes, names = pd.factorize(np.asarray(assets, dtype=object))
    of_asset = np.array([_hash64(str(name), seed) for name in names], dtype=np.uint64)
    mixed = _mix(_numbers(instants) + of_asset[codes]) if len(instants) else np.zeros(0, dtype=np.uint64)
    return (mixed >> np.uint64(11)).astype("float64") / 2**53


def _hash64(name: str, seed: int) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed}:{name}".encode()).digest()[:8], "little")


def _numbers(instants: pd.Index) -> np.ndarray:
    if isinstance(instants, pd.DatetimeIndex):
        return instants.as_unit("us").asi8.astype(np.uint64)
    return instants.to_numpy().astype(np.int64).astype(np.uint64)


def _mix(values: np.ndarray) -> np.ndarray:
    """Spread 64-bit numbers evenly: the finaliser of splitmix64 (Steele, Lea and Flood 2014)."""
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(values ^ (values >> np.uint64(31)))
