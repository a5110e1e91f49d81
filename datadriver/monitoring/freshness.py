"""Freshness: how old the newest reading of an asset is at a window's end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from datadriver.config.sections import UseCase
from datadriver.data.spans import bin_size
from datadriver.data.window import Window, as_number, span_number
from datadriver.monitoring.facts import Fact
from datadriver.monitoring.rows import Cut, Ints
from datadriver.monitoring.watched import Watched
from datadriver.monitoring.words import as_unit, lasting, spare, unit_of, unknown

_NEVER = np.iinfo("int64").min


def freshness_facts(watched: Watched) -> Iterator[Fact]:
    """Yield for each window the age of the newest reading of any tag of the asset itself.

    Tables that all assets share do not count: the weather is fresh however dead a machine is.
    """
    kind, ends = watched.kind, watched.cut.ends
    check = watched.usecase.monitor.checks.freshness
    limit = _default(watched.usecase) if check is None or check.max is None else span_number(check.max)
    newest = {tag: _last_before(watched.readings(tag), ends) for tag in watched.own}
    for window, end, *at in zip(watched.windows, ends.tolist(), *newest.values(), strict=True):
        ages = {tag: end - int(one) for tag, one in zip(newest, at, strict=True) if one != _NEVER}
        details = {tag: as_unit(ages[tag], kind) if tag in ages else None for tag in newest}
        about = min(ages, key=ages.__getitem__, default="")
        if ages:
            said = f"newest reading is {lasting(ages[about], kind)} old at the window's end ({about})"
            yield _fact(watched, window, ages[about], limit, about, said, details)
        else:
            yield _silent(watched, window, end, limit, details)


def _default(usecase: UseCase) -> int:
    """Return a quarter of the window, no less than two bins; without bins nobody knows how often readings come."""
    window, size = span_number(usecase.monitor_window), bin_size(usecase)
    return window if size is None else max(window // 4, 2 * size)


def _silent(watched: Watched, window: Window, end: int, limit: int, details: Mapping[str, float | None]) -> Fact:
    """Judge a window before the end of which nothing was read at all: its age is at least how far one looked back."""
    start, since = as_number(window.start), watched.since  # type: ignore[arg-type]
    age = end - (start if since is None else min(since, start))
    said = f"no reading of any tag in the {lasting(age, watched.kind)} before the window's end"
    if age <= limit:
        return unknown(watched.subject, "freshness", window, f"{said}, and nobody looked further back", details=details)
    return _fact(watched, window, age, limit, "", said, details)


def _last_before(at: Ints, ends: Ints) -> Ints:
    place = np.searchsorted(at, ends, side="left") - 1
    return np.where(place >= 0, at[np.maximum(place, 0)], _NEVER) if len(at) else np.full(len(ends), _NEVER)


def _fact(  # noqa: PLR0913, PLR0917 - what a fact says
    watched: Watched,
    window: Window,
    age: int,
    limit: int,
    about: str,
    said: str,
    details: Mapping[str, float | None],
) -> Fact:
    kind = watched.kind
    rows = max((int(Cut.of([window]).counts(watched.readings(tag))[0]) for tag in watched.own), default=0)
    return Fact(
        watched.subject,
        "freshness",
        window,
        "breach" if age > limit else "ok",
        value=as_unit(age, kind),
        limit=as_unit(limit, kind),
        unit=unit_of(kind),
        about=about,
        rows=rows,
        reason=f"{said}, limit {lasting(limit, kind)}",
        details=details,
        spare=spare(age, limit),
    )
