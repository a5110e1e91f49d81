"""Health of an asset's data, window by window: is it there, does it move, can it be true, does it keep its contract."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from datadriver.config.sections import UseCase
from datadriver.data.contract.measures import does_move, standing
from datadriver.data.frame import SensorFrame
from datadriver.data.window import Window, span_number
from datadriver.errors import DatadriverError
from datadriver.monitoring.contract import contract_facts
from datadriver.monitoring.facts import Fact
from datadriver.monitoring.freshness import freshness_facts
from datadriver.monitoring.rows import Floats, Ints
from datadriver.monitoring.watched import Watched
from datadriver.monitoring.words import as_unit, lasting, percent, spare, unit_of, unknown, unknowns


def data_facts(  # noqa: PLR0913 - the frame, what it is judged by, and when
    sensor: SensorFrame,
    windows: Sequence[Window],
    usecase: UseCase,
    root: Path,
    *,
    mask: pd.Series | None = None,
    moving: Collection[str] | None = None,
) -> tuple[Fact, ...]:
    """Judge the data of one asset, for all windows at once.

    Args:
        sensor: The frame, read over all windows and, for stretches that began earlier, some time before. An asset
            without any data has a frame without rows.
        windows: The windows, both ends given.
        usecase: The use case, with the overrides of the asset applied.
        root: Folder of the use case.
        mask: Which rows are in operation; default: all.
        moving: Tags that are no switches or set-points, as training kept them (`moving` of a reference); default: those
            with several different values in the frame, of which a sensor that died long ago is none any more.

    Returns:
        For each check that is on a fact per window, in the order of `DATA_CHECKS`; `details` has the figure of every
        tag. What cannot be judged is `unknown`, with the reason.
    """
    if not windows:
        return ()
    watched = Watched.of(sensor, windows, usecase, mask)
    judges: Mapping[str, Callable[[], Iterable[Fact]]] = {
        "freshness": lambda: freshness_facts(watched),
        "completeness": lambda: _completeness(watched),
        "gaps": lambda: _gaps(watched),
        "frozen": lambda: _frozen(watched, moving),
        "out_of_range": lambda: _out_of_range(watched),
        "contract": lambda: contract_facts(watched, root),
    }
    facts: list[Fact] = []
    for name, judge in judges.items():
        if getattr(usecase.monitor.checks, name) is not None:
            try:
                facts += list(judge())
            except DatadriverError as error:
                facts += unknowns(watched.subject, name, windows, error.message)
    return tuple(facts)


def _completeness(watched: Watched) -> Iterator[Fact]:
    """Yield the share of each window's bins with a value, of the tag with fewest; held values are values."""
    check = watched.usecase.monitor.checks.completeness
    assert check is not None  # noqa: S101 - the caller asked for checks that are on
    rows = watched.cut.counts(watched.at)
    # Of a source without a rate, rows are all that can be counted.
    bins = np.where(np.isnan(watched.bins), rows, watched.bins)
    missing = {tag: 1 - np.minimum(_ratio(watched.cut.counts(watched.seen(tag)), bins), 1.0) for tag in watched.tags}
    lost = {tag: missing[tag] for tag in watched.required}
    if not watched.tags:
        lost = missing = {"": np.ones(len(rows))}

    def said(tag: str, value: float) -> str:
        where = f" of {tag}" if tag else " of any tag"
        return f"{percent(1 - value)} of the bins have a value{where}, limit {percent(check.min)}"

    for fact in _worst(watched, "completeness", lost, 1 - check.min, said, rows, details=missing):
        if fact.value is None:
            yield fact
        else:
            yield replace(
                fact,
                value=1 - fact.value,
                limit=check.min,
                unit="share",
                details={tag: None if value is None else 1 - value for tag, value in fact.details.items()},
            )


def _gaps(watched: Watched) -> Iterator[Fact]:
    """Yield the longest stretch without a value that ends in a window or reaches to its end."""
    check = watched.usecase.monitor.checks.gaps
    assert check is not None  # noqa: S101
    kind, limit, cut = watched.kind, span_number(check.max), watched.cut

    def longest(tag: str) -> Ints:
        seen = watched.seen(tag)
        first = np.minimum(watched.since if watched.since is not None else cut.starts, cut.starts)
        between = np.diff(seen, prepend=seen[:1] if watched.since is None else watched.since)
        place = np.searchsorted(seen, cut.ends, side="left") - 1
        last = np.where(place >= 0, seen[np.maximum(place, 0)], first) if len(seen) else first
        return np.maximum(cut.largest(seen, between), cut.ends - last)

    figures = {tag: _in_unit(watched, longest(tag)) for tag in watched.tags}
    rows = cut.counts(watched.at)
    required = {tag: figures[tag] for tag in watched.required}
    if not watched.tags:
        required = figures = {"": _in_unit(watched, cut.ends - cut.starts)}
    yield from _worst(
        watched,
        "gaps",
        required,
        as_unit(limit, kind),
        lambda tag, value: (
            f"{_span(value, watched)} without a value of {tag or 'any tag'}, limit {lasting(limit, kind)}"
        ),
        rows,
        details=figures,
    )


def _frozen(watched: Watched, moving: Collection[str] | None) -> Iterator[Fact]:
    """Yield how long a tag stood still, of the one that did longest, while the asset was in operation."""
    check = watched.usecase.monitor.checks.frozen
    assert check is not None  # noqa: S101
    kind, limit = watched.kind, span_number(check.max)
    stood, seen, still = {}, {}, []
    for tag in filter(watched.is_number, watched.tags):
        values = np.where(watched.running, watched.values(tag), np.nan)
        stood[tag] = _in_unit(
            watched, watched.cut.largest(watched.at, standing(watched.at, values, longest_pause=limit))
        )
        seen[tag] = watched.cut.counts(watched.at[~np.isnan(values)])
        moves = does_move(values) if moving is None else tag in moving
        if check.tags is None and not moves:
            still.append(tag)
    wanted = {
        tag: values for tag, values in stood.items() if tag not in still and (not check.tags or tag in check.tags)
    }
    running = watched.cut.counts(watched.at[watched.running])
    found = _worst(
        watched,
        "frozen",
        {tag: np.where(seen[tag] > 0, values, np.nan) for tag, values in wanted.items()},
        as_unit(limit, kind),
        lambda tag, value: f"{tag} stood still for {_span(value, watched)} in operation, limit {lasting(limit, kind)}",
        running,
        details=stood,
        nothing="there is no reading in operation" if wanted else "no tag has enough different values to stand still",
    )
    note = f"; not judged, as they hardly move: {', '.join(still[:3])}" if still else ""
    yield from (replace(fact, reason=fact.reason + note) for fact in found)


def _out_of_range(watched: Watched) -> Iterator[Fact]:
    """Yield the share of a tag's readings that were impossible or no number, of the tag with most."""
    check = watched.usecase.monitor.checks.out_of_range
    assert check is not None  # noqa: S101
    bad: dict[str, dict[str, Ints]] = {"out_of_range": {}, "unexpected_text": {}}
    for issue in watched.sensor.issues:
        if issue.kind in bad and issue.tag in watched.tags and issue.at is not None:
            bad[issue.kind][issue.tag] = watched.cut.counts(np.sort(issue.at))
    none = np.zeros(len(watched.windows), dtype="int64")
    shares, most = {}, none
    for tag in filter(watched.is_number, watched.tags):
        lost = bad["out_of_range"].get(tag, none) + bad["unexpected_text"].get(tag, none)
        read = watched.cut.counts(watched.readings(tag)) + lost
        shares[tag] = np.where(read > 0, _ratio(lost, read), np.nan)
        most = np.maximum(most, read)

    def said(tag: str, value: float) -> str:
        kinds = [kind for kind in bad if tag in bad[kind]]
        what = {"out_of_range": "outside of its range", "unexpected_text": "text"}
        words = " or ".join(what[kind] for kind in kinds) or "outside of its range"
        return f"{percent(value)} of the readings of {tag} are {words}, limit {percent(check.max)}"

    yield from _worst(watched, "out_of_range", shares, check.max, said, most, nothing="there are no readings")


def _worst(  # noqa: PLR0913, PLR0917 - what a fact is made of
    watched: Watched,
    check: str,
    figures: Mapping[str, Floats],
    limit: float,
    said: Callable[[str, float], str],
    rows: Ints,
    *,
    details: Mapping[str, Floats] | None = None,
    nothing: str = "every tag is optional: none has to be there",
) -> Iterator[Fact]:
    """Yield for each window the largest figure of all tags, beside its limit; NaN is no figure."""
    unit = "share" if check in {"completeness", "out_of_range"} else unit_of(watched.kind)
    tags, table = list(figures), np.array(list(figures.values())).reshape(len(figures), len(watched.windows))
    shown = figures if details is None else details
    for place, window in enumerate(watched.windows):
        every = {tag: None if np.isnan(values[place]) else float(values[place]) for tag, values in shown.items()}
        if not tags or np.isnan(table[:, place]).all():
            yield unknown(watched.subject, check, window, nothing, rows=int(rows[place]), details=every)
            continue
        worst = int(np.nanargmax(table[:, place]))
        value = float(table[worst, place])
        yield Fact(
            watched.subject,
            check,
            window,
            "breach" if value > limit + _ROUNDING else "ok",
            value=value,
            limit=limit,
            unit=unit,
            about=tags[worst],
            rows=int(rows[place]),
            reason=said(tags[worst], value),
            details=every,
            spare=spare(value, limit),
        )


_ROUNDING = 1e-12


def _ratio(part: Ints | Floats, whole: Ints | Floats) -> Floats:
    return np.divide(part, whole, out=np.zeros(len(part)), where=np.asarray(whole) > 0)


def _in_unit(watched: Watched, spans: Ints) -> Floats:
    return spans / 1_000_000 if watched.kind == "time" else spans.astype("float64")


def _span(value: float, watched: Watched) -> str:
    return lasting(round(value * 1_000_000) if watched.kind == "time" else round(value), watched.kind)
