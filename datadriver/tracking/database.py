"""Opening the ledger's database: SQLite or PostgreSQL, its migrations, and its failures in words."""

from __future__ import annotations

import importlib.util
import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from datadriver.config.locations import rooted_uri
from datadriver.errors import ConfigError, MissingExtraError, UnavailableError
from datadriver.tracking.schema import REVISION

BUSY_SECONDS = 20
"""How long a writer waits for another one, unless the URI says `?timeout=`."""

_LOCK = 0x64617461
_REVISION_TABLE = sa.table("ledger_revision", sa.column("version_num", sa.Text))


def without_credentials(uri: str) -> str:
    """A URI that may be printed: the password, and the user of an HTTP URI, are removed.

    >>> without_credentials("postgresql://pumps:secret@db/ledger")
    'postgresql://pumps@db/ledger'
    """
    uri = re.sub(r"(?i)([?&][^=&]*(?:password|token|secret)[^=&]*=)[^&]*", r"\1***", uri)
    uri = re.sub(r"(?i)^(https?://)[^/@]*@", r"\1", uri)
    return re.sub(r"^([a-z0-9+.-]+://[^/:@]*):[^/@]*@", r"\1@", uri)


def open_engine(uri: str, root: Path, *, schema: str) -> sa.Engine:
    """Engine of a ledger, with its tables up to date; in PostgreSQL they live in the schema of that name.

    Raises:
        ConfigError: the URI is not one, or the tables are those of a newer datadriver.
        UnavailableError: the database cannot be reached or written.
    """
    full = rooted_uri(uri, root)
    try:
        url = sa.make_url(full)
    except sa.exc.ArgumentError:
        raise ConfigError(
            f"ledger.uri: {without_credentials(uri)!r} is not a database URL; write for example "
            "sqlite:///.datadriver/ledger.db or postgresql://user@host/database"
        ) from None
    makers: dict[str, Callable[[sa.URL], sa.Engine]] = {
        "sqlite": _sqlite,
        "postgresql": partial(_postgresql, schema=schema),
    }
    if url.get_backend_name() not in makers:
        raise ConfigError(f"ledger.uri: {url.get_backend_name()!r} is not supported; use SQLite or PostgreSQL")
    with reaching(full):
        engine = makers[url.get_backend_name()](url)
        try:
            _make_schema(engine, schema)
            migrate(engine)
        except BaseException:
            engine.dispose()
            raise
    return engine


def migrate(engine: sa.Engine) -> None:
    """Bring the tables to this version of datadriver; of several processes that try, one does and the others wait."""
    with engine.connect() as connection:
        found = _revision(connection)
    if found == REVISION:
        return
    from datadriver.tracking.migrations import upgrade  # noqa: PLC0415 - Alembic is needed once in a ledger's life

    with engine.execution_options(write=True).begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
        upgrade(connection, found=found)


def _revision(connection: sa.Connection) -> str | None:
    if not sa.inspect(connection).has_table("ledger_revision"):
        return None
    return connection.execute(sa.select(_REVISION_TABLE.c.version_num)).scalar()


def _sqlite(url: sa.URL) -> sa.Engine:
    if url.database and not url.database.startswith(":memory:"):
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    timeout = {} if "timeout" in url.query else {"timeout": BUSY_SECONDS}
    engine = sa.create_engine(url, connect_args=timeout)

    @sa.event.listens_for(engine, "connect")
    def _configure(connection: sqlite3.Connection, _record: Any) -> None:
        connection.isolation_level = None  # BEGIN is ours, below: pysqlite's own comes too late to read and then write
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA foreign_keys = ON")

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        write = connection.get_execution_options().get("write")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

    return engine


def _postgresql(url: sa.URL, schema: str) -> sa.Engine:
    if url.drivername == "postgresql":
        url = url.set(drivername="postgresql+psycopg")
    if url.get_driver_name() == "psycopg" and importlib.util.find_spec("psycopg") is None:
        raise MissingExtraError("postgres", "a ledger in PostgreSQL")
    timeout = {} if "connect_timeout" in url.query else {"connect_timeout": 10}
    engine = sa.create_engine(url, pool_pre_ping=True, connect_args=timeout)

    @sa.event.listens_for(engine, "connect")
    def _configure(connection: Any, _record: Any) -> None:
        before, connection.autocommit = connection.autocommit, True
        with connection.cursor() as cursor:
            cursor.execute(f'SET search_path TO "{schema}"')
        connection.autocommit = before

    return engine


def _make_schema(engine: sa.Engine, schema: str) -> None:
    if engine.dialect.name != "postgresql":
        return
    with engine.begin() as connection:
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
        if not sa.inspect(connection).has_schema(schema):
            connection.execute(sa.schema.CreateSchema(schema))


@contextmanager
def reaching(uri: str, what: str = "the ledger") -> Iterator[None]:
    """Turn a database's failures into an `UnavailableError` that names it."""
    try:
        yield
    except (sa.exc.IntegrityError, sa.exc.ProgrammingError, sa.exc.DataError):
        raise  # these are bugs of ours, not failures of the database
    except sa.exc.DBAPIError as error:
        raise UnavailableError(f"{what} at {without_credentials(uri)} is not available: {_cause(error)}") from error
    except OSError as error:
        raise UnavailableError(
            f"{what} at {without_credentials(uri)} cannot be written: {error.strerror or error}"
        ) from error


def _cause(error: sa.exc.DBAPIError) -> str:
    """First line of what the driver said, and what to do about it."""
    said = str(error.orig).strip().splitlines()[0]
    remedies = {
        "locked": "another process holds it; try again when it is done",
        "unable to open": "check that the directory exists and may be written",
        "readonly": "check the permissions of the file and its directory",
        "disk is full": "free some space; nothing of this result was recorded, and the next run does it again",
        "not a database": "the file is something else; check ledger.uri",
        "refused": "check that the server runs",
    }
    for sign, remedy in remedies.items():
        if sign in said:
            return f"{said}; {remedy}"
    return said
