"""Assets that no table lists: found from file names, or as the distinct values of a source's asset column."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import Any

from datadriver.config.fleet import Asset
from datadriver.config.grid import PLACEHOLDER
from datadriver.config.locations import is_url, rooted_path, rooted_uri
from datadriver.config.sections import Source, UseCase
from datadriver.errors import ConfigError, UnavailableError, nearest


def assets_in_paths(pattern: str, root: Path, key: str) -> tuple[Asset, ...]:
    """Return the assets whose files or folders a pattern finds, sorted by name.

    Args:
        pattern: A path with one `*`, or with `{asset_id}` and `{attribute}`s; relative to `root`, or a URL.
        root: Folder of the use case.
        key: Where the pattern stands in `usecase.yaml`, for messages.
    """
    named = pattern.replace("*", "{asset_id}", 1) if "{asset_id}" not in pattern else pattern
    if "{asset_id}" not in named or re.search(r"[*?\[\]]", named):
        raise ConfigError(f"{key}: {pattern!r} needs exactly one * in place of the asset id, and no other wildcard")
    full = rooted_path(named, root)
    regex = _regex(full)
    found: dict[str, dict[str, str]] = {}
    for path in _listing(PLACEHOLDER.sub("*", full), full):
        if match := regex.fullmatch(path):
            attributes = match.groupdict()
            asset_id = attributes.pop("asset_id")
            if found.setdefault(asset_id, attributes) != attributes:
                raise ConfigError(f"{key}: {asset_id!r} is found twice, under {found[asset_id]} and under {attributes}")
    return tuple(Asset(name, found[name]) for name in sorted(found) if not name.startswith("."))


def assets_of_source(usecase: UseCase, name: str, root: Path) -> tuple[Asset, ...]:
    """Return the assets that a source has data of.

    Raises:
        ConfigError: if the source is unknown, or is shared by all assets.
    """
    source = usecase.data.sources.get(name)
    if source is None:
        raise ConfigError(f"fleet.assets.source: there is no source {name!r}{nearest(name, usecase.data.sources)}")
    if source.path and "{asset_id}" in source.path:
        return assets_in_paths(source.path, root, f"data.sources.{name}.path")
    if source.asset is None:
        raise ConfigError(
            f"fleet.assets.source: {name!r} names no assets; it needs `asset: <column>`, or {{asset_id}} in its path"
        )
    values = _distinct(source, source.asset, name, root)
    return tuple(Asset(value) for value in sorted(values))


def _regex(path: str) -> re.Pattern[str]:
    parts, seen, end = [], set[str](), 0
    for found in PLACEHOLDER.finditer(path):
        parts.append(re.escape(path[end : found.start()]))
        parts.append(f"(?P={found[1]})" if found[1] in seen else f"(?P<{found[1]}>[^/]+)")
        seen.add(found[1])
        end = found.end()
    return re.compile("".join(parts) + re.escape(path[end:]))


def _listing(pattern: str, full: str) -> list[str]:
    if is_url(full):
        import fsspec  # noqa: PLC0415 - only for URLs

        try:
            system, _ = fsspec.core.url_to_fs(full)
            return [system.unstrip_protocol(path) for path in system.glob(pattern)]
        except (OSError, ImportError) as error:
            raise UnavailableError(f"{full} cannot be listed: {error}") from error
    anchor = Path(pattern).anchor
    return [str(path) for path in Path(anchor).glob(str(PurePosixPath(pattern).relative_to(anchor)))]


def _distinct(source: Source, column: str, name: str, root: Path) -> set[str]:
    kind = source.format or (
        "csv" if source.path and source.path.lower().endswith((".csv", ".txt", ".csv.gz")) else None
    )
    try:
        if kind == "sql" or source.uri:
            values = _distinct_sql(source, column, root)
        elif kind == "python":
            raise ConfigError(f"fleet.assets.source: {name!r} is a function; list the assets in a table instead")
        elif kind == "csv":
            values = _distinct_csv(source, column, root)
        else:
            values = _distinct_parquet(source, column, root)
    except KeyError as error:
        raise ConfigError(f"data.sources.{name}.asset: {error.args[0]}") from None
    except FileNotFoundError:
        raise ConfigError(f"data.sources.{name}.path: there is nothing at {source.path!r}") from None
    except OSError as error:
        raise UnavailableError(f"data.sources.{name}: cannot be read: {error}") from error
    return {str(value) for value in values if value is not None and str(value)}


def _distinct_parquet(source: Source, column: str, root: Path) -> list[Any]:
    import pyarrow as pa  # noqa: PLC0415 - this function alone needs it
    import pyarrow.dataset as ds  # noqa: PLC0415

    path, system = rooted_path(source.path or "", root), None
    if is_url(path):
        import fsspec  # noqa: PLC0415

        system, path = fsspec.core.url_to_fs(path)
    table = ds.dataset(path, format="parquet", filesystem=system, partitioning="hive")
    if column not in table.schema.names:
        raise KeyError(f"there is no column {column!r}{nearest(column, table.schema.names)}")
    first = next(iter(table.get_fragments()), None)
    if first is not None and column not in first.physical_schema.names:  # a folder per asset: 007 must not become 7
        text = ds.partitioning(pa.schema([(column, pa.string())]), flavor="hive")
        table = ds.dataset(path, format="parquet", filesystem=system, partitioning=text)
    found: set[Any] = set()
    for batch in table.to_batches(columns=[column]):
        found.update(batch.column(0).unique().to_pylist())
    return list(found)


def _distinct_csv(source: Source, column: str, root: Path) -> list[Any]:
    import pandas as pd  # noqa: PLC0415 - the options of a csv source are those of pandas.read_csv

    path = rooted_path(source.path or "", root)
    options = {key: value for key, value in source.options.items() if key not in ("usecols", "dtype", "index_col")}
    try:
        header = pd.read_csv(path, nrows=0, **options)
        if column not in header.columns:
            raise KeyError(f"there is no column {column!r}{nearest(column, map(str, header.columns))}")
        frame = pd.read_csv(path, usecols=[column], dtype=str, keep_default_na=False, **options)
    except (ValueError, TypeError) as error:
        raise KeyError(f"{source.path} is not a CSV that can be read: {error}") from None
    return list(frame[column].unique())


def _distinct_sql(source: Source, column: str, root: Path) -> list[Any]:
    import sqlalchemy as sa  # noqa: PLC0415 - only for sources in databases

    if source.query or not source.table or not source.uri:
        raise KeyError("a source with a query of its own cannot list assets; list them with {sql: ...}")
    schema, _, table = source.table.rpartition(".")
    statement: Any = sa.select(sa.column(column)).distinct().select_from(sa.table(table, schema=schema or None))
    engine = sa.create_engine(rooted_uri(source.uri, root), **source.options)
    try:
        with engine.connect() as connection:
            return [row[0] for row in connection.execute(statement)]
    except sa.exc.SQLAlchemyError as error:
        raise OSError(str(error)) from error
    finally:
        engine.dispose()
