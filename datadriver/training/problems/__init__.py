"""The kinds of question a model can answer: one module each, found by its name.

A module `datadriver/training/problems/<name>.py` with an object `PROBLEM` is all that a new kind needs.
"""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol, cast

from datadriver.errors import ConfigError, nearest

if TYPE_CHECKING:  # listing the names must not load pandas and scikit-learn
    from collections.abc import Mapping

    import numpy as np
    import pandas as pd

    from datadriver.config.fleet import Instance
    from datadriver.data.frame import SensorFrame
    from datadriver.data.window import Instant
    from datadriver.training.plots import View
    from datadriver.training.prepare import Prepared
    from datadriver.training.results import Method
    from datadriver.training.targets import Labels


class Problem(Protocol):
    """What one kind of question does differently from the others."""

    @property
    def needs_labels(self) -> bool:
        """Whether rows without a label are of no use."""

    @property
    def has_residual(self) -> bool:
        """Whether the score is in the unit of the target, so that their difference means something."""

    @property
    def metrics(self) -> tuple[str, ...]:
        """Metrics unless the model names others; the first that has a value decides."""

    @property
    def understands(self) -> frozenset[str]:
        """Names of the metrics that make sense here."""

    def labels(
        self, instance: Instance, sensor: SensorFrame, events: pd.DataFrame | None, end: Instant | None
    ) -> Labels:
        """Return the labels of one asset, on the index of its sensor frame."""

    def adapt(self, estimator: Any, where: str) -> tuple[Any, Method]:
        """Return the estimator in the form that is fitted and stored, and the method that gives its score."""

    def fitted_on(self, target: pd.Series) -> np.ndarray:
        """Return which rows of the training part the fit may use."""

    def learnt(self, target: pd.Series) -> np.ndarray | None:
        """Return what `fit` gets as `y` for these rows."""

    def check(self, instance: Instance, fitted: Prepared, where: str) -> None:
        """Raise DataError if nothing can be learnt from the rows of the training part."""

    def alarm_value(self, on: str, score: np.ndarray, actual: np.ndarray) -> np.ndarray:
        """Return what the alarm threshold is compared with."""

    def level(self, scores: np.ndarray) -> float:
        """Return the score from which a row counts as positive, where no alarm is configured."""

    def plots(self, view: View) -> Mapping[str, bytes]:
        """Return the pictures that tell whether to believe this version, as PNG files by name."""


@cache  # training asks several times a model, and each time is a look at the directory
def problem_names() -> tuple[str, ...]:
    """Return the names of all problems, without loading them.

    >>> problem_names()
    ('anomaly', 'classification', 'regression')
    """
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_")))


def find_problem(name: str) -> Problem:
    """Return the problem with this name.

    Raises:
        ConfigError: if there is none.
    """
    if name not in problem_names():
        raise ConfigError(f"problem: there is no problem {name!r}" + nearest(name, problem_names()))
    return cast("Problem", importlib.import_module(f"{__name__}.{name}").PROBLEM)
