"""What is usual: how unlike the training part its own windows are, and what chance alone makes of a few rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from datadriver.config.fleet import Instance
from datadriver.config.values import format_amount
from datadriver.data.contract.wording import plural
from datadriver.training.distances import Distances, Floats

FEWEST_WINDOWS = 20
"""So many windows of the training part are needed to say what is usual."""


@dataclass(frozen=True)
class Usual:
    """What is usual of the windows of the training part, or why nobody knows."""

    families: tuple[Mapping[str, Any], ...] = ()
    share: float | None = None
    problem: str = ""
    count: int = 0
    length: str = ""
    levels: tuple[float, ...] = ()

    @classmethod
    def of(cls, reference: Mapping[str, Any], names: Sequence[str], share: float | None, instance: Instance) -> Usual:
        """Return what a share of the windows did not exceed; `names` are parts of the reference's `windows`."""
        if share is None:
            return cls()
        windows = reference.get("windows") or {}
        length = format_amount(instance.usecase.monitor_window)
        if not all(name in windows for name in names):
            return cls(share=share, problem="its training did not keep what is usual of windows; train again")
        if windows["length"] != length:
            said = f"training looked at windows of {windows['length']}, and monitor.window is {length}; train again"
            return cls(share=share, problem=said)
        if windows["count"] < FEWEST_WINDOWS:
            said = f"training had {plural(windows['count'], 'window')} of {length}, and {FEWEST_WINDOWS} are needed"
            return cls(share=share, problem=said)
        families = tuple(windows[name] for name in names)
        return cls(families, share, "", windows["count"], length, tuple(windows["levels"]))

    def bound(self, kind: str, trait: str) -> float:
        """Return what a distance of this trait does not exceed in the usual share of windows, whatever the trait.

        That is its own scale times what the worst of all traits of its family makes of its scale. Families, such as
        values and nulls, share what may be unusual in equal parts.
        """
        for family in self.families:
            kept = family[kind]
            if trait in kept["scales"] and kept["worst"]:
                level = 1 - (1 - (self.share or 0.0)) / len(self.families)
                return float(kept["scales"][trait]) * float(np.interp(level, self.levels, kept["worst"]))
        return 0.0

    def chance(self, kind: str, distances: Distances, traits: int) -> Floats:
        """Return what chance alone makes of the distance of so many independent rows.

        PSI is about a chi-square by the harmonic mean of the sizes (Yurdakul 2018); the other is the inequality of
        Dvoretzky, Kiefer and Wolfowitz. Each of the traits gets an equal part of what may be unusual (Bonferroni).
        """
        if self.share is None:
            return np.zeros(len(distances.rows))
        rare = max((1 - self.share) / traits, 1e-9)
        known, rows = max(distances.known, 1), np.maximum(distances.rows, 1)
        size = rows * known / (rows + known)
        if kind == "psi":
            return np.asarray(stats.chi2.isf(rare, max(distances.bins - 1, 1)) / size)
        return np.asarray(np.sqrt(np.log(2 / rare) / (2 * size)))
