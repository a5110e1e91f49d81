"""Readers: one module per technology that tables come from, behind the `Reader` protocol."""

from __future__ import annotations

from pathlib import PurePosixPath

from datadriver.config.sections import Source
from datadriver.data.readers import csv
from datadriver.data.readers.given import GivenReader
from datadriver.data.readers.origin import Given, Origin, Query, Reader, joined, origin
from datadriver.errors import ConfigError

__all__ = ["Given", "Origin", "Query", "Reader", "joined", "open_reader", "origin", "source_format"]


def open_reader(origin: Origin) -> Reader:
    """Return the reader for a source's format, or for the rows that were given instead."""
    if origin.given is not None:
        return GivenReader(origin, origin.given)
    match source_format(origin.source, origin.name):
        case "csv":
            return csv.CsvReader(origin)
        case "sql":
            from datadriver.data.readers.sql import SqlReader  # noqa: PLC0415 — SQLAlchemy only where it is used

            return SqlReader(origin)
        case "python":
            from datadriver.data.readers.python import PythonReader  # noqa: PLC0415

            return PythonReader(origin)
        case _:
            from datadriver.data.readers.parquet import ParquetReader  # noqa: PLC0415

            return ParquetReader(origin)


def source_format(source: Source, name: str) -> str:
    """Return the format that is given, or else the one that the other settings tell.

    >>> source_format(Source(path="{asset_id}.csv.gz", index="ts"), "sensors")
    'csv'

    Raises:
        ConfigError: if nothing tells it.
    """
    if source.format:
        return source.format
    if source.function:
        return "python"
    if source.table or source.query:
        return "sql"
    if source.path is None:
        raise ConfigError(
            f"data.sources.{name}: says nowhere what to read; give `path`, `table`, `query` or `function`"
        )
    if source.path.endswith(csv.SUFFIXES):
        return "csv"
    if PurePosixPath(source.path).suffix in {"", ".parquet", ".pq"} or source.path.endswith("}"):
        return "parquet"
    raise ConfigError(f"data.sources.{name}.format: cannot be told from the path {source.path!r}; give csv or parquet")
