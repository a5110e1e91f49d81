"""The fleet of a use case: every asset with its id as the plant writes it, and its attributes."""

from __future__ import annotations

import datetime
import decimal
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from datadriver.config.fleet import Asset, AttributeValue
from datadriver.config.sections import GlobAssets, SourceAssets, SqlAssets, UseCase
from datadriver.data.fleet_tables import FleetTable, read_function, read_sql, read_table
from datadriver.data.found_assets import assets_in_paths, assets_of_source
from datadriver.errors import ConfigError, nearest


def load_assets(usecase: UseCase, root: Path) -> tuple[Asset, ...]:
    """Return the assets of the fleet, in the order of the table (or of the names, where files were listed).

    Raises:
        ConfigError: with every empty, doubled or unclean id and its line; or if there is no asset at all.
        UnavailableError: if a file system or a database does not answer.
        UseCaseError: if a function that lists the assets raises.
    """
    where = usecase.fleet.assets
    if isinstance(where, GlobAssets):
        found = assets_in_paths(where.glob, root, "fleet.assets.glob")
    elif isinstance(where, SourceAssets):
        found = assets_of_source(usecase, where.source, root)
    else:
        found = _from_table(_table(where, usecase.fleet.id, root), usecase.fleet.id)
    if not found:
        shown = where if isinstance(where, str) else next(iter(where.model_dump().values()))
        raise ConfigError(f"fleet.assets: {shown!r} lists no asset; a fleet has at least one")
    return found


def _table(where: str | SqlAssets, id_column: str, root: Path) -> FleetTable:
    if isinstance(where, SqlAssets):
        return read_sql(where.sql, root)
    if where.startswith("python:"):
        return read_function(where.removeprefix("python:"), root)
    return read_table(where, id_column, root)


def _from_table(table: FleetTable, id_column: str) -> tuple[Asset, ...]:
    if id_column not in table.columns:
        known = nearest(id_column, table.columns)
        raise ConfigError(f"fleet.id: {table.name} has no column {id_column!r}{known}")
    raw = table.columns[id_column]
    ids = [_id(value) for value in raw]
    problems = [*_unclean(table, ids, raw), *_doubled(table, ids)]
    if problems:
        raise ConfigError(problems)
    others = {
        name: [_attribute(value) for value in values] for name, values in table.columns.items() if name != id_column
    }
    rows: Iterable[tuple[AttributeValue, ...]] = zip(*others.values(), strict=True) if others else [()] * len(ids)
    return tuple(Asset(str(name), dict(zip(others, row, strict=True))) for name, row in zip(ids, rows, strict=True))


def _id(value: Any) -> str | None:
    """Return an id as text; None for what is empty, and for numbers that are not whole."""
    if isinstance(value, str):
        return value or None
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        return None
    return str(value.__index__())


def _unclean(table: FleetTable, ids: list[str | None], raw: Any) -> Iterator[str]:
    empty = [row for row, name in enumerate(ids) if name is None and _attribute(raw[row]) in (None, "")]
    if empty:
        yield f"{table.name}, {table.places(empty)}: the asset id is empty"
    other = [row for row, name in enumerate(ids) if name is None and row not in set(empty)]
    if other:
        value = raw[other[0]]
        yield (
            f"{table.name}, {table.places(other)}: {value!r} ({type(value).__name__}) is no asset id; "
            "ids are text or whole numbers"
        )
    for row, name in enumerate(ids):
        if name is not None and (name != name.strip() or not name.isprintable()):
            what = "has spaces around it, or signs that cannot be seen"
            yield f"{table.name}, {table.places([row])}: the asset id {name!r} {what}"


def _doubled(table: FleetTable, ids: list[str | None]) -> Iterator[str]:
    rows: dict[str, list[int]] = {}
    for row, name in enumerate(ids):
        if name is not None:
            rows.setdefault(name, []).append(row)
    for name, places in rows.items():
        if len(places) > 1:
            yield f"{table.name}, {table.places(places)}: the asset id {name!r} is there {len(places)} times"


def _attribute(value: Any) -> AttributeValue:
    """Return a value as what expressions understand: text, number, truth, or None for what is missing."""
    if hasattr(value, "item") and not isinstance(value, (str, bytes)):  # numpy scalars of a DataFrame
        value = value.item()
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, (str, bool, int, float)):
        return value
    if isinstance(value, decimal.Decimal):
        return float(value)
    if isinstance(value, (datetime.date, datetime.time)):
        text = value.isoformat()
        return None if text == "NaT" else text
    return None if str(value) in ("NaT", "<NA>") else str(value)
