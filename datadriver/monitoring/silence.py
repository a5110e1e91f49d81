"""Which windows known work silences: those that overlap an event of `monitor.silence`, if it was known in time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from datadriver.config.expressions import parse
from datadriver.config.fleet import Asset, AttributeValue
from datadriver.config.monitor_section import Silence
from datadriver.config.sections import UseCase
from datadriver.data.clock import Instants, read_instants
from datadriver.data.events import read_events
from datadriver.data.readers import Origin, origin
from datadriver.data.readings import dial
from datadriver.data.window import Window, as_number, span_number
from datadriver.errors import DataError, nearest
from datadriver.monitoring.rows import instants_of
from datadriver.monitoring.words import moment

_ALWAYS = np.iinfo("int64").min


def silent_windows(usecase: UseCase, asset: Asset, windows: Sequence[Window], root: Path) -> dict[Window, str]:
    """Return the windows in which an asset raises no alarm, and which work is the reason.

    An event counts for the windows that end after it was known: what is entered days later does not change what was
    said before. That keeps a window judged today and the same window judged again next month alike. Where the source
    has no `known_at`, its events count as planned.

    Args:
        usecase: The use case, with the overrides of this asset applied.
        asset: The asset.
        windows: Both ends given.
        root: Folder of the use case.

    Raises:
        DataError: the table or a column of it is missing.
        UnavailableError: it cannot be read.
    """
    found: dict[Window, str] = {}
    for silence in usecase.monitor.silence if windows else ():
        events = read_events(usecase, silence.source, asset, root)
        for first, last, known, text in _works(silence, events, usecase, asset, root):
            for window in windows:
                start, end = as_number(window.start or 0), as_number(window.end or 0)
                if first < end and last >= start and known < end:
                    found.setdefault(window, text)
    return found


def _works(
    silence: Silence, events: pd.DataFrame, usecase: UseCase, asset: Asset, root: Path
) -> Iterator[tuple[int, int, int, str]]:
    """Yield begin and end of each work, when it was known, and its name."""
    begun, kind = instants_of(events.index), usecase.data.index
    table = origin(usecase, silence.source, root)
    ended = begun + span_number(silence.lasting)
    if silence.until is not None:
        said = _until(silence.until, events, table, asset)
        ended = np.where(said.valid, np.maximum(said.numbers, begun), ended)
    # Without a column that says when it was entered, work counts as planned: only then `before` has a meaning.
    planned = table.source.known_at is None
    known = np.full(len(begun), _ALWAYS) if planned else instants_of(pd.Index(events["known_at"]))
    for place in map(int, np.flatnonzero(_chosen(silence, events))):
        name = f"{silence.source}, {moment(int(begun[place]), kind)}"
        yield int(begun[place]) - span_number(silence.before), int(ended[place]), int(known[place]), name


def _until(column: str, events: pd.DataFrame, table: Origin, asset: Asset) -> Instants:
    """Read the column with the time the work ended, as the source writes its times; it may be empty."""
    if column not in events.columns:
        known = nearest(column, map(str, events.columns))
        raise DataError(f"{table.where(asset)}: monitor.silence names a column {column!r}, which is not there{known}")
    return read_instants(events[column], dial(table, asset))


def _chosen(silence: Silence, events: pd.DataFrame) -> np.ndarray:
    if silence.where is None:
        return np.ones(len(events), dtype=bool)
    matches: Callable[[Mapping[str, AttributeValue]], bool] = parse(silence.where).matches
    rows = events.astype(object).where(events.notna(), None).to_dict("records")
    return np.array([matches({str(name): value for name, value in row.items()}) for row in rows], dtype=bool)
