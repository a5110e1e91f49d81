"""Scores of one asset in a window, by the same way through features and mask as training."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from datadriver.config.fleet import Instance
from datadriver.data.frame import SensorFrame
from datadriver.data.window import Window
from datadriver.training.estimators import score
from datadriver.training.prepare import counted_features, in_reach
from datadriver.training.problems import find_problem
from datadriver.training.results import Method
from datadriver.training.thresholds import sustained

COLUMNS = ("score", "actual", "residual", "alarm")


def reading_window(instance: Instance, window: Window) -> Window:
    """Return what must be read to score a window: lookback for the features, and the time an alarm must last."""
    alarm, lookback = instance.spec.alarm, instance.spec.window.lookback
    earlier = window.starting_earlier(lookback) if lookback else window
    return earlier.starting_earlier(alarm.for_) if alarm is not None and alarm.for_ else earlier


def score_frame(  # noqa: PLR0913 - a version is estimator, method and threshold
    instance: Instance,
    sensor: SensorFrame,
    estimator: Any,
    method: Method,
    threshold: float | None,
    *,
    root: Path,
    window: Window | None = None,
) -> pd.DataFrame:
    """Score the rows of one asset that count.

    Args:
        instance: The instance whose version scores.
        sensor: The asset's frame, read over `reading_window`.
        estimator: The fitted estimator of the version.
        method: How it is asked.
        threshold: The version's alarm threshold.
        root: Folder of the use case.
        window: The instants to score; default: the window of the frame.

    Returns:
        One row per instant of the window that counts, in order: `score`, `actual` (the target where it is known),
        `residual` (actual - score, for a number) and `alarm`. Rows that the mask takes out are absent.

    Raises:
        UseCaseError: if a function or the estimator of the use case fails.
    """
    window = window or sensor.window
    problem = find_problem(instance.spec.problem)
    run_up = _with_run_up(instance, window)
    sensor = in_reach(instance, sensor, run_up)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the training has reported them; a fleet scored hourly need not repeat them
        features, _ = counted_features(instance, sensor, root, run_up, warm=window.start is None)
        scores = score(estimator, method, features, where=f"{sensor.asset.id}, score of {instance.model}", root=root)
    actual = _actual(instance, sensor).reindex(features.index).to_numpy("float64")
    residual = actual - scores if problem.has_residual else np.full(len(scores), np.nan)
    alarm = np.zeros(len(scores), dtype=bool)
    if instance.spec.alarm is not None and threshold is not None:
        above = problem.alarm_value(instance.spec.alarm.on, scores, actual) > threshold
        alarm = sustained(above, features.index, instance.spec.alarm.for_)
    table = dict(zip(COLUMNS, (scores, actual, residual, alarm), strict=True))
    return window.slice(pd.DataFrame(table, index=features.index))


def _with_run_up(instance: Instance, window: Window) -> Window:
    """Return the window with the rows before it that say whether an alarm has lasted."""
    alarm = instance.spec.alarm
    return window.starting_earlier(alarm.for_) if alarm is not None and alarm.for_ else window


def _actual(instance: Instance, sensor: SensorFrame) -> pd.Series:
    """Return the target where it is a column of this frame; events of the future are not known when scoring."""
    target, index = instance.spec.target, sensor.frame.index
    if target is None or target.column is None or target.column not in sensor.frame.columns:
        return pd.Series(np.nan, index=index)
    return find_problem(instance.spec.problem).labels(instance, sensor, None, None).values
