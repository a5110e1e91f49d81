"""The readings of one source for one asset: read, put on the clock, cleaned; not yet aligned to bins."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from datadriver.config.fleet import Asset
from datadriver.config.sections import Tag
from datadriver.data.clean import Notation, Values, clean, is_number_like
from datadriver.data.clock import Dial, Flags, Numbers, Order, distinct, put_in_order, read_instants
from datadriver.data.frame import Issue
from datadriver.data.readers import Origin, Query, Reader, open_reader
from datadriver.data.window import Window, as_number
from datadriver.errors import DataError, nearest

_DAY = pd.Timedelta(days=1)
# What pandas calls the row numbers that it wrote along: no tag, unless one is declared.
ROW_NUMBERS = re.compile(r"__index_level_\d+__|Unnamed: \d+")


@dataclass(frozen=True)
class Track:
    """The readings of one tag, sorted by `at`.

    `at` is when a reading counts from (its instant, or when it became known), `born` its own instant;
    both in microseconds of UTC or steps.
    """

    tag: Tag
    at: Numbers
    born: Numbers
    values: Values


@dataclass(frozen=True)
class Readings:
    """The tracks of a source by column name, and `rows`: the sorted instants from which any row counts."""

    tracks: Mapping[str, Track]
    rows: Numbers
    issues: tuple[Issue, ...]
    rows_read: int


@dataclass(frozen=True)
class Rows:
    """Raw rows of one asset in their own order; `groups` numbers the tags of a long table."""

    table: pd.DataFrame
    at: Numbers
    born: Numbers
    groups: Numbers | None
    names: tuple[str, ...]
    issues: tuple[Issue, ...]

    def take(self, positions: Numbers | Flags) -> Rows:
        """Return the rows at these positions (or with these flags)."""
        positions = np.flatnonzero(positions) if positions.dtype == bool else positions
        groups = None if self.groups is None else self.groups[positions]
        return replace(
            self, table=self.table.iloc[positions], at=self.at[positions], born=self.born[positions], groups=groups
        )


def load_readings(origin: Origin, asset: Asset, window: Window) -> Readings:
    """Read what a source says of an asset inside of a window, for every tag.

    Raises:
        DataError: if a column or tag is missing, no stamp can be read, or a policy rejects.
    """
    reader = open_reader(origin)
    rows = load_rows(origin, reader, asset, window, tags_only=True)
    # What is planned counts from when it became known, and is held from its own, later instant on.
    inside = in_window(rows.at, Window(None, window.end))
    inside &= in_window(np.maximum(rows.at, rows.born), Window(window.start))
    known = rows.at if origin.source.known_at else None
    order = put_in_order(rows.born, dial(origin, asset), inside, groups=rows.groups, known=known)
    ordered = rows.take(order.positions)
    tracks, issues = _tracks(origin, reader, asset, ordered, order)
    bad = sum(issue.count for issue in rows.issues if issue.kind == "bad_stamp")
    return Readings(
        tracks, distinct(ordered.at), rows.issues + order.issues + issues, int(np.count_nonzero(inside)) + bad
    )


def dial(origin: Origin, asset: Asset) -> Dial:
    """Return how the source's stamps are to be read."""
    options = origin.source.options
    return Dial(
        source=origin.name,
        where=origin.where(asset),
        kind=origin.kind,
        zone=origin.zone,
        times=origin.source.times,
        date_format=options.get("date_format"),
        epoch=options.get("epoch"),
        offsets=options.get("offsets"),
    )


def in_window(numbers: Numbers, window: Window) -> Flags:
    """Flag instants inside of the window."""
    inside = np.ones(len(numbers), dtype=bool)
    if window.start is not None:
        inside &= numbers >= as_number(window.start)
    if window.end is not None:
        inside &= numbers < as_number(window.end)
    return inside


def load_rows(origin: Origin, reader: Reader, asset: Asset, window: Window, *, tags_only: bool) -> Rows:
    """Read raw rows and their instants; rows without a readable one are counted and left out.

    With `tags_only` undeclared columns that hold no numbers are left out.
    """
    source, long = origin.source, origin.long
    fixed = [name for name in (source.index, source.asset, source.known_at) if name]
    fixed += [long.tag, long.value] if long else []
    query = _query(origin, asset, window, fixed, numbers_only=tags_only)
    table = reader.read(query)
    if not table.columns.is_unique:
        twice = table.columns[table.columns.duplicated()][0]
        raise DataError(f"{origin.where(asset)}: there are two columns {twice!r}; give them different names")
    for name in fixed:
        if name not in table.columns:
            known = reader.columns(asset)
            raise DataError(f"{origin.where(asset)}: there is no column {name!r}{nearest(name, known)}")
    groups: Numbers | None = None
    names: tuple[str, ...] = ()
    if long:
        table = table[table[long.tag].isin(query.tags) if query.tags is not None else table[long.tag].notna()]
        codes, uniques = pd.factorize(table[long.tag].astype(str))
        groups, names = codes.astype("int64"), tuple(str(name) for name in uniques)
    clock = dial(origin, asset)
    stamps = read_instants(table[source.index], clock, groups)
    at, valid, issues = stamps.numbers, stamps.valid, stamps.issues
    if source.known_at:
        known_at = read_instants(table[source.known_at], clock, groups)
        planned = source.join != "bin" and source.times.future == "keep"
        at = known_at.numbers if planned else np.maximum(at, known_at.numbers)
        valid = valid & known_at.valid
        issues += tuple(replace(issue, tag=source.known_at) for issue in known_at.issues)
    rows = Rows(table, at, stamps.numbers, groups, names, issues)
    return rows if valid.all() else rows.take(valid)


def _query(origin: Origin, asset: Asset, window: Window, fixed: list[str], *, numbers_only: bool) -> Query:
    """Ask for the window by the index column, with room for what the index does not tell."""
    source, tags = origin.source, origin.source.tags
    start, end = window.start, window.end
    if source.known_at:  # late entries and planned events
        start, end = None, end if source.times.future == "drop" else None
    if source.times.order == "drop":  # a row is late after any row that has a later stamp
        end = None
    if origin.kind == "time" and (origin.zone != "UTC" or "offsets" in source.options):
        # Naive stamps: the whole of a repeated hour is needed.
        start = None if start is None else start - _DAY  # type: ignore[operator]
        end = None if end is None else end + _DAY  # type: ignore[operator]
    wanted = None if tags is None else frozenset(tag.source_name or name for name, tag in tags.items())
    text = [source.index, source.asset, source.known_at, origin.long.tag if origin.long else None]
    text += [tag.source_name or name for name, tag in (tags or {}).items() if tag.type == "text"]
    return Query(
        asset,
        columns=None if wanted is None and not origin.long else frozenset(fixed) | (wanted or frozenset()),
        text=frozenset(name for name in text if name),
        numbers_only=numbers_only,
        start=start,
        end=end,
        tags=wanted if origin.long else None,
    )


def _tracks(
    origin: Origin, reader: Reader, asset: Asset, rows: Rows, order: Order
) -> tuple[dict[str, Track], tuple[Issue, ...]]:
    tags = _tags(origin, rows, origin.where(asset))
    found, missing = {}, {}
    issues: list[Issue] = []
    for name, tag in tags.items():
        part = _part(origin, rows, order, tag.source_name or name)
        if part is None:
            missing[name] = tag
            empty = np.empty(0, dtype="int64")
            found[name] = Track(tag, empty, empty, np.empty(0, dtype=object if tag.type == "text" else "float64"))
            continue
        column, at, born, same = part
        cleaned = clean(column, tag, source=origin.name, name=name, notation=notation(origin), at=at)
        issues += cleaned.issues
        values, at, born = _merge_same(cleaned.values, at, born, same)
        found[name] = (
            _by_known(Track(tag, at, born, values)) if origin.source.known_at else Track(tag, at, born, values)
        )
    issues += _missing(origin, reader, asset, missing)
    return found, tuple(issues)


def _tags(origin: Origin, rows: Rows, where: str) -> Mapping[str, Tag]:
    source = origin.source
    if source.tags is not None:
        return source.tags
    if origin.long:
        return {name: Tag() for name in sorted(rows.names)}
    fixed = {source.index, source.asset, source.known_at}
    written = notation(origin)
    table = rows.table
    names = [name for name in table.columns if name not in fixed and not ROW_NUMBERS.fullmatch(str(name))]
    tags = {str(name): Tag() for name in names if is_number_like(table[name], written)}
    if not tags:
        raise DataError(
            f"{where}: no column is one of numbers; csv with decimal commas needs `options.decimal`, "
            "columns of text are tags where they are declared under `tags`"
        )
    return tags


def notation(origin: Origin) -> Notation:
    """Return how numbers are written in the source's text columns."""
    return Notation(origin.source.options.get("decimal", "."), origin.source.options.get("thousands"))


_Part = tuple[pd.Series, Numbers, Numbers, Numbers | None]


def _part(origin: Origin, rows: Rows, order: Order, name: str) -> _Part | None:
    """Return a tag's column of a wide table, or its rows of a long one (which are sorted by tag)."""
    if origin.long is None:
        if name not in rows.table.columns:
            return None
        return rows.table[name], rows.at, rows.born, order.same
    if rows.groups is None or name not in rows.names:
        return None
    code = rows.names.index(name)
    first, last = np.searchsorted(rows.groups, [code, code + 1])
    span = slice(int(first), int(last))
    same = None if order.same is None else order.same[span]
    return rows.table[origin.long.value].iloc[span], rows.at[span], rows.born[span], same


def _merge_same(values: Values, at: Numbers, born: Numbers, same: Numbers | None) -> tuple[Values, Numbers, Numbers]:
    """Average rows of one instant; of texts the last counts."""
    if same is None or not len(same):
        return values, at, born
    firsts = np.flatnonzero(np.append(True, same[1:] != same[:-1]))
    if values.dtype != object:  # a sum depends on the order of its terms, and files promise none among equal stamps
        values = values[np.lexsort((values, same))]
    groups = pd.Series(values).groupby(same, sort=False)
    merged = groups.last() if values.dtype == object else groups.mean()
    return merged.to_numpy(), at[firsts], born[firsts]


def _by_known(track: Track) -> Track:
    order = np.lexsort((track.born, track.at))
    return Track(track.tag, track.at[order], track.born[order], track.values[order])


def _missing(origin: Origin, reader: Reader, asset: Asset, missing: Mapping[str, Tag]) -> Iterator[Issue]:
    """Count optional tags that the source lacks; a required one is an error, unless just this window lacks it."""
    required = {name: tag.source_name or name for name, tag in missing.items() if not tag.optional}
    if required:
        known = _all_names(origin, reader, asset)
        wrong = {name: column for name, column in required.items() if column not in known}
        if wrong and known:
            said = "; ".join(f"{column!r} (tag {name}){nearest(column, known)}" for name, column in wrong.items())
            raise DataError(f"{origin.where(asset)}: missing {said}. A tag that some assets lack is `optional: true`")
    for name, tag in missing.items():
        if tag.optional:
            yield Issue(origin.name, name, "missing_tag", 1, (tag.source_name or name,))


def _all_names(origin: Origin, reader: Reader, asset: Asset) -> set[str]:
    if origin.long is None:
        return set(reader.columns(asset)) - {origin.source.index}
    column = origin.long.tag
    table = reader.read(Query(asset, columns=frozenset({column, origin.source.index}), text=frozenset({column})))
    return set(table[column].dropna().astype(str))
