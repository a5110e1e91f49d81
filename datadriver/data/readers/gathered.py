"""Tables of the whole fleet, gathered: sorted by asset in `.datadriver/cache`, so that one is read without the others.

A file with a year of a thousand assets, in the order of time, has every asset in every part: to read one, all of it is
read. Gathered, an asset is a few record batches of an Arrow file, and the index beside it knows how far its stamps go
and a digest of its rows. A copy belongs to one state of one file (size and time of change) and one way to read it;
another state makes another copy and removes the old one. Everything in the cache may be deleted at any time.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_ROWS, _INDEX = "rows.arrow", "index.json"
_RUN_BYTES = 256 * 2**20
_BATCH_ROWS = 65_536
_SMALL_ROWS = 500_000


Tables = Callable[[dict[str, Any]], Iterable[pa.Table]]
"""Reads a table piece by piece; what it puts into the dictionary is kept with the copy."""


@dataclass(frozen=True)
class Place:
    """Where the copy of a table is: `state` says in which state, `way` how it is read; both are JSON-able."""

    root: Path
    source: str
    way: object
    state: object

    @property
    def family(self) -> str:
        """Name that the copies of all states of the table begin with."""
        return f"{self.source}-{_digest([self.source, self.way])}"

    @property
    def folder(self) -> Path:
        """Folder of the copy."""
        return self.root / ".datadriver" / "cache" / f"{self.family}.{_digest(self.state)}"


@dataclass(frozen=True)
class Share:
    """One asset's part of a table.

    `first` and `last` are the least and greatest stamp as whole numbers, None where stamps are not numbers; `digest`
    is of schema and rows.
    """

    batches: tuple[int, ...]
    rows: int
    first: int | None
    last: int | None
    digest: str


class Gathered:
    """A gathered table: `shares` by asset id, and whatever else the reader had noted."""

    def __init__(self, folder: Path) -> None:
        index = json.loads((folder / _INDEX).read_text("utf-8"))
        self._file = pa.memory_map(str(folder / _ROWS))
        self._folder = folder
        self.notes: dict[str, Any] = index["notes"]
        self.shares = {asset: Share(tuple(batches), *rest) for asset, (batches, *rest) in index["shares"].items()}
        self.schema: pa.Schema = pa.ipc.open_file(self._file).schema

    def table(self, asset_id: str, columns: Iterable[str]) -> pa.Table:
        """Return the asset's rows in the order of the source, with those of the columns that exist."""
        wanted = set(columns)
        fields = [place for place, name in enumerate(self.schema.names) if name in wanted]
        reader = pa.ipc.open_file(self._file, options=pa.ipc.IpcReadOptions(included_fields=fields, use_threads=False))
        share = self.shares.get(asset_id)
        batches = [reader.get_batch(number) for number in share.batches] if share is not None and fields else []
        schema = pa.schema([self.schema.field(place) for place in fields])
        return pa.Table.from_batches(batches, schema)


def gathered(place: Place) -> Gathered | None:
    """Return the copy of a table in just this state, if there is one."""
    try:
        return _opened(place.folder)
    except (OSError, ValueError, KeyError, pa.ArrowException):
        return None


def gather(place: Place, tables: Tables, *, asset: str | None, index: str) -> Gathered | None:
    """Copy a table, sorted by asset; None where that cannot be done, and the source itself has to be read.

    Of several processes that want the same copy, one makes it and the others wait for it. Memory holds a quarter of a
    gigabyte of the table, twice, at a time.

    Args:
        place: where to.
        tables: gives the rows in their order, piece by piece, all of one schema, and may note what it found.
        asset: column with the asset's id, which is text; without one, all rows are the share of the asset "".
        index: column with the stamps.
    """
    folder = place.folder
    if folder in _hopeless:
        return None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _alone(folder.parent / f"{place.family}.lock"):
            found = gathered(place)
            if found is not None:
                return found
            for left in folder.parent.glob(f"{place.family}.*"):
                if left.is_dir():  # another state, or half a copy whose maker was killed
                    shutil.rmtree(left, ignore_errors=True)
            half = folder.with_name(f"{folder.name}-{uuid.uuid4().hex[:8]}.part")
            half.mkdir()
            try:
                _write(half, tables, asset, index)
                half.rename(folder)
            finally:
                shutil.rmtree(half, ignore_errors=True)
    except (OSError, pa.ArrowException):  # a full or read-only disk, a type that cannot be copied
        _hopeless.add(folder)
        return None
    return gathered(place)


def throw_away(root: Path) -> None:
    """Remove all copies of a use case, so that every source is read again."""
    shutil.rmtree(root / ".datadriver" / "cache", ignore_errors=True)
    _opened.cache_clear()


_wasted: Counter[Path] = Counter()
_hopeless: set[Path] = set()


def waste(place: Place, rows: int) -> None:
    """Note that rows of other assets were read in vain, for want of a copy."""
    _wasted[place.folder] += rows


def wasteful(place: Place, rows: int) -> bool:
    """Tell when a table of so many rows is worth gathering: it was read in vain twice, and it is not a small one."""
    return _wasted[place.folder] > 2 * rows + _SMALL_ROWS


@lru_cache(maxsize=512)
def _opened(folder: Path) -> Gathered:
    return Gathered(folder)


def _write(folder: Path, tables: Tables, asset: str | None, index: str) -> None:
    notes: dict[str, Any] = {}
    writer: pa.RecordBatchFileWriter | None = None
    shares: dict[str, _Growing] = {}
    count = 0
    with pa.OSFile(str(folder / _ROWS), "wb") as file:
        for run in _runs(tables(notes)):
            if writer is None:
                options = pa.ipc.IpcWriteOptions(compression="lz4", use_threads=False)
                writer = pa.ipc.new_file(file, run.schema, options=options)
            for name, rows in _by_asset(run, asset):
                share = shares.setdefault(name, _Growing(run.schema))
                for batch in rows.combine_chunks().to_batches(max_chunksize=_BATCH_ROWS):
                    writer.write_batch(batch)
                    share.add(batch, count, index)
                    count += 1
        if writer is None:
            raise pa.ArrowInvalid("nothing to gather")
        writer.close()
    text = json.dumps({"notes": notes, "shares": {name: share.plain() for name, share in shares.items()}})
    (folder / _INDEX).write_text(text, "utf-8")


class _Growing:
    """A share while it is written. Its digest does not depend on the pieces in which the rows came."""

    def __init__(self, schema: pa.Schema) -> None:
        self._schema = schema
        self._hashes = [(hashlib.blake2b(digest_size=16), hashlib.blake2b(digest_size=16)) for _ in schema]
        self._batches: list[int] = []
        self._rows = 0
        self._ends: list[int] = []

    def add(self, batch: pa.RecordBatch, number: int, index: str) -> None:
        for hashes, column in zip(self._hashes, batch.columns, strict=True):
            for one, data in zip(hashes, _bytes_of(column), strict=True):
                one.update(data)
        self._batches.append(number)
        self._rows += batch.num_rows
        if index in batch.schema.names and is_ordered(batch.schema.field(index).type):
            ends = pc.min_max(batch.column(index)).values()
            self._ends += [end.cast(pa.int64()).as_py() for end in ends if end.is_valid]

    def plain(self) -> list[object]:
        first, last = (min(self._ends), max(self._ends)) if self._ends else (None, None)
        columns = [one.hexdigest() for hashes in self._hashes for one in hashes]
        return [self._batches, self._rows, first, last, _digest([str(self._schema), columns])]


def _bytes_of(column: pa.Array) -> tuple[Any, Any]:
    """Return what tells the values of a column apart: numbers, or lengths and letters of texts; no rest of buffers."""
    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        lengths = pc.binary_length(column).fill_null(-1).to_numpy(zero_copy_only=False)
        return lengths.tobytes(), "".join(pc.drop_null(column).to_pylist()).encode()
    if pa.types.is_floating(kind):
        return column.cast(pa.float64()).fill_null(np.nan).to_numpy(zero_copy_only=False).tobytes(), b""
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind) or pa.types.is_timestamp(kind):
        whole = column.cast(pa.int64(), safe=False)
        return whole.fill_null(-(2**63)).to_numpy(zero_copy_only=False).tobytes(), b""
    return repr(column.to_pylist()).encode(), b""


def is_ordered(kind: pa.DataType) -> bool:
    """Tell types of stamps whose order is that of time."""
    return bool(pa.types.is_timestamp(kind) or pa.types.is_integer(kind))


def _runs(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Put pieces together until they are worth sorting."""
    waiting: list[pa.Table] = []
    size = 0
    for piece in tables:
        if not piece.num_rows and waiting:
            continue
        table = _without_dictionaries(piece)
        waiting.append(table)
        size += table.nbytes
        if size >= _RUN_BYTES:
            yield pa.concat_tables(waiting)
            waiting, size = [], 0
    if waiting:
        yield pa.concat_tables(waiting)


def _without_dictionaries(table: pa.Table) -> pa.Table:
    """Write categories out: those of one piece are not those of the next."""
    kinds = [field.type.value_type if pa.types.is_dictionary(field.type) else field.type for field in table.schema]
    return table.cast(pa.schema(list(zip(table.schema.names, kinds, strict=True))))


def _by_asset(table: pa.Table, column: str | None) -> Iterator[tuple[str, pa.Table]]:
    """Split a table; the rows of an asset keep their order, rows without one are left out."""
    if column is None:
        yield "", table
        return
    encoded = table.column(column).combine_chunks()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.chunk(0) if encoded.num_chunks else pa.array([], encoded.type)
    encoded = pc.dictionary_encode(encoded)
    codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    order = np.argsort(codes, kind="stable")
    names: Sequence[str] = encoded.dictionary.to_pylist()
    ends = np.searchsorted(codes[order], np.arange(len(names) + 1))
    # Sorted as a whole, each column is copied once; the shares are slices of the copy.
    ordered = table.take(pa.array(order[ends[0] :]))
    for place, name in enumerate(names):
        yield str(name), ordered.slice(ends[place] - ends[0], ends[place + 1] - ends[place])


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Keep other processes out for as long as the block takes, where the system has file locks."""
    try:
        import fcntl  # noqa: PLC0415 - not on every system
    except ImportError:
        yield
        return
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:16]
