"""Parquet: a file, a directory, or a hive-partitioned dataset, through pyarrow.dataset."""

from __future__ import annotations

import contextlib
import posixpath
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds

from datadriver.config.fleet import Asset
from datadriver.data.clean import Notation, is_number_like
from datadriver.data.readers.files import Files, file_errors, files_state, find_files
from datadriver.data.readers.origin import Origin, Query
from datadriver.data.window import Instant, as_number
from datadriver.errors import ConfigError, DataError

_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_INT64 = 2**63
_JUDGED_ROWS = 1000


class ParquetReader:
    """Reads the wanted columns, and only row groups that may hold the asset and the window."""

    def __init__(self, origin: Origin) -> None:
        self._origin = origin
        self._found: tuple[Asset, Files, list[Any], pa.Schema] | None = None

    def columns(self, asset: Asset) -> tuple[str, ...]:
        """Return the names in any of the asset's files, and the keys of its partitions."""
        _, fragments, keys = self._fragments(asset)
        with self._errors(asset):
            return tuple(dict.fromkeys(name for part in fragments for name in _schema(part, keys).names))

    def read(self, query: Query) -> pd.DataFrame:
        """Return the asset's rows; columns of lists and structs are left out unless asked for."""
        _, fragments, keys = self._fragments(query.asset)
        with self._errors(query.asset):
            if query.columns is None and query.numbers_only:
                query = replace(query, text=query.text | self._written_numbers(fragments, keys))
            return _to_pandas([self._read(part, _schema(part, keys), query) for part in fragments])

    def extent(self, asset: Asset) -> tuple[object, object] | None:
        """Return the least and greatest stamp by the files' footers."""
        _, fragments, keys = self._fragments(asset)
        if self._origin.source.asset and self._origin.source.asset not in keys.names:
            return None
        index, bounds = self._origin.source.index, []
        with self._errors(asset):
            for part in fragments:
                if index not in part.physical_schema.names or not _ordered(part.physical_schema.field(index).type):
                    return None
                for group in part.row_groups:
                    if group.num_rows and (group.statistics or {}).get(index) is None:
                        return None
                    bounds += [group.statistics[index]] if group.num_rows else []
        return (min(b["min"] for b in bounds), max(b["max"] for b in bounds)) if bounds else None

    def state(self, asset: Asset) -> tuple[object, ...]:
        """Return names, sizes and times of the asset's files."""
        files, fragments, _ = self._fragments(asset)
        names = {part.path for part in fragments}
        with self._errors(asset):
            return files_state(
                Files(files.fs, files.path, tuple(n for n in files.names if n in names), files.directory)
            )

    def _fragments(self, asset: Asset) -> tuple[Files, list[Any], pa.Schema]:
        """Find the files that may hold the asset, and the keys of a hive layout (always text: ids keep their zeros)."""
        if self._found is None or self._found[0] != asset:
            files = find_files(self._origin, asset, (".parquet", ".pq"))
            keys = _partition_keys(files)
            with self._errors(asset):
                dataset = self._dataset(files, keys)
                column = self._origin.source.asset
                only = ds.field(column) == asset.id if column in keys.names else None
                self._found = asset, files, list(dataset.get_fragments(only)), keys
        return self._found[1:]

    def _dataset(self, files: Files, keys: pa.Schema) -> Any:
        options: dict[str, Any] = {"format": "parquet", "filesystem": None if files.local else files.fs}
        if files.directory:
            options |= {"partitioning": ds.partitioning(keys, flavor="hive"), "partition_base_dir": files.path}
        try:
            return ds.dataset(list(files.names), **(options | self._origin.options))
        except TypeError as error:
            raise ConfigError(f"data.sources.{self._origin.name}.options: {error}") from error

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

    def _read(self, part: Any, schema: pa.Schema, query: Query) -> pa.Table:
        wanted = [field.name for field in schema if _is_wanted(field, query)]
        return ds.Scanner.from_fragment(
            part, schema=schema, columns=wanted, filter=self._filter(schema, query)
        ).to_table()

    def _written_numbers(self, fragments: list[Any], keys: pa.Schema) -> set[str]:
        """Return the columns of text that are tags all the same: numbers in another file, or in most of the first rows.

        A few cells of text, such as "Bad Input", turn a whole column into text. It is judged by the first rows of the
        first file, so that the columns do not depend on the window.
        """
        own = {self._origin.source.index, self._origin.source.asset, self._origin.source.known_at, *keys.names}
        first: dict[str, Any] = {}
        numbers = set()
        for part in fragments:
            for field in part.physical_schema:
                if _is_number(field.type):
                    numbers.add(field.name)
                elif _is_text(field.type) and field.name not in own:
                    first.setdefault(field.name, part)
        for name in first.keys() - numbers:
            if is_number_like(first[name].head(_JUDGED_ROWS, columns=[name]).to_pandas()[name], Notation()):
                numbers.add(name)
        return numbers & first.keys()

    def _filter(self, schema: pa.Schema, query: Query) -> Any:
        source, types = self._origin.source, {field.name: field.type for field in schema}
        conditions = []
        if source.index in types:
            conditions += _bounds(source.index, types[source.index], query.start, query.end, self._origin.zone)
        if source.asset and source.asset in types:
            conditions.append(_equals(source.asset, types[source.asset], query.asset.id))
        if self._origin.long and query.tags is not None and self._origin.long.tag in types:
            conditions.append(ds.field(self._origin.long.tag).cast(pa.string()).isin(sorted(query.tags)))
        result = None
        for condition in conditions:
            result = condition if result is None else result & condition
        return result


def _partition_keys(files: Files) -> pa.Schema:
    if not files.directory:
        return pa.schema([])
    parts = posixpath.relpath(posixpath.dirname(files.names[0]), files.path).split("/")
    return pa.schema([(unquote(part.partition("=")[0]), pa.string()) for part in parts if "=" in part])


def _schema(part: Any, keys: pa.Schema) -> pa.Schema:
    physical = part.physical_schema
    return pa.schema([*(f for f in physical if f.name not in keys.names), *keys])


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


def _ordered(kind: pa.DataType) -> bool:
    return bool(pa.types.is_timestamp(kind) or pa.types.is_integer(kind))


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
        frame: pd.DataFrame = table.to_pandas(ignore_metadata=True)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        # A tag that is a number in one file and text in another: pandas keeps each value as it is.
        frame = pd.concat([table.to_pandas(ignore_metadata=True) for table in tables], ignore_index=True)
    return frame
