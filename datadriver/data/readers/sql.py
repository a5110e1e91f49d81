"""SQL tables and queries through SQLAlchemy."""

from __future__ import annotations

import contextlib
import functools
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import sqlalchemy as sa

from datadriver.config.fleet import Asset
from datadriver.data.readers.origin import Origin, Query, fill_template
from datadriver.data.window import Instant
from datadriver.errors import ConfigError, UnavailableError, nearest

_BIND = re.compile(r"(?<![:\w]):(asset_id|start|end)\b")
_NEVER = {
    "time": (pd.Timestamp("0001-01-02", tz="UTC"), pd.Timestamp("9999-12-30", tz="UTC")),
    "step": (-(2**63), 2**63 - 1),
}


class SqlReader:
    """Asks the database for the asset, the window and the wanted columns only.

    A `query` says itself what it does with `:asset_id`, `:start` and `:end`; for a `table` the conditions
    are written here.
    """

    def __init__(self, origin: Origin) -> None:
        source = origin.source
        if not source.uri or (source.table is None) == (source.query is None):
            raise ConfigError(f"data.sources.{origin.name}: a sql source needs `uri`, and either `table` or `query`")
        self._origin = origin

    def columns(self, asset: Asset) -> tuple[str, ...]:
        """Return the names of the table's or the query's columns."""
        if self._origin.source.query is None:
            return tuple(self._table(asset).columns.keys())
        with self._connected(asset) as connection:
            return tuple(connection.execute(*self._query(Query(asset))).keys())

    def read(self, query: Query) -> pd.DataFrame:
        """Return the rows in the order in which the database gives them; a query may say ORDER BY."""
        statement, parameters = self._query(query) if self._origin.source.query else (self._select(query), {})
        with self._connected(query.asset) as connection:
            result = connection.execute(statement, parameters)
            table = pd.DataFrame(result.fetchall(), columns=list(result.keys()))
        column = self._origin.source.asset
        if self._origin.source.query and column in table.columns:
            table = table[table[column].astype(str) == query.asset.id]
        return table[[name for name in table.columns if query.columns is None or name in query.columns]]

    def extent(self, asset: Asset) -> tuple[object, object] | None:
        """Return least and greatest stamp of a table whose index has a type that orders by time."""
        if self._origin.source.query is not None:
            return None
        table = self._table(asset)
        column = table.columns.get(self._origin.source.index)
        if column is None or not isinstance(column.type, (sa.Integer, sa.DateTime)) or self._lite:
            return None
        statement = sa.select(sa.func.min(column), sa.func.max(column)).where(*self._is_asset(table, asset))
        with self._connected(asset) as connection:
            first, last = connection.execute(statement).one()
        return None if first is None else (first, last)

    def state(self, asset: Asset) -> tuple[object, ...]:
        """Return the number of the asset's rows and the greatest stamp."""
        index: sa.ColumnClause[Any] = sa.column(self._origin.source.index)
        statement, parameters = sa.select(sa.func.count(), sa.func.max(index)), dict[str, Any]()
        if self._origin.source.query is None:
            table = self._table(asset)
            statement = statement.select_from(table).where(*self._is_asset(table, asset))
        else:
            text, parameters = self._query(Query(asset))
            column = self._origin.source.asset
            inner = text.columns(index, *([sa.column(column)] if column else [])).subquery()
            statement = sa.select(sa.func.count(), sa.func.max(inner.columns[index.name])).select_from(inner)
            if column:
                statement = statement.where(sa.cast(inner.columns[column], sa.String) == asset.id)
        with self._connected(asset) as connection:
            count, last = connection.execute(statement, parameters).one()
        return int(count), str(last)

    @property
    def _lite(self) -> bool:
        return self._engine().dialect.name == "sqlite"

    def _engine(self) -> sa.Engine:
        options = json.dumps(self._origin.options, sort_keys=True, default=str)
        return _engine(str(self._origin.source.uri), options, self._origin.root, self._origin.name)

    def _table(self, asset: Asset) -> sa.TableClause:
        """Look up the table's columns, with the types that the database declares."""
        given = fill_template(str(self._origin.source.table), asset, self._origin)
        schema, _, short = given.rpartition(".")
        with self._connected(asset) as connection:
            inspector = sa.inspect(connection)
            for name, space in ((given, None), (short, schema or None)):
                with contextlib.suppress(sa.exc.NoSuchTableError):
                    found = inspector.get_columns(name, schema=space)
                    return sa.table(name, *(sa.column(c["name"], c["type"]) for c in found), schema=space)
            known = [*inspector.get_table_names(schema or None), *inspector.get_view_names(schema or None)]
        raise ConfigError(f"data.sources.{self._origin.name}.table: there is no {given!r}{nearest(short, known)}")

    def _select(self, query: Query) -> sa.Select[Any]:
        table, source = self._table(query.asset), self._origin.source
        names = [name for name in table.columns.keys() if query.columns is None or name in query.columns]  # noqa: SIM118
        # Columns without a type: SQLAlchemy would refuse whole results for one stamp that it cannot parse.
        columns = [sa.column(name) if self._lite else table.columns[name] for name in names]
        conditions = self._is_asset(table, query.asset)
        if source.index in table.columns:
            conditions += self._in_window(table.columns[source.index], query)
        if self._origin.long and query.tags is not None and self._origin.long.tag in table.columns:
            conditions.append(table.columns[self._origin.long.tag].in_(sorted(query.tags)))
        return sa.select(*columns).select_from(table).where(*conditions)

    def _is_asset(self, table: sa.TableClause, asset: Asset) -> list[Any]:
        column = table.columns.get(self._origin.source.asset) if self._origin.source.asset else None
        if column is None:
            return []
        if isinstance(column.type, sa.String):
            return [column == asset.id]
        if isinstance(column.type, sa.Integer) and asset.id.isascii() and asset.id.isdigit():
            return [column == int(asset.id), sa.cast(column, sa.String) == asset.id]
        return [sa.cast(column, sa.String) == asset.id]

    def _in_window(self, column: Any, query: Query) -> list[Any]:
        """Bound the index where the column's declared type orders by it; SQLite keeps times as any text."""
        if self._origin.kind == "step":
            fits = isinstance(column.type, sa.Integer)
        else:
            fits = isinstance(column.type, sa.DateTime) and not self._lite
        if not fits:
            return []
        aware = getattr(column.type, "timezone", False)
        bounds = [(b if aware else _naive(b, self._origin.zone)) for b in (query.start, query.end)]
        low = [] if bounds[0] is None else [column >= bounds[0]]
        return low if bounds[1] is None else [*low, column < bounds[1]]

    def _query(self, query: Query) -> tuple[sa.TextClause, dict[str, Any]]:
        text = str(self._origin.source.query)
        first, last = _NEVER[self._origin.kind]
        day = 0 if self._origin.kind == "step" else pd.Timedelta("1D")
        # A day to spare: a column of naive stamps is compared in whatever zone the database session has.
        start = first if query.start is None else query.start - day  # type: ignore[operator]
        end = last if query.end is None else query.end + day  # type: ignore[operator]
        values = {"asset_id": query.asset.id, "start": _bound(start, self._lite), "end": _bound(end, self._lite)}
        used = set(_BIND.findall(text))
        return sa.text(text), {name: value for name, value in values.items() if name in used}

    @contextlib.contextmanager
    def _connected(self, asset: Asset) -> Iterator[sa.Connection]:
        engine, where = self._engine(), self._origin.where(asset)
        shown = engine.url.render_as_string(hide_password=True)
        try:
            connection = engine.connect()
        except sa.exc.DBAPIError as error:
            raise UnavailableError(f"{where}: {shown} does not answer: {error.orig}") from error
        with connection:
            try:
                yield connection
            except sa.exc.DBAPIError as error:
                if error.connection_invalidated or "locked" in str(error.orig):
                    raise UnavailableError(f"{where}: {shown} broke off: {error.orig}") from error
                raise ConfigError(f"{where}: {shown} refused the query: {error.orig}") from error
            except sa.exc.SQLAlchemyError as error:
                raise ConfigError(f"{where}: the query cannot be run: {error}") from error


def _naive(instant: Instant | None, zone: str) -> Any:
    """Return a bound as a naive local time, for columns without zone."""
    return instant.tz_convert(zone).tz_localize(None) if isinstance(instant, pd.Timestamp) else instant


def _bound(instant: Any, lite: bool) -> Any:
    if isinstance(instant, pd.Timestamp):
        return instant.strftime("%Y-%m-%d %H:%M:%S") if lite else instant.to_pydatetime()
    return instant


@functools.lru_cache(maxsize=16)
def _engine(uri: str, options: str, root: Path, source: str) -> sa.Engine:
    """Make an engine that keeps no connection open between reads, so that workers share nothing."""
    arguments: Mapping[str, Any] = {"poolclass": sa.NullPool} | json.loads(options)
    try:
        url = sa.make_url(uri)
        if url.get_backend_name() == "sqlite" and url.database not in (None, "", ":memory:"):
            path = root / str(url.database)
            if "uri=true" not in uri and not path.exists():
                raise ConfigError(f"data.sources.{source}.uri: {path} does not exist")
            url = url.set(database=str(path))
        return sa.create_engine(url, **arguments)
    except ImportError as error:
        raise ConfigError(f"data.sources.{source}.uri: the database driver is not installed: {error}") from error
    except (sa.exc.ArgumentError, TypeError) as error:
        raise ConfigError(f"data.sources.{source}.uri: {error}") from error
