"""The database behind an MLflow store, for writing many rows at once into MLflow's own tables."""

from __future__ import annotations

import logging
import os
import random
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from datadriver.tracking.database import BUSY_SECONDS, without_credentials

SCHEMA_REVISION = "dc11669786a5"
"""Of the tables of MLflow 3.17, for which `bulk_rows` and `bulk_versions` were written."""

Row = Mapping[str, Any]
_T = TypeVar("_T")
_CONNECT_SECONDS = 10
_TRIES = 6
_SAMPLE = 1000  # rows of each index that SQLite looks at for its statistics
_CONFLICTS = {"40001", "40P01"}  # PostgreSQL: serialisation failure, deadlock
_log = logging.getLogger(__name__)


def open_engine(uri: str) -> sa.Engine | None:
    """Engine of a store that may be written in bulk; None where only the public client may write.

    Connections are not kept: a group of results needs two, and nobody has to close anything.
    """
    url = sa.make_url(uri)
    backend = url.get_backend_name()
    workspaces = os.environ.get("MLFLOW_ENABLE_WORKSPACES", "").lower() in {"true", "1"}
    if backend not in {"sqlite", "postgresql"} or ":memory:" in uri or workspaces:
        return None
    engine = _sqlite(url) if backend == "sqlite" else _postgresql(url)
    with engine.connect() as connection:
        found = connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()
    if found == SCHEMA_REVISION:
        return engine
    _log.warning(
        "%s has the schema revision %s, bulk writing was made for %s: it writes one by one, slowly",
        without_credentials(uri),
        found,
        SCHEMA_REVISION,
    )
    return None


def transact(engine: sa.Engine, work: Callable[[sa.Connection], _T]) -> _T:
    """Do `work` in one transaction, again if another writer came first."""
    for tried in range(1, _TRIES + 1):
        try:
            with engine.begin() as connection:
                return work(connection)
        except (sa.exc.IntegrityError, sa.exc.OperationalError) as error:
            if tried == _TRIES or not _conflict(error):
                raise
            time.sleep(random.uniform(0.01, 0.05) * tried)  # noqa: S311 - so that two do not meet again
    raise AssertionError("unreachable")


def insert(  # noqa: PLR0913 - what may be there already, in three ways
    connection: sa.Connection,
    table: sa.Table,
    rows: Sequence[Row],
    *,
    skip: bool = False,
    replace: Collection[str] = (),
    newer: Sequence[str] = (),
) -> None:
    """Insert rows that all have the same columns; none is fine.

    Args:
        connection: In a transaction.
        table: One of MLflow's.
        rows: By column.
        skip: Leave a row alone whose primary key is there already.
        replace: Columns to overwrite in a row whose primary key is there already.
        newer: Columns by which, in this order, a row must be greater than the one there to overwrite it; none: always.
    """
    if not rows:
        return
    if connection.dialect.name == "sqlite":
        text, names = _sqlite_insert(table, tuple(rows[0]), skip, tuple(replace), tuple(newer))
        connection.exec_driver_sql(text, [tuple(row[name] for name in names) for row in rows])
    else:
        statement = _on_conflict(_document(table, list(rows[0])), table, skip, replace, newer)
        connection.execute(statement, {"rows": rows})


def _on_conflict(
    statement: Any, table: sa.Table, skip: bool, replace: Collection[str], newer: Sequence[str]
) -> sa.Executable:
    if skip:
        return statement.on_conflict_do_nothing()  # type: ignore[no-any-return]
    if not replace:
        return statement  # type: ignore[no-any-return]
    keys = [column.name for column in table.primary_key]
    changed = {name: statement.excluded[name] for name in replace}
    there, given = ([source[name] for name in newer] for source in (table.c, statement.excluded))
    only = sa.tuple_(*given) > sa.tuple_(*there) if newer else None
    return statement.on_conflict_do_update(index_elements=keys, set_=changed, where=only)  # type: ignore[no-any-return]


@lru_cache(maxsize=128)
def _sqlite_insert(
    table: sa.Table, names: tuple[str, ...], skip: bool, replace: tuple[str, ...], newer: tuple[str, ...]
) -> tuple[str, Sequence[str]]:
    """Return the text of a statement for one row and the order of its values: putting it together takes as long as it.

    Numbers, text and truth values, which is all that MLflow's tables hold, need no conversion.
    """
    statement = sqlite.insert(table).values({name: sa.bindparam(name) for name in names})
    compiled = _on_conflict(statement, table, skip, replace, newer).compile(dialect=sqlite.dialect())  # type: ignore[attr-defined]
    return str(compiled), compiled.positiontup


def analyze(connection: sa.Connection, tables: Iterable[sa.Table]) -> None:
    """Refresh the statistics of tables; with none, MLflow's pages take many seconds, as the database plans blindly."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(f"PRAGMA analysis_limit = {_SAMPLE}")
    for table in tables:
        connection.exec_driver_sql(f"ANALYZE {table.name}")


def _document(table: sa.Table, names: Sequence[str]) -> Any:
    """One statement with all rows in one JSON value: a third of the time of a statement per row."""
    columns = [sa.column(name, _unbounded(table.c[name].type)) for name in names]
    document = sa.func.json_to_recordset(sa.bindparam("rows", type_=sa.JSON))
    source = document.table_valued(*columns).render_derived(with_types=True)
    return postgresql.insert(table).from_select(names, sa.select(*source.c))


def _unbounded(kind: sa.types.TypeEngine[Any]) -> sa.types.TypeEngine[Any]:
    """Casting to a text of limited length would cut what is longer without a word; inserting it is an error."""
    return sa.Text() if isinstance(kind, sa.String) else kind


def _conflict(error: sa.exc.DBAPIError) -> bool:
    if isinstance(error, sa.exc.IntegrityError):
        return True
    state = getattr(error.orig, "sqlstate", None) or getattr(error.orig, "pgcode", None)
    return state in _CONFLICTS


def _sqlite(url: sa.URL) -> sa.Engine:
    timeout = {} if "timeout" in url.query else {"timeout": BUSY_SECONDS}
    engine = sa.create_engine(url, poolclass=sa.NullPool, connect_args=timeout)

    @sa.event.listens_for(engine, "connect")
    def _configure(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # BEGIN is ours, below: pysqlite's own comes too late to read and then write
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA cache_size = -65536")

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def _postgresql(url: sa.URL) -> sa.Engine:
    timeout = {} if "connect_timeout" in url.query else {"connect_timeout": _CONNECT_SECONDS}
    return sa.create_engine(url, poolclass=sa.NullPool, connect_args=timeout)
