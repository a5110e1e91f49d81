"""The truth as far as it is known: labels that are looked up again, beside those that were stored with the scores."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from datadriver.config.fleet import Instance
from datadriver.data.frame import SensorFrame
from datadriver.data.window import Instant
from datadriver.monitoring.rows import Flags, Floats, Ints, instants_of
from datadriver.training.problems import find_problem
from datadriver.training.targets import observed_until


def labels_for(
    instance: Instance, sensor: SensorFrame, events: pd.DataFrame | None, end: Instant | None
) -> pd.Series | None:
    """Return the truth of the rows of a frame, as it is known at `end`; NaN where it is not known yet.

    Args:
        instance: The model.
        sensor: The asset's frame.
        events: The events of the target as `read_events` gives them, None where the target is a column.
        end: The instant up to which events are known: the end of the newest window.

    Returns:
        None where the model has no target, or the asset lacks its column.
    """
    target = instance.spec.target
    if target is None or (target.column is not None and target.column not in sensor.frame.columns):
        return None
    if target.events is not None and events is None:
        return None
    known = observed_until([sensor], [events], target)[0]
    if end is not None and known is not None:
        known = min(known, end)
    problem = find_problem(instance.spec.problem)
    return problem.labels(instance, sensor, events, known).values


@dataclass(frozen=True)
class Truth:
    """Scores, one per instant, with `y_true`; `several` flags instants that were given several different labels."""

    at: Ints
    scores: Floats
    y_true: Floats
    several: Flags

    @classmethod
    def of(cls, scores: pd.DataFrame, labels: pd.Series | None) -> Truth:
        """Join scores and labels; a label that was looked up now counts more than one stored with the score."""
        actual = _Distinct.of(instants_of(scores.index), scores["actual"].to_numpy("float64", na_value=np.nan))
        last = np.searchsorted(instants_of(scores.index), actual.at, side="right") - 1
        figures = scores["score"].to_numpy("float64", na_value=np.nan)[last]
        if labels is None:
            return cls(actual.at, figures, actual.values, actual.several)
        known = _Distinct.of(instants_of(labels.index), labels.to_numpy("float64", na_value=np.nan)).look_up(actual.at)
        y_true = np.where(np.isnan(known.values), actual.values, known.values)
        return cls(actual.at, figures, y_true, known.several | (actual.several & np.isnan(known.values)))

    @property
    def newest(self) -> int | None:
        """The last instant with a label."""
        known = np.flatnonzero(~np.isnan(self.y_true))
        return int(self.at[known[-1]]) if len(known) else None

    def rows(self, part: slice | Flags) -> Truth:
        """Return some of the rows."""
        return Truth(self.at[part], self.scores[part], self.y_true[part], self.several[part])

    def usable(self, *, labelled: bool) -> Truth:
        """Return the rows with a score and one label; those without a label, too, where it need not be there."""
        known = np.isfinite(self.y_true) if labelled else np.ones(len(self.at), dtype=bool)
        return self.rows(known & np.isfinite(self.scores) & ~self.several)

    @property
    def events(self) -> int:
        """Number of stretches of positive rows."""
        positive = np.concatenate(([False], self.y_true == 1))
        return int((positive[1:] & ~positive[:-1]).sum())


@dataclass(frozen=True)
class _Distinct:
    """Values by different instants; `several` flags instants with more than one value."""

    at: Ints
    values: Floats
    several: Flags

    @classmethod
    def of(cls, at: Ints, values: Floats) -> _Distinct:
        """Sort values into instants; of several the last that is known stands."""
        firsts = np.flatnonzero(np.append(True, at[1:] != at[:-1])) if len(at) else np.zeros(0, dtype="int64")
        if len(firsts) == len(at):
            return cls(at, values, np.zeros(len(at), dtype=bool))
        groups = pd.Series(values).groupby(at)
        return cls(at[firsts], np.asarray(groups.last(), dtype="float64"), groups.nunique().to_numpy() > 1)

    def look_up(self, at: Ints) -> _Distinct:
        """Return what is known of other instants."""
        if not len(self.at):
            return _Distinct(at, np.full(len(at), np.nan), np.zeros(len(at), dtype=bool))
        place = np.minimum(np.searchsorted(self.at, at), len(self.at) - 1)
        same = self.at[place] == at
        return _Distinct(at, np.where(same, self.values[place], np.nan), same & self.several[place])
