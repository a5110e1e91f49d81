"""The tracking store: reached or given up within seconds, quiet, and its failures in words.

Imports MLflow (about 2 s), so this module is imported where a store is used, not before.
"""

from __future__ import annotations

import logging
import os
import shutil
import sqlite3
import tempfile
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import sqlalchemy as sa

from datadriver.config.locations import rooted_uri
from datadriver.config.sections import Tracking
from datadriver.data.drafts import clear_drafts, draft_folder
from datadriver.errors import ConfigError, DatadriverError, UnavailableError
from datadriver.tracking.database import BUSY_SECONDS, without_credentials

# Read by MLflow at import or at each request. A user's own settings win.
for _name, _value in {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
}.items():
    os.environ.setdefault(_name, _value)

from mlflow import MlflowClient  # noqa: E402 - after the settings above
from mlflow.artifacts import download_artifacts  # noqa: E402
from mlflow.exceptions import MlflowException  # noqa: E402

_DATABASES = ("sqlite", "postgresql", "mysql", "mssql")
_CONNECT_SECONDS = 10
_OURS = {"INVALID_PARAMETER_VALUE", "BAD_REQUEST", "ENDPOINT_NOT_FOUND"}
_REFUSED = {"PERMISSION_DENIED", "UNAUTHENTICATED", "CUSTOMER_UNAUTHORIZED"}


def store_uri(tracking: Tracking, root: Path) -> str:
    """`tracking.uri` as MLflow wants it: SQLite paths absolute, PostgreSQL through psycopg 3."""
    uri = rooted_uri(tracking.uri, root)
    return uri.replace("postgresql://", "postgresql+psycopg://", 1) if uri.startswith("postgresql://") else uri


def artifact_location(tracking: Tracking, root: Path) -> str | None:
    """Where a new experiment keeps its artefacts: `tracking.artifacts` for a database, else the server decides."""
    if not tracking.uri.startswith(_DATABASES):
        return None
    if "://" in tracking.artifacts:
        return tracking.artifacts
    return (root.absolute() / tracking.artifacts).as_uri()


def connect(tracking: Tracking, root: Path) -> MlflowClient:
    """Client of the tracking store; a new SQLite store gets its tables (a few seconds, once).

    Raises:
        ConfigError: the URI is none that MLflow keeps a model registry behind.
        UnavailableError: the store does not answer.
    """
    uri = store_uri(tracking, root)
    with answering(uri):
        if uri.startswith("sqlite:///") and ":memory:" not in uri:
            _create_whole(Path(sa.make_url(uri).database or ""))
        _probe(uri)
        client = MlflowClient(tracking_uri=uri, registry_uri=uri)
        client.search_experiments(max_results=1)
    return client


def fetch(uri: str, target: Path, tracking: Tracking, root: Path) -> None:
    """Fetch one remote artefact; the file appears whole or not at all."""
    store = store_uri(tracking, root)
    with answering(store), tempfile.TemporaryDirectory() as folder:
        found = Path(download_artifacts(artifact_uri=uri, tracking_uri=store, dst_path=folder))
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
        shutil.copyfile(found, partial)
        partial.replace(target)


@contextmanager
def answering(uri: str) -> Iterator[None]:
    """Turn the store's failures into an `UnavailableError` that names it, without MLflow's own log lines."""
    where = f"the tracking store at {without_credentials(uri)}"
    with _quiet():
        try:
            yield
        except DatadriverError:
            raise
        except MlflowException as error:
            if error.error_code in _REFUSED:
                raise ConfigError(
                    f"tracking.uri: {where} refuses access ({_said(error)}); "
                    "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
                ) from error
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                raise ConfigError(
                    f"tracking.uri: {where} says: {_said(error)}. It was deleted there, or tracking.uri named another "
                    "store when it was recorded"
                ) from error
            if error.error_code in _OURS and not isinstance(error.__cause__, sa.exc.SQLAlchemyError):
                raise
            raise UnavailableError(f"{where} is not available: {_said(error)}") from error
        except (sa.exc.SQLAlchemyError, sqlite3.Error) as error:
            raise UnavailableError(f"{where} is not available: {_said(error)}") from error
        except OSError as error:
            raise UnavailableError(
                f"{where} or its artefacts cannot be reached or written: {error.strerror or error}"
                + (f" ({error.filename})" if error.filename else "")
            ) from error


def _create_whole(path: Path) -> None:
    """Make a new SQLite store beside its place and move it there with all of its tables.

    MLflow's migrations take seconds and are many transactions: killed in between, they can never be repeated.
    """
    if path.exists():
        clear_drafts(path)
        return
    with draft_folder(path) as folder:
        draft, whole = folder / "draft.db", folder / "whole.db"
        uri = f"sqlite:///{draft}"
        MlflowClient(tracking_uri=uri, registry_uri=uri).search_experiments(max_results=1)
        with closing(sqlite3.connect(draft)) as source, closing(sqlite3.connect(whole)) as target:
            source.backup(target)  # MLflow keeps its connections to the draft
        with suppress(FileExistsError):  # another process was faster
            os.link(whole, path)


def _probe(uri: str) -> None:
    """Find out in seconds whether the store is there; MLflow itself tries for minutes."""
    if uri.startswith("sqlite"):
        path = Path(sa.make_url(uri).database or "")
        with closing(sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)) as connection:
            connection.execute(
                "PRAGMA journal_mode = WAL"
            )  # kept in the file; MLflow commits 25 times for one training
            connection.execute("BEGIN IMMEDIATE")  # fails where the file is locked, or may not be written
            connection.execute("ROLLBACK")
    elif uri.startswith("postgresql"):
        engine = sa.create_engine(uri, connect_args={"connect_timeout": _CONNECT_SECONDS})
        with engine.connect():
            pass
        engine.dispose()
    elif uri.startswith(("http://", "https://")):
        _probe_server(uri)
    elif not uri.startswith((*_DATABASES, "databricks")):
        raise ConfigError(
            f"tracking.uri: {without_credentials(uri)!r} is no tracking store with a model registry; write for example "
            "sqlite:///.datadriver/mlflow.db, postgresql://user@host/mlflow or https://mlflow.example.com"
        )


def _probe_server(uri: str) -> None:
    bare = sa.make_url(uri)
    address = f"{bare.drivername}://{bare.host}{f':{bare.port}' if bare.port else ''}/{bare.database or ''}"
    try:
        urllib.request.urlopen(f"{address.rstrip('/')}/health", timeout=_CONNECT_SECONDS).close()  # noqa: S310 - http(s)
    except urllib.error.HTTPError as error:
        if error.code >= 500:
            raise UnavailableError(
                f"the tracking store at {without_credentials(uri)} answers with error {error.code}"
            ) from error
    except urllib.error.URLError as error:
        raise UnavailableError(
            f"the tracking store at {without_credentials(uri)} does not answer: {error.reason}; "
            "check that the server runs and that tracking.uri names it"
        ) from error


def _said(error: Exception) -> str:
    """First line of what went wrong, without credentials and SQLAlchemy's advice."""
    cause = error.__cause__ if isinstance(error.__cause__, sa.exc.SQLAlchemyError) else error
    text = str(getattr(cause, "orig", None) or cause).strip() or type(error).__name__
    return without_credentials(text.splitlines()[0])


@contextmanager
def _quiet() -> Iterator[None]:
    """MLflow logs migrations, retries and whole tracebacks of what is then raised as well."""
    loggers = [logging.getLogger(name) for name in ("mlflow", "mlflow.store", "alembic")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
