"""What must hold within a model's section, and between it and the sources."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from datadriver.config.expressions import parse
from datadriver.config.grid import PLACEHOLDER, placeholders, variants
from datadriver.config.messages import Problem
from datadriver.config.metric_names import CLASSIFICATION, LABEL_FREE, METRIC_NAMES, REGRESSION
from datadriver.config.sections import Model, Target, UseCase
from datadriver.config.source_rules import columns_of
from datadriver.config.values import Share, format_amount
from datadriver.errors import ConfigError, nearest

_MOST_VARIANTS = 1000
MEANINGLESS: Mapping[str, frozenset[str]] = {
    "regression": CLASSIFICATION | LABEL_FREE,
    "classification": REGRESSION | LABEL_FREE - {"alarm_rate"},
    "anomaly": REGRESSION | {"brier", "log_loss"},
}
"""Metrics that make no sense for a problem."""

Here = tuple[str | int, ...]


def model_problems(usecase: UseCase, name: str, model: Model) -> Iterator[Problem]:
    """Yield what is wrong with a model; with a grid, with each of its variants."""
    here = ("models", name)
    yield from _grid_problems(here, model)
    if not 0 < math.prod(map(len, model.grid.values())) <= _MOST_VARIANTS:
        return
    for spec in _specs(name, model):
        yield from _problem_kind(here, spec)
        yield from _target_problems(usecase, here, spec)
        yield from _evaluate_problems(here, spec)
        yield from _metric_problems((*here, "evaluate"), spec)
        yield from _unit_problems(here, spec)
        if spec.alarm and spec.alarm.on == "residual" and spec.problem in ("classification", "anomaly"):
            yield Problem((*here, "alarm", "on"), f"{spec.problem} has no residual; write `on: score`")


def problem_names() -> tuple[str, ...]:
    """Return the names of the problems: the modules of `datadriver.training.problems`, not imported."""
    folder = Path(__file__).parents[1] / "training" / "problems"
    return tuple(sorted(file.stem for file in folder.glob("[!_]*.py")))


def _specs(name: str, model: Model) -> Iterator[Model]:
    if not model.grid:
        yield model
        return
    for _, section in variants(name, model.model_dump(by_alias=True, warnings=False)):
        try:
            yield Model.model_validate(section)
        except ValidationError:  # said with its path when the file is loaded
            return


def _grid_problems(here: Here, model: Model) -> Iterator[Problem]:
    if not model.grid:
        return
    used = {variable for _, variable in placeholders(model.model_dump(exclude={"grid"}, by_alias=True, warnings=False))}
    for variable, values in model.grid.items():
        path = (*here, "grid", variable)
        if not PLACEHOLDER.fullmatch(f"{{{variable}}}"):
            yield Problem(path, f"{variable!r} is no name for a grid variable; letters, digits and _, a letter first")
        elif variable not in used:
            yield Problem(path, f"{{{variable}}} stands nowhere in the model, so its values make no difference")
        if not values:
            yield Problem(path, "lists no values")
        if len(set(map(str, values))) < len(values):
            yield Problem(path, "lists a value twice")
    count = math.prod(map(len, model.grid.values()))
    if count > _MOST_VARIANTS:
        yield Problem((*here, "grid"), f"makes {count} models; {_MOST_VARIANTS} are allowed")


def _problem_kind(here: Here, spec: Model) -> Iterator[Problem]:
    if spec.problem not in problem_names():
        known = nearest(spec.problem, problem_names())
        yield Problem((*here, "problem"), f"there is no problem {spec.problem!r}{known}")


def _target_problems(usecase: UseCase, here: Here, spec: Model) -> Iterator[Problem]:
    path, target = (*here, "target"), spec.target or Target()
    if target.column and target.events:
        yield Problem(path, "give either `column` or `events`")
    if spec.problem == "regression":
        if target.events:
            yield Problem((*path, "events"), "regression predicts the value of a `column`, not events")
        elif not target.column:
            yield Problem((*path, "column"), "is required for regression: the tag to predict")
        if target.positive is not None:
            yield Problem((*path, "positive"), "means nothing for regression, whose target is a number")
    if spec.problem == "classification" and not (target.column or target.events):
        yield Problem(path, "classification needs a `column`, or `events` and `horizon`")
    columns = columns_of(usecase)
    if target.column and columns is not None and target.column not in columns:
        yield Problem((*path, "column"), f"no source has a tag {target.column!r}{nearest(target.column, columns)}")
    yield from _event_problems(usecase, path, target)


def _event_problems(usecase: UseCase, path: Here, target: Target) -> Iterator[Problem]:
    if target.events is None:
        if target.horizon is not None:
            yield Problem((*path, "horizon"), "counts `events`, and there are none here")
        return
    sources = usecase.data.sources
    if target.horizon is None:
        yield Problem((*path, "horizon"), "is required with `events`: how far ahead an event counts")
    if target.events not in sources:
        yield Problem((*path, "events"), f"there is no source {target.events!r}{nearest(target.events, sources)}")
    elif sources[target.events].join != "none":
        said = f"the source {target.events!r} is part of the sensor frame; give it `join: none`"
        yield Problem((*path, "events"), said)


def _evaluate_problems(here: Here, spec: Model) -> Iterator[Problem]:
    path, evaluate = (*here, "evaluate"), spec.evaluate
    if evaluate.holdout is not None and evaluate.train is not None:
        yield Problem(path, "give either `holdout` or `train`; the other is the rest")
    for key, amount in (("holdout", evaluate.holdout), ("train", evaluate.train)):
        said = f"`split: {evaluate.split}` takes a share such as 20%, not {format_amount(amount) if amount else ''}"
        if (evaluate.split == "group" and amount is not None and not isinstance(amount, Share)) or (
            evaluate.split == "random" and hasattr(amount, "total_seconds")
        ):
            yield Problem((*path, key), said)
    if evaluate.split == "group" and spec.fit == "asset":
        yield Problem((*path, "split"), "`group` holds out whole assets, but each fit covers one; pool them with `fit`")
    if evaluate.split == "group" and isinstance(spec.fit, tuple) and evaluate.group in spec.fit:
        said = f"every unit has one {evaluate.group!r} only, as `fit` lists it; nothing could be held out"
        yield Problem((*path, "group"), said)
    if evaluate.split == "random" and evaluate.embargo not in (None, 0):
        yield Problem((*path, "embargo"), "does not go with `split: random`, whose parts touch everywhere")
    if evaluate.embargo == "horizon" and not (spec.target and spec.target.horizon):
        yield Problem((*path, "embargo"), "`horizon` is the target's, which has none")


def _metric_problems(path: Here, spec: Model) -> Iterator[Problem]:
    evaluate = spec.evaluate
    named: list[tuple[Here, Any]] = [((*path, "metrics", place), name) for place, name in enumerate(evaluate.metrics)]
    named += [((*path, "pooled", place), name) for place, name in enumerate(evaluate.pooled)]
    if evaluate.primary is not None:
        if evaluate.metrics and evaluate.primary not in evaluate.metrics:
            said = f"{evaluate.primary!r} is not among the metrics{nearest(evaluate.primary, evaluate.metrics)}"
            yield Problem((*path, "primary"), said)
        else:
            named.append(((*path, "primary"), evaluate.primary))
    meaningless = MEANINGLESS.get(spec.problem, frozenset())
    for place, name in named:
        if ":" in name:
            continue
        if name not in METRIC_NAMES:
            yield Problem(place, f"there is no metric {name!r}{nearest(name, METRIC_NAMES - meaningless)}")
        elif name in meaningless:
            yield Problem(place, f"{name!r} says nothing about {spec.problem}{nearest('', METRIC_NAMES - meaningless)}")


def _unit_problems(here: Here, spec: Model) -> Iterator[Problem]:
    if spec.fit == ():
        yield Problem((*here, "fit"), "lists no attribute; write `fit: fleet` for one fit over all assets")
    if spec.where is not None:
        try:
            parse(spec.where)
        except ConfigError as error:
            yield Problem((*here, "where"), error.message)
