"""CSV through pandas.read_csv: one file, or a directory of them."""

from __future__ import annotations

import contextlib
import csv
import inspect
import posixpath
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from datadriver.config.fleet import Asset
from datadriver.data.clean import Notation, is_number_like, to_numbers
from datadriver.data.readers.files import Files, file_errors, files_state, find_files
from datadriver.data.readers.gathered import Gathered, Place, gather, gathered, waste, wasteful
from datadriver.data.readers.origin import Origin, Query
from datadriver.errors import ConfigError, DataError, nearest

SUFFIXES = (".csv", ".txt", ".tsv", ".csv.gz", ".csv.zst", ".csv.bz2", ".csv.xz")

_COMPRESSION = {".gz": "gzip", ".zst": "zstd", ".bz2": "bz2", ".xz": "xz", ".zip": "zip"}
_NULLS = ("", "NA", "N/A", "n/a", "NaN", "nan", "-NaN", "-nan", "NULL", "null", "None", "<NA>", "#N/A", "#NA", "NaT")
# What the reader itself decides: these would change the shape of what comes back.
_RESERVED = frozenset(
    {"filepath_or_buffer", "usecols", "index_col", "chunksize", "iterator", "nrows", "dtype", "converters"}
    | {"parse_dates", "keep_default_na", "na_filter", "dtype_backend", "low_memory"}
)
_CHUNK_BYTES = 64 * 2**20
_CHUNK_ROWS = 200_000
_UNREADABLE = (ValueError, LookupError, OverflowError, csv.Error, EOFError, MemoryError)


class CsvReader:
    """Reads text tables; text in one column never changes how another is read."""

    def __init__(self, origin: Origin) -> None:
        self._origin = origin
        known = set(inspect.signature(pd.read_csv).parameters) - _RESERVED
        for name in origin.options:
            if name not in known:
                why = "is decided by datadriver" if name in _RESERVED else "is no option of pandas.read_csv"
                raise ConfigError(f"data.sources.{origin.name}.options.{name}: {why}{nearest(name, known)}")

    def columns(self, asset: Asset) -> tuple[str, ...]:
        """Return the names in the header of the first file."""
        files = find_files(self._origin, asset, SUFFIXES)
        return tuple(str(name) for name in self._parse(files, files.names[0], asset, nrows=0).columns)

    def read(self, query: Query) -> pd.DataFrame:
        """Return the asset's rows of all files; text columns as written, numbers where a whole column is numbers."""
        files = find_files(self._origin, query.asset, SUFFIXES)
        place = self._place(files, query.asset)
        if place is not None:
            copy = self._copy(files, place, query.asset, make=wasteful(place, 0))
            if copy is not None and self._has(copy, query):
                return self._from_copy(copy, query)
        parts = [self._read_file(files, name, query) for name in files.names]
        table = parts[0] if len(parts) == 1 else pd.concat(parts, ignore_index=True)
        if place is not None:
            waste(place, len(table))
        if query.columns is None and query.numbers_only:
            # Judged on all rows, so that the columns do not depend on the asset.
            table = table[[c for c in table.columns if c in query.text or is_number_like(table[c], self._notation)]]
        column = self._origin.source.asset
        return table[table[column] == query.asset.id] if column and column in table.columns else table

    def extent(self, asset: Asset) -> None:  # noqa: ARG002
        """Return None: a CSV file has to be read."""
        return

    def state(self, asset: Asset) -> tuple[object, ...]:
        """Return a digest of the asset's rows in files of the fleet; names, sizes and times of other files."""
        files = find_files(self._origin, asset, SUFFIXES)
        with file_errors(self._origin, asset):
            place = self._place(files, asset)
            if place is not None and self._origin.source.asset:
                copy = self._copy(files, place, asset, make=True)
                if copy is not None:
                    share = copy.shares.get(asset.id)
                    return () if share is None else (share.digest,)
            return files_state(files)

    # The copy of a table of many assets -------------------------------------------------------------------------------

    @property
    def _text(self) -> frozenset[str]:
        """Columns that are kept as written in every query."""
        source, long = self._origin.source, self._origin.long
        names = [source.index, source.asset, source.known_at, long.tag if long else None]
        names += [tag.source_name or name for name, tag in (source.tags or {}).items() if tag.type == "text"]
        return frozenset(name for name in names if name)

    @property
    def _notation(self) -> Notation:
        return Notation(self._origin.options.get("decimal", "."), self._origin.options.get("thousands"))

    def _place(self, files: Files, asset: Asset) -> Place | None:
        source = self._origin.source
        if "{asset_id}" in str(source.path):
            return None
        way = ["csv", files.path, source.asset, source.index, sorted(self._text), repr(self._origin.options)]
        with file_errors(self._origin, asset):
            return Place(self._origin.root, self._origin.name, way, files_state(files))

    def _copy(self, files: Files, place: Place, asset: Asset, *, make: bool) -> Gathered | None:
        found, source = gathered(place), self._origin.source
        if found is not None or not make:
            return found
        header = self.columns(asset)
        if source.asset is not None and source.asset not in header:
            return None  # whoever reads says so
        return gather(
            place, lambda notes: self._pieces(files, asset, header, notes), asset=source.asset, index=source.index
        )

    def _has(self, copy: Gathered, query: Query) -> bool:
        """Tell whether a query wants the same columns as text as the copy has."""
        wanted = {name for name in copy.schema.names if query.columns is None or name in query.columns}
        return (query.text | self._own) & wanted == self._text & wanted

    def _from_copy(self, copy: Gathered, query: Query) -> pd.DataFrame:
        names = [name for name in copy.schema.names if query.columns is None or name in query.columns]
        if query.columns is None and query.numbers_only:
            names = [name for name in names if name in query.text or name in copy.notes["numbers"]]
        share = query.asset.id if self._origin.source.asset else ""
        table: pd.DataFrame = copy.table(share, names).select(names).to_pandas()
        return table

    def _pieces(self, files: Files, asset: Asset, header: tuple[str, ...], notes: dict[str, Any]) -> Iterator[pa.Table]:
        """Parse all files, large ones in chunks, with the types that each column has in all of them together."""
        query = Query(asset, text=self._text)
        chunk = None
        if sum(files.fs.size(name) for name in files.names) > _CHUNK_BYTES and self._in_chunks:
            chunk = _CHUNK_ROWS
        kinds: dict[str, str] = {}
        if chunk or len(files.names) > 1:
            for table in self._chunks(files, query, chunk, {}):
                kinds = {name: _kind(table[name], kinds.get(name)) for name in table.columns}
        counts = {name: [0, 0] for name in header}
        for table in self._chunks(files, query, chunk, kinds):
            for name in table.columns:
                numbers, text = to_numbers(table[name], self._notation)
                counts[name][0] += int(np.count_nonzero(~np.isnan(numbers)))
                counts[name][1] += 0 if text is None else int(text.ne("").sum())
            notes["numbers"] = [name for name, (numbers, texts) in counts.items() if numbers * 2 >= texts]
            yield pa.Table.from_pandas(table, preserve_index=False).replace_schema_metadata(None)

    @property
    def _in_chunks(self) -> bool:
        options = self._origin.options
        return options.get("engine") in (None, "c") and not options.get("skipfooter")

    def _chunks(self, files: Files, query: Query, rows: int | None, kinds: Mapping[str, str]) -> Iterator[pd.DataFrame]:
        for name in files.names:
            with self._readable(query.asset, name), files.fs.open(name, "rb") as handle:
                options = self._how(files, name, query)
                options["dtype"] = {**kinds, **options["dtype"]}
                if rows is None:
                    yield pd.read_csv(handle, **options)
                else:
                    yield from pd.read_csv(handle, chunksize=rows, **options)

    # One file ---------------------------------------------------------------------------------------------------------

    @property
    def _own(self) -> frozenset[str]:
        source = self._origin.source
        return frozenset(name for name in (source.index, source.asset, source.known_at) if name)

    def _read_file(self, files: Files, name: str, query: Query) -> pd.DataFrame:
        return self._parse(files, name, query.asset, **self._how(files, name, query))

    def _how(self, files: Files, name: str, query: Query) -> dict[str, Any]:
        """Return the arguments with which pandas reads the wanted columns of a file."""
        header = [str(column) for column in self._parse(files, name, query.asset, nrows=0).columns]
        wanted = [column for column in header if query.columns is None or column in query.columns]
        text = query.text | self._own
        extra = self._origin.options.get("na_values", ())
        more = [extra] if isinstance(extra, (str, int, float)) else extra
        numeric = {column: [*_NULLS, *(more.get(column, ()) if isinstance(more, dict) else more)] for column in wanted}
        return self._arguments(
            name,
            usecols=wanted,
            dtype={column: "str" for column in wanted if column in text},
            # An asset may be called NA: in columns of text only an empty field is no value.
            na_values={column: [""] if column in text else nulls for column, nulls in numeric.items()},
            keep_default_na=False,
            low_memory=False,
        )

    def _arguments(self, name: str, **arguments: Any) -> dict[str, Any]:
        options = self._origin.options | arguments
        options.setdefault("compression", _COMPRESSION.get(posixpath.splitext(name)[1]))
        if options.get("engine") not in (None, "c"):
            options.pop("low_memory", None)
        return options

    def _parse(self, files: Files, name: str, asset: Asset, **arguments: Any) -> pd.DataFrame:
        with self._readable(asset, name), files.fs.open(name, "rb") as handle:
            table: pd.DataFrame = pd.read_csv(handle, **self._arguments(name, **arguments))
            return table

    @contextlib.contextmanager
    def _readable(self, asset: Asset, name: str) -> Iterator[None]:
        with file_errors(self._origin, asset):
            try:
                yield
            except _UNREADABLE as error:
                raise DataError(
                    f"{self._origin.where(asset)}: {name} is not readable as CSV: {error}; "
                    "`options` may need sep, decimal, encoding or skiprows"
                ) from error


def _kind(column: pd.Series, before: str | None) -> str:
    """Return the type that a column has in all chunks so far: what is not numbers everywhere is text, as written."""
    kind = {"i": "int64", "u": "uint64", "f": "float64", "b": "bool"}.get(column.dtype.kind, "str")
    if before is None or before == kind:
        return kind
    return "float64" if {before, kind} <= {"int64", "uint64", "float64"} else "str"
