"""What a reader is told and what it must do: `Origin`, `Query` and the `Reader` protocol."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Protocol

import pandas as pd

from datadriver.config.fleet import Asset
from datadriver.config.sections import Long, LongLayout, Source, UseCase
from datadriver.config.slugs import slug
from datadriver.config.source_rules import READING_OPTIONS
from datadriver.data.window import Instant
from datadriver.errors import ConfigError, nearest

Given = Mapping[str, pd.DataFrame]
"""Rows by source that are handed over, in the shape that the source itself has."""

_NOTHING: Given = {}
_PLACEHOLDER = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class Origin:
    """A source of a use case, with what the use case says about all of them.

    `given` are rows to take instead of reading the source.
    """

    name: str
    source: Source
    kind: Literal["time", "step"]
    zone: str
    root: Path
    given: pd.DataFrame | None = field(default=None, compare=False, repr=False)

    @property
    def options(self) -> dict[str, Any]:
        """The options that are for the library underneath, such as pandas.read_csv."""
        return {name: value for name, value in self.source.options.items() if name not in READING_OPTIONS}

    @property
    def long(self) -> LongLayout | None:
        """The two columns of a long table, or None for a wide one."""
        return self.source.layout.long if isinstance(self.source.layout, Long) else None

    def where(self, asset: Asset) -> str:
        """Name the asset and the source, as the start of an error message."""
        return f"{asset.id}, source {self.name}"


def origin(usecase: UseCase, name: str, root: Path) -> Origin:
    """Describe one source of a use case.

    Raises:
        ConfigError: if there is no such source.
    """
    data = usecase.data
    if name not in data.sources:
        raise ConfigError(f"data.sources has no {name!r}{nearest(name, data.sources)}")
    source = data.sources[name]
    return Origin(name, source, data.index, source.timezone or data.timezone, root)


def joined(usecase: UseCase, root: Path, given: Given = _NOTHING) -> list[Origin]:
    """Describe the sources that make the sensor frame, the main one (which gives the clock) first.

    `given` has the rows of those that are not to be read.

    Raises:
        ConfigError: if every source is an as-of join or an event table.
    """
    joins = {name: source.join for name, source in usecase.data.sources.items()}
    main = next((name for name, join in joins.items() if join == "bin"), None)
    if main is None:
        raise ConfigError("data.sources: one source has to give the clock, so one needs `join: bin`")
    others = [name for name, join in joins.items() if join != "none" and name != main]
    return [replace(origin(usecase, name, root), given=given.get(name)) for name in (main, *others)]


@dataclass(frozen=True)
class Query:
    """Which rows and columns of a source are wanted.

    `start` and `end` bound the index column, `[start, end)` in UTC, with a day to spare where the
    stamps may be naive: a reader may return more rows than that, never fewer. `text` are columns to
    keep as written. With `numbers_only` other columns that are not numbers need not come.
    """

    asset: Asset
    columns: frozenset[str] | None = None
    text: frozenset[str] = frozenset()
    numbers_only: bool = False
    start: Instant | None = None
    end: Instant | None = None
    tags: frozenset[str] | None = None


class Reader(Protocol):
    """One technology that tables come from."""

    def columns(self, asset: Asset) -> tuple[str, ...]:
        """Return the names of the columns that the source has for this asset."""

    def read(self, query: Query) -> pd.DataFrame:
        """Return the rows of the asset in their own order, with those of the wanted columns that exist."""

    def extent(self, asset: Asset) -> tuple[object, object] | None:
        """Return first and last stamp as stored, where that takes no reading of rows; else None."""

    def state(self, asset: Asset) -> tuple[object, ...]:
        """Return something cheap and JSON-able that changes when the rows do."""


def fill_template(template: str, asset: Asset, origin: Origin) -> str:
    """Fill `{asset_id}` and attributes into a path or table name.

    An id is filled in as the plant writes it; one that has a path separator (`15/9-F-1 C`) as its slug.

    Raises:
        ConfigError: if the asset has no such attribute.
    """
    values = {**asset.attributes, "asset_id": asset.id}

    def value(match: re.Match[str]) -> str:
        known = values.get(match[1])
        if known is None:
            hint = nearest(match[1], values) if match[1] not in values else ": its value is missing"
            raise ConfigError(f"{origin.where(asset)}: {template!r} needs the attribute {match[1]!r}{hint}")
        return path_part(str(known))

    return _PLACEHOLDER.sub(value, template)


def path_part(text: str) -> str:
    """Return a text as one part of a path: itself, or its slug where it would be more than one part.

    >>> path_part("P 101"), path_part("15/9-F-1 C")
    ('P 101', '15-9-F-1-C-525d4a6b')
    """
    return slug(text) if "/" in text or "\\" in text or text in {"", ".", ".."} else text
