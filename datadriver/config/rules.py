"""What must hold between the sections of a use case; every broken rule is found, not only the first."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from datadriver.config.expressions import parse
from datadriver.config.messages import Problem
from datadriver.config.model_rules import model_problems
from datadriver.config.monitor_rules import monitor_problems, monitor_spans
from datadriver.config.overrides import apply
from datadriver.config.schedule_rules import schedule_problems
from datadriver.config.sections import UseCase
from datadriver.config.source_rules import source_problems
from datadriver.config.times import zone_problem
from datadriver.errors import ConfigError

_TAKEN = (
    "datadriver",
    "airflow",
    "docker",
    "great_expectations",
    "mlflow",
    "numpy",
    "pandas",
    "scipy",
    "sklearn",
    "skops",
)
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")


def rule_problems(usecase: UseCase) -> list[Problem]:
    """Return every rule that the use case breaks, looking at the file alone."""
    return list(dict.fromkeys([*_rules(usecase), *_override_problems(usecase)]))


def cohort_problems(usecase: UseCase) -> list[Problem]:
    """Return every rule that a resolved use case breaks."""
    return list(dict.fromkeys(_rules(usecase)))


def _rules(usecase: UseCase) -> Iterator[Problem]:
    yield from _name_problems(usecase)
    yield from _zone_problems(usecase)
    yield from source_problems(usecase)
    for name, model in usecase.models.items():
        yield from model_problems(usecase, name, model)
    yield from _span_problems(usecase)
    yield from schedule_problems(usecase)
    if not usecase.workers.timeout:
        yield Problem(("workers", "timeout"), "must be more than zero")
    yield from monitor_problems(usecase)
    if not 0 <= usecase.seed < 2**32:
        yield Problem(("seed",), f"must be from 0 to {2**32 - 1}, not {usecase.seed}")


def _name_problems(usecase: UseCase) -> Iterator[Problem]:
    if usecase.name in sys.stdlib_module_names or usecase.name in _TAKEN:
        yield Problem(
            ("name",), f"{usecase.name!r} is a Python module already; the use case's package needs its own name"
        )
    paths: list[tuple[str, ...]] = [("models", name) for name in usecase.models]
    for path in [*paths, *(("data", "sources", name) for name in usecase.data.sources)]:
        if not _NAME.fullmatch(path[-1]):
            yield Problem(path, f"{path[-1]!r} is no name; letters, digits, _ and -, a letter first")


def _zone_problems(usecase: UseCase) -> Iterator[Problem]:
    zones: list[tuple[tuple[str, ...], str]] = [(("data", "timezone"), usecase.data.timezone)]
    for name, source in usecase.data.sources.items():
        if source.timezone is not None:
            zones.append((("data", "sources", name, "timezone"), source.timezone))
    for path, zone in zones:
        if problem := zone_problem(zone):
            yield Problem(path, problem)


def _span_problems(usecase: UseCase) -> Iterator[Problem]:
    for path, span, least in _spans(usecase):
        text = isinstance(span, timedelta)
        if usecase.data.index == "step" and text:
            yield Problem(path, "data.index is step, so this must be a whole number of steps")
        elif usecase.data.index == "time" and not text and span != 0:
            yield Problem(path, f"data.index is time, so this must be a duration such as 10min, not {span}")
        elif (span / timedelta(microseconds=1) if isinstance(span, timedelta) else span) < least:
            yield Problem(path, f"must be {'more than zero' if least else 'zero or more'}")


def _spans(usecase: UseCase) -> Iterator[tuple[tuple[str, ...], timedelta | int, int]]:
    """Yield path, value and least size of every span that is set; grid variables have none yet."""
    found: list[tuple[tuple[str, ...], Any, int]] = [
        (("data", "resolution"), usecase.data.resolution, 1),
        *monitor_spans(usecase),
        (("scores", "window"), usecase.scores.window, 1),
    ]
    for name, source in usecase.data.sources.items():
        found.append((("data", "sources", name, "max_gap"), source.max_gap, 0))
    for name, model in usecase.models.items():
        here = ("models", name)
        found += [
            ((*here, "target", "horizon"), model.target.horizon if model.target else None, 1),
            ((*here, "window", "train"), model.window.train, 1),
            ((*here, "window", "lookback"), model.window.lookback, 0),
            ((*here, "evaluate", "embargo"), model.evaluate.embargo, 0),
            ((*here, "alarm", "for"), model.alarm.for_ if model.alarm else None, 0),
        ]
        for key in ("holdout", "train"):
            amount = getattr(model.evaluate, key)
            found.append(((*here, "evaluate", key), amount if isinstance(amount, timedelta) else None, 1))
    return ((path, value, least) for path, value, least in found if isinstance(value, (timedelta, int)))


def _override_problems(usecase: UseCase) -> Iterator[Problem]:
    """Try every override by itself: its expression, its paths, its values."""
    for place, override in enumerate(usecase.overrides):
        here = ("overrides", place)
        try:
            parse(override.where)
        except ConfigError as error:
            yield Problem((*here, "where"), error.message)
        if not override.set:
            yield Problem((*here, "set"), "sets nothing")
        for path, value in override.set.items():
            try:
                apply(usecase, {place: override.model_copy(update={"set": {path: value}})})
            except ConfigError as error:
                start = f"overrides[{place}].set.{path}: "
                yield from (Problem((*here, "set", path), text.removeprefix(start)) for text in error.problems)
