"""Model, baseline and champion before the same judge: the same rows, the same metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np

from datadriver.config.fleet import Instance
from datadriver.errors import ConfigError, UseCaseError, nearest
from datadriver.training.estimators import Scorer
from datadriver.training.metrics import MOVES_FEATURES, Evidence, Metric, find_metric, measure
from datadriver.training.prepare import Prepared
from datadriver.training.problems import Problem
from datadriver.training.results import Incumbent, Role
from datadriver.training.splits import unseen
from datadriver.training.thresholds import threshold

MIN_SHARE = 0.1
MIN_ROWS = 10


@dataclass(frozen=True)
class Parts:
    """The rows that are fitted, and the rows that judge."""

    fit: Prepared
    holdout: Prepared


@dataclass(frozen=True)
class Judged:
    """One estimator, what it scored on the holdout, and its metrics; `reasons` says why others are missing."""

    scorer: Scorer
    evidence: Evidence
    threshold: float | None
    values: Mapping[str, float]
    reasons: Mapping[str, str]


@dataclass(frozen=True)
class Duel:
    """Champion and challenger on the rows that the champion has not seen.

    `problem` says why they cannot be compared, in which case there are no values; `unusable` that the champion
    cannot score rows of today at all.
    """

    version: str
    champion: Mapping[str, float]
    challenger: Mapping[str, float]
    rows: int
    problem: str | None = None
    unusable: bool = False


def chosen_metrics(instance: Instance, problem: Problem, root: Path) -> tuple[Metric, ...]:
    """Return the metrics of a model, the primary among them.

    Raises:
        ConfigError: if a name is unknown, or makes no sense for the problem.
    """
    evaluate = instance.spec.evaluate
    names = evaluate.metrics or problem.metrics
    if evaluate.primary is not None and evaluate.primary not in names:
        names = (evaluate.primary, *names)
    metrics = tuple(find_metric(name, root) for name in names)
    for metric in metrics:
        if ":" not in metric.name and metric.name not in problem.understands:
            raise ConfigError(
                f"models.{instance.model}.evaluate: {metric.name!r} does not suit {instance.spec.problem}"
                + nearest(metric.name, problem.understands)
            )
    return metrics


def primary_metric(instance: Instance, metrics: Sequence[Metric], judged: Sequence[Judged]) -> Metric:
    """Return the metric that decides: the one named, else the first; of a problem's own the first that has a value."""
    evaluate = instance.spec.evaluate
    if evaluate.primary is not None:
        return next(metric for metric in metrics if metric.name == evaluate.primary)
    if evaluate.metrics:
        return metrics[0]
    return next((m for m in metrics if all(m.name in one.values for one in judged)), metrics[0])


@dataclass(frozen=True)
class Court:
    """The rows, the metrics and the problem by which every estimator of an instance is judged alike."""

    instance: Instance
    problem: Problem
    metrics: Sequence[Metric]
    parts: Parts
    root: Path

    def judge(self, scorer: Scorer) -> Judged:
        """Score the holdout and compute the metrics; the alarm threshold comes from the fitted rows."""
        where = f"{self.instance.unit.key}, {scorer.role} of {self.instance.model}"
        fit, holdout, alarm = self.parts.fit, self.parts.holdout, self.instance.spec.alarm
        fitted = scorer.score(fit.features, where, self.root)
        on = alarm.on if alarm else "score"
        limit = threshold(alarm, self.problem.alarm_value(on, fitted, fit.target.to_numpy()))
        evidence = Evidence(
            y_true=holdout.target.to_numpy(),
            y_score=scorer.score(holdout.features, where, self.root),
            features=holdout.features,
            level=limit if limit is not None and on == "score" else self.problem.level(fitted),
            train_scores=fitted,
            score=partial(scorer.score, where=where, root=self.root),
            spread=self._spread,
        )
        return Judged(scorer, evidence, limit, *measure(self.metrics, evidence))

    @cached_property
    def _spread(self) -> dict[str, float] | None:
        """Standard deviations of the features, for the one metric that moves them."""
        if all(metric.name != MOVES_FEATURES for metric in self.metrics):
            return None
        numeric = self.parts.fit.features.select_dtypes("number")
        return {str(name): float(value) if np.isfinite(value) else 0.0 for name, value in numeric.std().items()}

    def compare(self, challenger: Judged, incumbent: Incumbent) -> Duel:
        """Measure champion and challenger on the holdout rows that the champion has not seen."""
        seen, version = incumbent.seen, incumbent.version
        fair = unseen(self.parts.holdout.table(self.instance, seen.group), seen)
        rows = int(fair.sum())
        if rows < min(len(fair), max(MIN_ROWS, MIN_SHARE * len(fair))):
            reason = f"it has seen all but {rows:,} of the {len(fair):,} holdout rows"
            return Duel(version, {}, {}, rows, reason)
        role: Role = "baseline" if incumbent.role == "baseline" else "model"
        try:
            champion = self.judge(Scorer(role, incumbent.estimator, incumbent.method))
        except UseCaseError as error:
            return Duel(version, {}, {}, rows, str(error), unusable=True)
        theirs, _ = measure(self.metrics, champion.evidence.only(fair))
        ours, _ = measure(self.metrics, challenger.evidence.only(fair))
        return Duel(version, theirs, ours, rows)
