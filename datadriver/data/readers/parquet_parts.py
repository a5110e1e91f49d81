"""Which Parquet files may hold an asset, and what their footers say of them."""

from __future__ import annotations

import itertools
import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.dataset as ds

from datadriver.config.fleet import Asset
from datadriver.data.looks import looked_at
from datadriver.data.readers.files import Files, file_state, find_files
from datadriver.data.readers.origin import Origin
from datadriver.errors import ConfigError, DataError

SUFFIXES = (".parquet", ".pq")
_MANY_GROUPS = 8


@dataclass(frozen=True)
class Part:
    """One file.

    Attributes:
        fragment: Arrow's handle of it.
        schema: its columns, then the keys that its place in a hive layout gives it, which are always text.
        keys: the keys and their values.
        state: name, size and time of change.
        mixed: whether it holds many assets in any order.
        local: whether it is on this machine.
    """

    fragment: Any
    schema: pa.Schema
    keys: Mapping[str, str | None]
    state: tuple[object, ...]
    mixed: bool
    local: bool


def parts_of(origin: Origin, asset: Asset) -> tuple[Part, ...]:
    """Find the files that may hold an asset; in `one_look` those that all assets share are opened once.

    Raises:
        DataError: if there is no such file.
    """
    files = find_files(origin, asset, SUFFIXES)
    names, column = _keys(files), origin.source.asset
    if column in names:  # each asset has files of its own
        by_asset = looked_at(("hive", files.path, column, files.names), lambda: _by_key(files, str(column)))
        if asset.id not in by_asset:
            raise DataError(f"{origin.where(asset)}: there is no folder {column}={asset.id} in {files.path}")
        return _open(origin, replace(files, names=by_asset[asset.id]), names)
    if "{asset_id}" in str(origin.source.path):
        return _open(origin, files, names)
    states = tuple(file_state(files, name) for name in files.names)
    key = "parquet", files.path, column, repr(origin.options), states
    return looked_at(key, lambda: _open(origin, files, names))


def _keys(files: Files) -> tuple[str, ...]:
    if not files.directory:
        return ()
    folders = posixpath.relpath(posixpath.dirname(files.names[0]), files.path).split("/")
    return tuple(unquote(folder.partition("=")[0]) for folder in folders if "=" in folder)


def _by_key(files: Files, column: str) -> dict[str, tuple[str, ...]]:
    """Group the files of a hive layout by the value of one key."""
    found: dict[str, list[str]] = {}
    for name in files.names:
        for folder in posixpath.relpath(posixpath.dirname(name), files.path).split("/"):
            key, sign, value = folder.partition("=")
            if sign and unquote(key) == column:
                found.setdefault(unquote(value), []).append(name)
    return {value: tuple(names) for value, names in found.items()}


def _open(origin: Origin, files: Files, keys: tuple[str, ...]) -> tuple[Part, ...]:
    layout = pa.schema([(key, pa.string()) for key in keys])
    # With a schema given, Arrow need not look into a file for one: each part has its own.
    options: dict[str, Any] = {"format": "parquet", "schema": layout, "filesystem": None if files.local else files.fs}
    if files.directory:
        options |= {"partitioning": ds.partitioning(layout, flavor="hive"), "partition_base_dir": files.path}
    try:
        fragments = ds.dataset(list(files.names), **(options | origin.options)).get_fragments()
    except TypeError as error:
        raise ConfigError(f"data.sources.{origin.name}.options: {error}") from error
    return tuple(_parts(origin, files, fragments, layout))


def _parts(origin: Origin, files: Files, fragments: Iterator[Any], layout: pa.Schema) -> Iterator[Part]:
    for one in fragments:
        physical = one.physical_schema
        schema = pa.schema([*(field for field in physical if field.name not in layout.names), *layout])
        column = origin.source.asset
        inside = column is not None and column in physical.names and column not in layout.names
        yield Part(
            one,
            schema,
            ds.get_partition_keys(one.partition_expression),
            file_state(files, one.path),
            inside and not _is_sorted_by(one.metadata, str(column)),
            files.local,
        )


def _is_sorted_by(metadata: Any, column: str) -> bool:
    """Tell a file whose row groups hold a few assets each, one after the other, by the statistics in its footer."""
    if metadata.num_row_groups < _MANY_GROUPS:
        return False
    place = next((n for n in range(metadata.num_columns) if metadata.schema.column(n).path == column), None)
    if place is None:
        return False
    statistics = [metadata.row_group(n).column(place).statistics for n in range(metadata.num_row_groups)]
    if any(one is None or not one.has_min_max for one in statistics):
        return False
    ends = sorted((one.min, one.max) for one in statistics)
    return all(before[1] <= after[0] for before, after in itertools.pairwise(ends))
