"""Metrics over the holdouts of all instances of a model: one figure for the fleet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from datadriver.config.fleet import Instance
from datadriver.training.results import TrainResult


class PooledMetrics:
    """Collects the holdouts of the models that ask for pooled metrics, as results come in."""

    def __init__(self, instances: Sequence[Instance], root: Path) -> None:
        self._names = {one.model: one.spec.evaluate.pooled for one in instances if one.spec.evaluate.pooled}
        self._holdouts: dict[str, list[pd.DataFrame]] = {name: [] for name in self._names}
        self._root = root

    def add(self, instance: Instance, result: TrainResult) -> None:
        """Keep the holdout of one instance, if its model asks for it."""
        if instance.model in self._holdouts and result.holdout is not None:
            self._holdouts[instance.model].append(result.holdout)

    def values(self) -> Mapping[str, Mapping[str, float]]:
        """Return the metrics by model; one that cannot be computed is absent."""
        if not any(self._holdouts.values()):
            return {}
        from datadriver.training.metrics import pooled  # noqa: PLC0415 - brings scikit-learn, needed by few

        return {
            model: pooled(self._names[model], holdouts, self._root)[0]
            for model, holdouts in self._holdouts.items()
            if holdouts
        }
