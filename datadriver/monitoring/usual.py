"""What is usual: how unlike the training part its own windows are, and what chance alone makes of a few rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from datadriver.config.fleet import Instance
from datadriver.config.values import format_amount
from datadriver.training.distances import Distances, Floats

FEWEST_WINDOWS = 20
"""So many windows of the training part are needed to say what is usual."""


@dataclass(frozen=True)
class Usual:
    """What is usual of the windows of the training part, or why nobody knows."""

    kept: Mapping[str, Any]
    share: float | None
    problem: str = ""

    @classmethod
    def of(cls, reference: Mapping[str, Any], part: str, share: float | None, instance: Instance) -> Usual:
        """Return what a share of the windows did not exceed; of the reference's part `features` or `score`."""
        if share is None:
            return cls({}, None)
        windows = reference.get("windows") or {}
        length = format_amount(instance.usecase.monitor.window_of(instance.usecase.data.index))
        problem = ""
        if part not in windows:
            problem = "the training did not keep what is usual of its windows; train again"
        elif windows["length"] != length:
            problem = f"training looked at windows of {windows['length']}, and monitor.window is {length}; train again"
        elif windows["count"] < FEWEST_WINDOWS:
            problem = f"training had {windows['count']} windows of {length}, and {FEWEST_WINDOWS} are needed"
        return cls({} if problem else {**windows[part], **windows}, share, problem)

    def bound(self, kind: str, trait: str) -> float:
        """Return what a distance of this trait does not exceed in the usual share of windows, whatever the trait.

        That is its own scale times what the worst of all traits makes of its scale, but no more than it ever was.
        """
        kept = self.kept.get(kind)
        if not kept or trait not in kept["scales"] or not kept["worst"]:
            return 0.0
        factor = float(np.interp(self.share or 1.0, self.kept["levels"], kept["worst"]))
        return min(float(kept["scales"][trait]) * factor, float(kept["tops"][trait]))

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
