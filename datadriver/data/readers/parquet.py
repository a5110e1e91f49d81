"""Parquet: a file, a directory, or a hive-partitioned dataset, through pyarrow.dataset."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from datadriver.config.fleet import Asset
from datadriver.data.clean import Notation, is_number_like
from datadriver.data.looks import looked_at
from datadriver.data.readers.files import file_errors, files_state, find_files
from datadriver.data.readers.gathered import Gathered, Place, gather, gathered, is_ordered, waste, wasteful
from datadriver.data.readers.origin import Origin, Query
from datadriver.data.readers.parquet_parts import SUFFIXES, Part, parts_of
from datadriver.data.window import Instant, as_number
from datadriver.errors import DataError

_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_INT64 = 2**63
_JUDGED_ROWS = 1000
_MANY_BYTES = 10**7
"""From here on threads gain more than they cost."""


class ParquetReader:
    """Reads the wanted columns, and only row groups that may hold the asset and the window.

    A file that holds the fleet in any order is gathered (see `gathered`) when its fingerprint is asked for, or when
    reading it asset by asset has cost enough.
    """

    def __init__(self, origin: Origin) -> None:
        self._origin = origin
        self._found: tuple[Asset, tuple[Part, ...]] | None = None

    def columns(self, asset: Asset) -> tuple[str, ...]:
        """Return the names in any of the asset's files, and the keys of its partitions."""
        return tuple(dict.fromkeys(name for part in self._parts(asset) for name in part.schema.names))

    def read(self, query: Query) -> pd.DataFrame:
        """Return the asset's rows; columns of lists and structs are left out unless asked for."""
        parts = self._parts(query.asset)
        with self._errors(query.asset):
            if query.columns is None and query.numbers_only:
                query = replace(query, text=query.text | self._written_numbers(parts))
            return _to_pandas([self._read(part, query) for part in parts])

    def extent(self, asset: Asset) -> tuple[object, object] | None:
        """Return the least and greatest stamp by the files' footers, or by what was gathered."""
        ends: list[Any] = []
        with self._errors(asset):
            for part in self._parts(asset):
                found = self._ends_of(part, asset)
                if found is None:
                    return None
                ends += found
        return (min(ends), max(ends)) if ends else None

    def state(self, asset: Asset) -> tuple[object, ...]:
        """Return a digest of the asset's rows in files of the fleet; name, size and time of change of other files."""
        if self._origin.source.asset is None:  # files of its own, which need not be opened for that
            return files_state(find_files(self._origin, asset, SUFFIXES))
        with self._errors(asset):
            states = [self._state(part, asset) for part in self._parts(asset)]
        return tuple(state for state in states if state is not None)

    def _state(self, part: Part, asset: Asset) -> tuple[object, ...] | None:
        copy = self._copy(part, make=True) if part.mixed else None
        if copy is None:
            return part.state
        share = copy.shares.get(asset.id)
        return None if share is None else (part.state[0], share.digest)

    def _ends_of(self, part: Part, asset: Asset) -> list[Any] | None:
        """Return least and greatest stamp of an asset in one file, nothing if it has no rows, None if unknown."""
        index, physical = self._origin.source.index, part.fragment.physical_schema
        if index not in physical.names or not is_ordered(physical.field(index).type):
            return None
        if part.mixed:
            copy = self._copy(part, make=False)
            share = copy.shares.get(asset.id) if copy is not None else None
            if copy is None or (share is not None and share.first is None):
                return None
            ends = [share.first, share.last] if share is not None else []
            return list(pa.array(ends, pa.int64()).cast(physical.field(index).type).to_pylist())
        if self._origin.source.asset in physical.names:
            return None
        groups = [group for group in part.fragment.row_groups if group.num_rows]
        statistics = [(group.statistics or {}).get(index) for group in groups]
        return None if None in statistics else [one[end] for one in statistics if one for end in ("min", "max")]

    def _parts(self, asset: Asset) -> tuple[Part, ...]:
        if self._found is None or self._found[0] != asset:
            with self._errors(asset):
                self._found = asset, parts_of(self._origin, asset)
        return self._found[1]

    @contextlib.contextmanager
    def _errors(self, asset: Asset) -> Iterator[None]:
        """Tell a broken file from a broken disk: Arrow raises OSError for both, with a number only for the disk."""
        with file_errors(self._origin, asset):
            try:
                yield
            except (pa.ArrowInvalid, pa.ArrowTypeError, OSError) as error:
                if isinstance(error, OSError) and error.errno is not None:
                    raise
                raise DataError(f"{self._origin.where(asset)}: not readable as Parquet: {error}") from error

    def _read(self, part: Part, query: Query) -> pa.Table:
        wanted = [field.name for field in part.schema if _is_wanted(field, query)]
        condition = self._filter(part.schema, query)
        if not part.mixed:
            plain = condition is None and part.local and not part.keys and not self._origin.options
            return _whole(part, wanted) if plain else _scan(part, wanted, condition)
        touched = part.fragment.subset(condition, schema=part.schema) if condition is not None else part.fragment
        rows = sum(group.num_rows for group in touched.row_groups)
        if not rows:
            return part.schema.empty_table().select(wanted)
        place = self._place(part)
        copy = self._copy(part, make=wasteful(place, part.fragment.metadata.num_rows))
        if copy is not None:
            return self._from_copy(copy, part, query, wanted)
        table = _scan(part, wanted, condition)
        waste(place, rows - table.num_rows)
        return table

    def _from_copy(self, copy: Gathered, part: Part, query: Query, wanted: list[str]) -> pa.Table:
        """Read an asset's share, and give its columns the types that they have in the source."""
        needed = {*wanted, self._origin.source.index, *([self._origin.long.tag] if self._origin.long else [])}
        table = copy.table(query.asset.id, needed)
        condition = self._filter(table.schema, query, by_asset=False)
        if condition is not None:
            table = table.filter(condition)
        columns = []
        for name in wanted:
            kind = part.schema.field(name).type
            if name in part.keys:
                columns.append(pa.chunked_array([pa.array([part.keys[name]] * table.num_rows, kind)]))
            elif pa.types.is_dictionary(kind) and name != self._origin.source.asset:
                columns.append(table.column(name).dictionary_encode())
            else:
                columns.append(table.column(name))
        return pa.table(columns, names=wanted)

    def _place(self, part: Part) -> Place:
        source = self._origin.source
        way = ["parquet", part.fragment.path, source.asset, source.index, repr(self._origin.options)]
        return Place(self._origin.root, self._origin.name, way, part.state)

    def _copy(self, part: Part, *, make: bool) -> Gathered | None:
        place, column = self._place(part), str(self._origin.source.asset)
        found = gathered(place)
        if found is not None or not make:
            return found
        return gather(place, lambda _: _pieces(part, column), asset=column, index=self._origin.source.index)

    def _written_numbers(self, parts: tuple[Part, ...]) -> frozenset[str]:
        """Return the columns of text that are tags all the same: numbers in another file, or in most of the first rows.

        A few cells of text, such as "Bad Input", turn a whole column into text. It is judged by the first rows of the
        first file, so that the columns do not depend on the window.
        """
        source = self._origin.source
        own = frozenset({source.index, source.asset, source.known_at, *(key for part in parts for key in part.keys)})
        if not any(part.mixed for part in parts):
            return _written_numbers(parts, own)
        states = tuple((part.fragment.path, part.state) for part in parts)
        return looked_at(("written numbers", states, own), lambda: _written_numbers(parts, own))

    def _filter(self, schema: pa.Schema, query: Query, *, by_asset: bool = True) -> Any:
        source, types = self._origin.source, {field.name: field.type for field in schema}
        conditions = []
        if source.index in types:
            conditions += _bounds(source.index, types[source.index], query.start, query.end, self._origin.zone)
        if by_asset and source.asset and source.asset in types:
            conditions.append(_equals(source.asset, types[source.asset], query.asset.id))
        if self._origin.long and query.tags is not None and self._origin.long.tag in types:
            conditions.append(ds.field(self._origin.long.tag).cast(pa.string()).isin(sorted(query.tags)))
        result = None
        for condition in conditions:
            result = condition if result is None else result & condition
        return result


def _scan(part: Part, wanted: list[str], condition: Any) -> pa.Table:
    threads = part.fragment.num_row_groups > 1  # they share row groups between them: for one they cost and gain nothing
    scanner = ds.Scanner.from_fragment(
        part.fragment, schema=part.schema, columns=wanted, filter=condition, use_threads=threads
    )
    return scanner.to_table()


def _whole(part: Part, wanted: list[str]) -> pa.Table:
    """Read all rows of a file on this machine, in half the time that a scanner takes for a small one."""
    file = pq.ParquetFile(part.fragment.path, metadata=part.fragment.metadata)
    columns = None if len(wanted) == len(part.schema) else wanted
    return file.read(columns, use_threads=part.fragment.num_row_groups > 1).select(wanted)


def _pieces(part: Part, column: str) -> Iterator[pa.Table]:
    """Read a whole file piece by piece, with ids as text, the way in which they are compared with those of assets."""
    fragment = part.fragment
    for batch in ds.Scanner.from_fragment(fragment, schema=fragment.physical_schema).to_batches():
        table = pa.Table.from_batches([batch]).replace_schema_metadata(None)
        ids = table.column(column)
        if pa.types.is_dictionary(ids.type):
            ids = ids.cast(ids.type.value_type)
        yield table.set_column(table.schema.get_field_index(column), column, ids.cast(pa.string()))


def _written_numbers(parts: tuple[Part, ...], own: frozenset[str | None]) -> frozenset[str]:
    first: dict[str, Part] = {}
    numbers = set()
    for part in parts:
        for field in part.fragment.physical_schema:
            if _is_number(field.type):
                numbers.add(field.name)
            elif _is_text(field.type) and field.name not in own:
                first.setdefault(field.name, part)
    for name in first.keys() - numbers:
        cells = first[name].fragment.head(_JUDGED_ROWS, columns=[name]).to_pandas()[name]
        if is_number_like(cells, Notation()):
            numbers.add(name)
    return frozenset(numbers & first.keys())


def _is_wanted(field: pa.Field, query: Query) -> bool:
    if query.columns is not None:
        return field.name in query.columns
    if query.numbers_only and field.name not in query.text:
        return _is_number(field.type)
    return not pa.types.is_nested(field.type)


def _is_number(kind: pa.DataType) -> bool:
    kinds = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_decimal, pa.types.is_null)
    return any(is_kind(kind) for is_kind in kinds)


def _is_text(kind: pa.DataType) -> bool:
    return any(is_kind(kind) for is_kind in (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view))


def _bounds(column: str, kind: pa.DataType, start: Instant | None, end: Instant | None, zone: str) -> list[Any]:
    """Return conditions on the index column, where its type is one that they can be safely written for."""
    field = ds.field(column)
    if isinstance(start, int) or isinstance(end, int):
        if not pa.types.is_integer(kind):
            return []
        return [c for c in (start is not None and field >= start, end is not None and field < end) if c is not False]
    if not pa.types.is_timestamp(kind):
        return []
    conditions = []
    for instant, first in ((start, True), (end, False)):
        if instant is None:
            continue
        local = instant if kind.tz else instant.tz_convert(zone).tz_localize(None)
        scaled = as_number(local) * _PER_SECOND[kind.unit]
        count = scaled // 10**6 if first else -(-scaled // 10**6)
        if -_INT64 <= count < _INT64:
            bound = pa.scalar(count, pa.int64()).cast(kind)
            conditions.append(field >= bound if first else field < bound)
    return conditions


def _equals(column: str, kind: pa.DataType, asset_id: str) -> Any:
    """Compare ids as text, exactly as written; numbers stay numbers so that row groups can be skipped."""
    if pa.types.is_integer(kind):
        plain = asset_id.removeprefix("-")
        if not (plain.isascii() and plain.isdigit() and str(int(asset_id)) == asset_id):
            return ds.scalar(False)
        return ds.field(column) == int(asset_id)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return ds.field(column) == asset_id
    return ds.field(column).cast(pa.string()) == asset_id


def _to_pandas(tables: list[pa.Table]) -> pd.DataFrame:
    try:
        table = tables[0] if len(tables) == 1 else pa.concat_tables(tables, promote_options="permissive")
        frame: pd.DataFrame = table.to_pandas(ignore_metadata=True, use_threads=table.nbytes > _MANY_BYTES)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        # A tag that is a number in one file and text in another: pandas keeps each value as it is.
        frame = pd.concat([table.to_pandas(ignore_metadata=True) for table in tables], ignore_index=True)
    return frame
