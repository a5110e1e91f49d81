"""CSV through pandas.read_csv: one file, or a directory of them."""

from __future__ import annotations

import csv
import inspect
import posixpath
from typing import Any

import pandas as pd

from datadriver.config.fleet import Asset
from datadriver.data.clean import Notation, is_number_like
from datadriver.data.readers.files import Files, file_errors, files_state, find_files
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
        parts = [self._read_file(files, name, query) for name in files.names]
        table = parts[0] if len(parts) == 1 else pd.concat(parts, ignore_index=True)
        if query.columns is None and query.numbers_only:
            # Judged on all rows, so that the columns do not depend on the asset.
            notation = Notation(self._origin.options.get("decimal", "."), self._origin.options.get("thousands"))
            table = table[[c for c in table.columns if c in query.text or is_number_like(table[c], notation)]]
        column = self._origin.source.asset
        return table[table[column] == query.asset.id] if column and column in table.columns else table

    def extent(self, asset: Asset) -> None:  # noqa: ARG002
        """Return None: a CSV file has to be read."""
        return

    def state(self, asset: Asset) -> tuple[object, ...]:
        """Return names, sizes and times of the files."""
        files = find_files(self._origin, asset, SUFFIXES)
        with file_errors(self._origin, asset):
            return files_state(files)

    def _read_file(self, files: Files, name: str, query: Query) -> pd.DataFrame:
        header = [str(column) for column in self._parse(files, name, query.asset, nrows=0).columns]
        wanted = [column for column in header if query.columns is None or column in query.columns]
        own = self._origin.source
        text = query.text | {column for column in (own.index, own.asset, own.known_at) if column}
        extra = self._origin.options.get("na_values", ())
        more = [extra] if isinstance(extra, (str, int, float)) else extra
        numeric = {column: [*_NULLS, *(more.get(column, ()) if isinstance(more, dict) else more)] for column in wanted}
        return self._parse(
            files,
            name,
            query.asset,
            usecols=wanted,
            dtype={column: "str" for column in wanted if column in text},
            # An asset may be called NA: in columns of text only an empty field is no value.
            na_values={column: [""] if column in text else nulls for column, nulls in numeric.items()},
            keep_default_na=False,
            low_memory=False,
        )

    def _parse(self, files: Files, name: str, asset: Asset, **arguments: Any) -> pd.DataFrame:
        options = self._origin.options | arguments
        options.setdefault("compression", _COMPRESSION.get(posixpath.splitext(name)[1]))
        if options.get("engine") not in (None, "c"):
            del options["low_memory"]
        with file_errors(self._origin, asset):
            try:
                with files.fs.open(name, "rb") as handle:
                    table: pd.DataFrame = pd.read_csv(handle, **options)
                    return table
            except _UNREADABLE as error:
                raise DataError(
                    f"{self._origin.where(asset)}: {name} is not readable as CSV: {error}; "
                    "`options` may need sep, decimal, encoding or skiprows"
                ) from error
