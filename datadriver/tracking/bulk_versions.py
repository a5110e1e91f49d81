"""Registered models, versions and aliases in MLflow's tables, of many instances at once; all in one transaction."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa
from mlflow.entities.model_registry.model_version_stages import STAGE_DELETED_INTERNAL
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST
from mlflow.store.model_registry.dbmodels import models
from mlflow.store.tracking.dbmodels.models import SqlRun
from mlflow.utils.workspace_utils import DEFAULT_WORKSPACE_NAME

from datadriver.tracking.bulk_database import insert
from datadriver.tracking.bulk_rows import Numbered, table
from datadriver.tracking.writer import CHALLENGER, CHAMPION, RESULT_KEY, SHA256, Entry, Registered

_MODELS = table(models.SqlRegisteredModel)
_MODEL_TAGS = table(models.SqlRegisteredModelTag)
_VERSIONS = table(models.SqlModelVersion)
_VERSION_TAGS = table(models.SqlModelVersionTag)
_ALIASES = table(models.SqlRegisteredModelAlias)
_RUNS = table(SqlRun)
_HERE = {"workspace": DEFAULT_WORKSPACE_NAME}
_AT_ONCE = 500  # names in one statement

TABLES = (_MODELS, _MODEL_TAGS, _VERSIONS, _VERSION_TAGS, _ALIASES)


class Same(NamedTuple):
    """What two versions have in common that are the same result."""

    name: str
    result_key: str
    sha256: str


def same(entry: Entry) -> Same:
    """What a version must have in common with this training to be taken over."""
    return Same(entry.name, entry.result_key, entry.files.sha256)


def enter_models(connection: sa.Connection, entries: Sequence[Entry], at: int) -> None:
    """Make the registered models that are missing, and hold all of them until the transaction ends.

    In the order of their names, so that two writers wait for one another instead of locking each other out: who has
    the models numbers their versions.
    """
    by_name = sorted({entry.name: entry for entry in entries}.items())
    rows = [{**_HERE, "name": name, "creation_time": at, "last_updated_time": at} for name, _ in by_name]
    tags = [
        {**_HERE, "name": name, "key": key, "value": value}
        for name, entry in by_name
        for key, value in entry.instance_tags.items()
    ]
    insert(connection, _MODELS, rows, replace=["last_updated_time"])
    insert(connection, _MODEL_TAGS, tags, skip=True)


def take_over(connection: sa.Connection, entries: Sequence[Entry], at: int) -> dict[Same, Registered]:
    """Find versions that were made of the same inputs, came to their end and have the same bytes.

    One whose run is of a killed batch is deleted; one whose run still goes on belongs to another process.
    """
    wanted = {same(entry) for entry in entries}
    key, sha256 = _VERSION_TAGS.alias(), _VERSION_TAGS.alias()
    columns = _VERSIONS.c
    statement = (
        sa.select(columns.name, columns.version, columns.run_id, columns.source, _RUNS.c.status)
        .add_columns(key.c.value.label("result_key"), sha256.c.value.label("sha256"))
        .join(key, sa.and_(*_same_version(key), key.c.key == RESULT_KEY))
        .join(sha256, sa.and_(*_same_version(sha256), sha256.c.key == SHA256))
        .outerjoin(_RUNS, _RUNS.c.run_uuid == columns.run_id)
        .where(columns.workspace == DEFAULT_WORKSPACE_NAME, columns.current_stage != STAGE_DELETED_INTERNAL)
        .where(key.c.value.in_({entry.result_key for entry in entries}))
        .order_by(columns.version)
    )
    found = {}
    for row in _for_names(connection, statement, columns.name, [entry.name for entry in entries]):
        this = Same(row.name, row.result_key, row.sha256)
        if this not in wanted or row.status == "RUNNING":
            continue
        if row.status == "FINISHED":
            found[this] = Registered(row.name, row.version, row.run_id, row.source)
        else:
            _delete_version(connection, row.name, row.version, at)
    return found


def last_numbers(connection: sa.Connection, names: Collection[str]) -> dict[str, int]:
    """Number of the newest version, deleted ones included, by name; 0 where there is none."""
    columns = _VERSIONS.c
    newest = (
        sa.select(columns.name, sa.func.max(columns.version).label("last"))
        .where(columns.workspace == DEFAULT_WORKSPACE_NAME)
        .group_by(columns.name)
    )
    found = {row.name: row.last for row in _for_names(connection, newest, columns.name, names)}
    return {name: found.get(name, 0) for name in names}


def register(connection: sa.Connection, drafts: Sequence[Numbered], at: int) -> None:
    """Register logged models as versions."""
    insert(connection, _VERSIONS, [_version(draft, at) for draft in drafts])
    tags = [
        {**_HERE, "name": draft.entry.name, "version": draft.number, "key": key, "value": value}
        for draft in drafts
        for key, value in draft.entry.version_tags.items()
    ]
    insert(connection, _VERSION_TAGS, tags)


def point(connection: sa.Connection, alias: str, versions: Mapping[str, int]) -> None:
    """Point an alias to a version, by registered model."""
    rows = [{**_HERE, "name": name, "alias": alias, "version": version} for name, version in sorted(versions.items())]
    insert(connection, _ALIASES, rows, replace=["version"])


def set_champions(connection: sa.Connection, versions: Mapping[str, int | None]) -> None:
    """Point the aliases `champion` to their versions or remove them; a promoted version is no challenger any more."""
    promoted = {name: version for name, version in versions.items() if version is not None}
    _require(connection, promoted)
    point(connection, CHAMPION, promoted)
    _remove(connection, CHAMPION, [name for name, version in versions.items() if version is None])
    challengers = sa.select(_ALIASES.c.name, _ALIASES.c.version).where(
        _ALIASES.c.workspace == DEFAULT_WORKSPACE_NAME, _ALIASES.c.alias == CHALLENGER
    )
    found = _for_names(connection, challengers, _ALIASES.c.name, promoted)
    _remove(connection, CHALLENGER, [row.name for row in found if row.version == promoted[row.name]])


def tag(connection: sa.Connection, tags: Mapping[tuple[str, int], Mapping[str, str]]) -> set[tuple[str, int]]:
    """Set tags of versions, by registered model and number; returns the versions that there are."""
    there = _present(connection, {name for name, _ in tags}) & set(tags)
    rows = [
        {**_HERE, "name": name, "version": version, "key": key, "value": value}
        for name, version in sorted(there)
        for key, value in tags[name, version].items()
    ]
    insert(connection, _VERSION_TAGS, rows, replace=["value"])
    return there


def _version(draft: Numbered, at: int) -> dict[str, object]:
    return {
        **_HERE,
        "name": draft.entry.name,
        "version": draft.number,
        "creation_time": at,
        "last_updated_time": at,
        "description": draft.entry.content.summary,
        "current_stage": "None",
        "source": draft.place.model,
        "storage_location": draft.place.model,
        "run_id": draft.place.run_id,
        "status": "READY",
    }


def _require(connection: sa.Connection, versions: Mapping[str, int]) -> None:
    found = _present(connection, versions)
    for name, version in versions.items():
        if (name, version) not in found:
            raise MlflowException(f"Version {version} of {name} not found", RESOURCE_DOES_NOT_EXIST)


def _present(connection: sa.Connection, names: Collection[str]) -> set[tuple[str, int]]:
    """Name and number of every version of these models that was not deleted."""
    columns = _VERSIONS.c
    there = sa.select(columns.name, columns.version).where(
        columns.workspace == DEFAULT_WORKSPACE_NAME, columns.current_stage != STAGE_DELETED_INTERNAL
    )
    return {(row.name, row.version) for row in _for_names(connection, there, columns.name, names)}


def _remove(connection: sa.Connection, alias: str, names: Collection[str]) -> None:
    columns = _ALIASES.c
    for some in _chunks(names):
        connection.execute(
            sa.delete(_ALIASES).where(
                columns.workspace == DEFAULT_WORKSPACE_NAME, columns.alias == alias, columns.name.in_(some)
            )
        )


def _delete_version(connection: sa.Connection, name: str, version: int, at: int) -> None:
    """Do what the client's `delete_model_version` does: the number stays taken, the rest is blotted out."""
    of_version = {"workspace": DEFAULT_WORKSPACE_NAME, "name": name, "version": version}
    connection.execute(sa.delete(_ALIASES).where(*(_ALIASES.c[key] == value for key, value in of_version.items())))
    connection.execute(
        sa.update(_VERSIONS)
        .where(*(_VERSIONS.c[key] == value for key, value in of_version.items()))
        .values(
            current_stage=STAGE_DELETED_INTERNAL,
            last_updated_time=at,
            description=None,
            user_id=None,
            source="REDACTED-SOURCE-PATH",
            run_id="REDACTED-RUN-ID",
            run_link="REDACTED-RUN-LINK",
            status_message=None,
        )
    )


def _same_version(tags: sa.FromClause) -> Iterator[sa.ColumnElement[bool]]:
    return (tags.c[name] == _VERSIONS.c[name] for name in ("workspace", "name", "version"))


def _for_names(
    connection: sa.Connection, statement: sa.Select[Any], column: sa.Column[str], names: Iterable[str]
) -> Iterator[sa.Row[Any]]:
    """Rows of a statement about the named models, asked in parts: databases limit how many values one may carry."""
    for some in _chunks(names):
        yield from connection.execute(statement.where(column.in_(some))).all()


def _chunks(names: Iterable[str]) -> Iterator[list[str]]:
    ordered = sorted(names)
    return (ordered[start : start + _AT_ONCE] for start in range(0, len(ordered), _AT_ONCE))
