"""One training of one instance, from sensor frames to a version and the decision about it."""

from __future__ import annotations

import sys
import time
import warnings as python_warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import pandas as pd
from threadpoolctl import ThreadpoolController

from datadriver.config.fleet import Instance
from datadriver.data.frame import SensorFrame
from datadriver.data.window import Window
from datadriver.errors import DataError
from datadriver.training.decide import Candidates, better_of, decide
from datadriver.training.estimators import Scorer, fit, new_estimator
from datadriver.training.evaluate import Court, Parts, chosen_metrics, primary_metric
from datadriver.training.prepare import Prepared, in_words, prepare, training_window
from datadriver.training.problems import Problem, find_problem
from datadriver.training.record import (
    columns,
    counts,
    draw,
    extent,
    figures,
    missing_metrics,
    odd_features,
    parameters,
    scored_holdout,
    training_reference,
)
from datadriver.training.result_key import frames_digest, result_key
from datadriver.training.results import Incumbent, Role, TrainResult
from datadriver.training.splits import Split, split_rows


def train_instance(  # noqa: PLR0913 - what a training depends on, no more
    instance: Instance,
    frames: Sequence[SensorFrame],
    events: Mapping[str, pd.DataFrame],
    incumbent: Incumbent | None,
    *,
    root: Path,
    window: Window | None = None,
) -> TrainResult:
    """Fit a model and its baseline, judge both and the champion on the same rows, and say what should serve.

    Args:
        instance: The unit and its model.
        frames: The sensor frame of each asset of the unit, read with the model's lookback in front.
        events: The events of the target by asset id; empty where the target is a column.
        incumbent: The champion, if there is one.
        root: Folder of the use case.
        window: What to use of the frames; default: their own windows, cut to `window.train`.

    Raises:
        DataError: too few rows or events, one class only, a target without values.
        UseCaseError: a function of the use case failed.
        ConfigError: the model's configuration does not go with its data.
    """
    started = time.perf_counter()
    if window is not None:
        frames = [replace(sensor, window=window) for sensor in frames]
    with _collected_warnings() as warnings, _thread_pools(len(sys.modules)).limit(limits=1):
        problem = find_problem(instance.spec.problem)
        metrics = chosen_metrics(instance, problem, root)
        prepared = prepare(instance, frames, events, root, training_window(instance, frames))
        split = _split(instance, prepared)
        parts = _parts(instance, problem, prepared, split)
        court = Court(instance, problem, metrics, parts, root)
        model = court.judge(_fitted("model", instance, root, problem, parts.fit))
        baseline = court.judge(_fitted("baseline", instance, root, problem, parts.fit))
        primary = primary_metric(instance, metrics, (model, baseline))
        version = better_of(primary, model, baseline, instance.spec.promote)
        duel = court.compare(version, incumbent) if incumbent else None
        decision = decide(primary, Candidates(model, baseline, version), duel, instance.spec.promote)
        unanswered = missing_metrics(model, baseline, (*instance.spec.evaluate.metrics, primary.name))
        plots = draw(instance, frames, problem, version, parts)
    digest = frames_digest(frames)
    return TrainResult(
        unit=instance.unit.key,
        model=instance.model,
        role=version.scorer.role,
        estimator=version.scorer.estimator,
        method=version.scorer.method,
        features=columns(parts.fit),
        metrics=figures(model, baseline, duel),
        primary=primary.name,
        greater_is_better=primary.greater_is_better,
        decision=decision,
        rows=counts(prepared, split, parts),
        train_window=extent(parts.fit),
        holdout_window=extent(parts.holdout),
        seen=split.seen,
        threshold=version.threshold,
        reference=training_reference(instance, frames, problem, version, parts, primary),
        holdout=scored_holdout(version, parts),
        plots=plots,
        params=parameters(instance),
        frame_digest=digest,
        result_key=result_key(instance, frames, events, root=root, digest=digest),
        warnings=tuple(dict.fromkeys([*odd_features(parts.fit), *unanswered, *warnings])),
        seconds=time.perf_counter() - started,
    )


def _split(instance: Instance, prepared: Prepared) -> Split:
    return split_rows(
        prepared.table(instance, instance.spec.evaluate.group),
        instance.spec.evaluate,
        horizon=prepared.horizon,
        seed=instance.usecase.seed,
        where=f"{instance.key}, split",
    )


def _parts(instance: Instance, problem: Problem, prepared: Prepared, split: Split) -> Parts:
    """Return the rows to fit and to judge by; known anomalies of the training part judge, too, as none is fitted."""
    usable = problem.fitted_on(prepared.target)
    where = f"{instance.key}, split"
    parts = Parts(prepared.only(split.fit & usable), prepared.only(split.holdout | (split.fit & ~usable)))
    if len(parts.fit) < instance.spec.window.min_rows:
        raise DataError(
            f"{where}: {len(parts.fit):,} rows are left for the fit, window.min_rows is "
            f"{instance.spec.window.min_rows:,} ({in_words(counts(prepared, split, parts))})"
        )
    problem.check(instance, parts.fit, where)
    return parts


def _fitted(role: Role, instance: Instance, root: Path, problem: Problem, rows: Prepared) -> Scorer:
    return fit(new_estimator(instance, role, root, problem), rows.features, problem.learnt(rows.target), instance, root)


@lru_cache(maxsize=1)
def _thread_pools(modules: int) -> ThreadpoolController:  # noqa: ARG001 - how many were imported: looks anew after more
    """Return the native thread pools of this process: looking for them takes as long as fitting a small model."""
    return ThreadpoolController()


@contextmanager
def _collected_warnings() -> Iterator[list[str]]:
    """Collect what is warned of inside, each warning once, instead of printing it."""
    texts: list[str] = []
    with python_warnings.catch_warnings(record=True) as caught:
        python_warnings.simplefilter("always")
        yield texts
    texts.extend(f"{warning.category.__name__}: {' '.join(str(warning.message).split())}" for warning in caught)
