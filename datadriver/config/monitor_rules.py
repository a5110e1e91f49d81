"""What must hold in the section `monitor`, and between it and the rest of the use case."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from datadriver.config.expressions import parse
from datadriver.config.grid import variants
from datadriver.config.messages import Problem
from datadriver.config.monitor_section import ModelCheck
from datadriver.config.sections import UseCase
from datadriver.config.values import format_amount
from datadriver.errors import ConfigError, nearest

SpanAt = tuple[tuple[str, ...], timedelta | int | None, int]


def monitor_problems(usecase: UseCase) -> Iterator[Problem]:
    """Yield every name in `monitor` that leads nowhere."""
    yield from _model_problems(usecase)
    yield from _window_problems(usecase)
    if "://" in (usecase.monitor.metrics or ""):
        yield Problem(("monitor", "metrics"), "must be a path on this machine: something here collects the file")
    for place, silence in enumerate(usecase.monitor.silence):
        here = ("monitor", "silence", place)
        source = usecase.data.sources.get(silence.source)
        if source is None:
            known = nearest(silence.source, usecase.data.sources)
            yield Problem((*here, "source"), f"there is no source {silence.source!r}{known}")
        elif source.join == "bin":
            yield Problem((*here, "source"), f"{silence.source!r} is no event table; its `join` must be none or asof")
        yield from _expression_problems((*here, "where"), silence.where)
    for place, notice in enumerate(usecase.monitor.notify):
        yield from _expression_problems(("monitor", "notify", place, "where"), notice.where)


def monitor_spans(usecase: UseCase) -> Iterator[SpanAt]:
    """Yield path, value and least size of every span in `monitor`."""
    monitor, checks = usecase.monitor, usecase.monitor.checks
    yield ("monitor", "window"), monitor.window, 1
    for name in ("freshness", "gaps", "frozen"):
        if (check := getattr(checks, name)) is not None:
            yield ("monitor", "checks", name, "max"), check.max, 1
    if checks.performance is not None:
        yield ("monitor", "checks", "performance", "window"), checks.performance.window, 1
    for place, silence in enumerate(monitor.silence):
        for key in ("before", "lasting"):
            yield ("monitor", "silence", str(place), key), getattr(silence, key), 0


def _window_problems(usecase: UseCase) -> Iterator[Problem]:
    """Compare the window with the resolution: a bin must not lie in two windows."""
    size, window = usecase.data.resolution, usecase.monitor_window
    if isinstance(size, timedelta) and isinstance(window, timedelta):
        fits = not size or not window % size
    elif isinstance(size, int) and isinstance(window, int):
        fits = size <= 0 or window % size == 0
    else:  # native, or of different kinds, which is another mistake
        return
    if not fits:
        yield Problem(("monitor", "window"), f"must be a multiple of data.resolution, {format_amount(size)}")


def _model_problems(usecase: UseCase) -> Iterator[Problem]:
    names = set(usecase.models)
    for base, model in usecase.models.items():
        names.update(name for name, _ in variants(base, {"grid": model.grid}))
    for name, check in usecase.monitor.checks:
        for place, asked in enumerate(check.models or () if isinstance(check, ModelCheck) else ()):
            if asked not in names:
                here = ("monitor", "checks", name, "models", place)
                yield Problem(here, f"there is no model {asked!r}{nearest(asked, names)}")


def _expression_problems(path: tuple[str | int, ...], text: str | None) -> Iterator[Problem]:
    if text is not None:
        try:
            parse(text)
        except ConfigError as error:
            yield Problem(path, error.message)
