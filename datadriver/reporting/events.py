"""Events of the fleet, such as failures and maintenance, for the plots and lists of asset pages.

They are the one thing that a report reads from sources, because the tables are small; a table of the whole fleet is
read once. One that cannot be read costs its marks, never the report.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd

from datadriver.config.fleet import Asset
from datadriver.config.resolve import resolve
from datadriver.config.sections import Source, UseCase
from datadriver.data.clock import read_instants
from datadriver.data.events import read_events
from datadriver.data.readers import Origin, Query, open_reader, origin
from datadriver.data.readings import dial, in_window
from datadriver.data.window import Window, as_number
from datadriver.errors import DatadriverError, UnavailableError
from datadriver.reporting.facts import Mark

LONGEST_TEXT = 160


@dataclass(frozen=True)
class Marks:
    """Events by asset id, oldest first, and sentences about tables that could not be read."""

    of: Mapping[str, tuple[Mark, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def event_sources(usecase: UseCase) -> Mapping[str, bool]:
    """Return the tables of events, and of each whether a model predicts it.

    They are the sources that are no part of the sensor frame, and those that silence alarms.
    """
    predicted = {model.target.events for model in usecase.models.values() if model.target is not None}
    silencing = {silence.source for silence in usecase.monitor.silence}
    return {
        name: name in predicted
        for name, source in usecase.data.sources.items()
        if source.join == "none" or name in predicted | silencing
    }


def read_marks(usecase: UseCase, assets: Sequence[Asset], root: Path, window: Window) -> Marks:
    """Read the events of the fleet inside of a window; what cannot be read is a note."""
    found: dict[str, list[Mark]] = {}
    notes = []
    for name, grave in event_sources(usecase).items():
        try:
            rows = _fleet_rows if _is_shared(usecase, usecase.data.sources[name]) else _asset_rows
            for asset, mark in rows(usecase, name, assets, root, window):
                found.setdefault(asset, []).append(replace(mark, grave=grave))
        except (DatadriverError, OSError) as error:
            notes.append(f"Events of {name!r} are not shown: {error}")
    return Marks({asset: tuple(sorted(marks, key=lambda one: one.at)) for asset, marks in found.items()}, tuple(notes))


def _is_shared(usecase: UseCase, source: Source) -> bool:
    """Tell whether one reading of the table gives the rows of every asset."""
    places = f"{source.path} {source.table}"
    differs = any(path.startswith("data.") for override in usecase.overrides for path in override.set)
    return bool(source.asset) and "{" not in places and ":asset_id" not in str(source.query) and not differs


def _fleet_rows(
    usecase: UseCase, name: str, assets: Sequence[Asset], root: Path, window: Window
) -> Iterator[tuple[str, Mark]]:
    own = origin(usecase, name, root)
    column = str(own.source.asset)
    everybody = replace(own, source=own.source.model_copy(update={"asset": None}))
    texts = frozenset(one for one in (own.source.index, column, own.source.known_at) if one)
    table = open_reader(everybody).read(Query(assets[0], text=texts))
    ids = table[column].astype("str")
    fleet = {asset.id for asset in assets}
    mine = ids.isin(fleet).to_numpy() & table[column].notna().to_numpy()
    table, ids = table.loc[mine], ids[mine]
    if table.empty:
        return
    stamps = read_instants(table[own.source.index], dial(own, assets[0]), pd.factorize(ids)[0].astype("int64"))
    inside = np.flatnonzero(stamps.valid & in_window(stamps.numbers, window))
    fixed = {own.source.index, column, own.source.known_at}
    told = _told(table.iloc[inside], own, fixed)
    for asset, at, text in zip(ids.iloc[inside], stamps.numbers[inside], told, strict=True):
        yield str(asset), Mark(int(at), name, text)


def _asset_rows(
    usecase: UseCase, name: str, assets: Sequence[Asset], root: Path, window: Window
) -> Iterator[tuple[str, Mark]]:
    for asset in assets:
        try:
            table = read_events(resolve(usecase, asset), name, asset, root).drop(columns="known_at")
        except UnavailableError:
            raise
        except DatadriverError:
            continue  # this asset has no such table, or a broken one, which scoring and training report
        numbers = np.array([as_number(at) for at in table.index], dtype=np.int64)
        inside = np.flatnonzero(in_window(numbers, window))
        for at, text in zip(numbers[inside], _told(table.iloc[inside], None, set()), strict=True):
            yield asset.id, Mark(int(at), name, text)


def _told(table: pd.DataFrame, own: Origin | None, fixed: set[str | None]) -> list[str]:
    """Say what the other columns say: `kind: bearing, hours: 12`."""
    names = {str(column): str(column) for column in table.columns if column not in fixed}
    if own is not None and own.source.tags is not None:
        names = {tag.source_name or name: name for name, tag in own.source.tags.items()}
    shown = table[[column for column in names if column in table.columns]].astype(object)
    texts = []
    for row in shown.itertuples(index=False):
        known = [(names[str(column)], value) for column, value in zip(shown.columns, row, strict=True)]
        text = ", ".join(f"{name}: {_value(value)}" for name, value in known if not pd.isna(value) and value != "")
        texts.append(text if len(text) <= LONGEST_TEXT else text[: LONGEST_TEXT - 1] + "…")
    return texts


def _value(value: object) -> str:
    return f"{value:,.6g}" if isinstance(value, float) else str(value)
