"""The ledger: what was asked, done, rejected and released. Writing is here, reading in `queries`."""

from __future__ import annotations

import getpass
import os
import uuid
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from datadriver import failpoints
from datadriver.config.locations import rooted_uri
from datadriver.config.sections import UseCase
from datadriver.errors import ConfigError, UnavailableError
from datadriver.tracking import pending, schema, score_records
from datadriver.tracking.database import open_engine, reaching, without_credentials
from datadriver.tracking.liveness import is_alive, now, this_host
from datadriver.tracking.records import (
    Batch,
    BatchState,
    Outcome,
    Release,
    ReleaseAction,
    ReleaseItem,
    ScoreRecord,
    VerdictRecord,
    Version,
    plain,
)

_SEVERITY = {"pass": 0, "warn": 1, "reject": 2}
_AT_ONCE = 500  # verdicts in one statement


class Ledger:
    """An open ledger. `Ledger.open` creates or migrates the tables; every method below is one transaction."""

    def __init__(self, engine: sa.Engine, uri: str) -> None:
        self.engine = engine
        self.uri = uri

    @classmethod
    def open(cls, usecase: UseCase, root: Path) -> Ledger:
        """Open `usecase.ledger.uri`; relative SQLite paths are relative to `root`.

        In PostgreSQL the tables live in a schema named after the use case, so use cases may share a database.

        Raises:
            ConfigError: the URI is wrong, or the ledger belongs to another use case.
            UnavailableError: the database cannot be reached or written.
        """
        engine = open_engine(usecase.ledger.uri, root, schema=usecase.name)
        ledger = cls(engine, without_credentials(rooted_uri(usecase.ledger.uri, root)))
        try:
            ledger._claim(usecase.name)
        except BaseException:
            ledger.close()
            raise
        return ledger

    def close(self) -> None:
        """Release the connections."""
        self.engine.dispose()

    def start_batch(self, command: str, *, code_revision: str | None = None) -> Batch:
        """Record that a command starts; batches whose process is gone become `killed`."""
        at = now()
        batch = Batch(
            id=f"{at[:19].replace(':', '').replace('-', '')}-{uuid.uuid4().hex[:8]}",
            command=command,
            started_at=at,
            alive_at=at,
            state="running",
            user=_user(),
            host=this_host(),
            pid=os.getpid(),
            code_revision=code_revision,
        )
        with self.writing() as connection:
            _bury_the_dead(connection)
            connection.execute(schema.batches.insert().values(asdict(batch)))
        failpoints.reach("batch-started")
        return batch

    def finish_batch(self, batch: str, state: BatchState = "done") -> None:
        """Record that a command ended."""
        with self.writing() as connection:
            connection.execute(
                schema.batches.update().where(schema.batches.c.id == batch).values(state=state, finished_at=now())
            )

    def show_life(self, batch: str) -> None:
        """Record that a command is at work still."""
        with self.writing() as connection:
            _show_life(connection, batch)

    def bury(self, batches: Collection[str]) -> None:
        """Record that batches whose process is gone were killed, and that nothing which they left behind is left."""
        if not batches:
            return
        columns = schema.batches.c
        dead = sa.and_(columns.id.in_(batches), columns.state.in_(("running", "killed")))
        with self.writing() as connection:
            connection.execute(schema.batches.update().where(dead).values(state="killed", finished_at=now()))

    def record_result(
        self, outcome: Outcome, *, version: Version | None = None, verdicts: Sequence[VerdictRecord] = ()
    ) -> None:
        """Record the outcome of one instance with its version and the verdicts on its assets, all or nothing.

        Recording the same result again (same instance and result key, or same batch) adds nothing.
        """
        self.record_results([outcome], versions=[version] if version else (), verdicts=verdicts)

    def record_results(
        self, outcomes: Sequence[Outcome], *, versions: Sequence[Version] = (), verdicts: Iterable[VerdictRecord] = ()
    ) -> None:
        """Record the outcomes of many instances, with versions and verdicts, as `record_result` does."""
        outcome_rows = [asdict(replace(outcome, at=outcome.at or now())) for outcome in outcomes]
        version_rows = [plain(replace(version, created_at=version.created_at or now())) for version in versions]
        with self.writing() as connection:
            _put_verdicts(connection, verdicts)
            unnumbered = [row for row in version_rows if not row["version"]]  # MLflow gets them behind the run
            new = pending.number(connection, unnumbered) if unnumbered else []
            if numbered := [row for row in version_rows if row["version"]]:
                connection.execute(insert(connection, schema.versions).on_conflict_do_nothing(), numbered)
            if new:
                pending.enter(connection, new, outcomes[0].batch)
            _put(connection, schema.outcomes, outcome_rows, key=["batch", "unit", "model"])
            for batch in {outcome.batch for outcome in outcomes}:
                _show_life(connection, batch)
            failpoints.reach("ledger-pending")
        failpoints.reach("ledger-written")

    def record_verdicts(self, verdicts: Iterable[VerdictRecord]) -> None:
        """Record verdicts alone, as `validate` does; of two on one asset in a batch, the more severe stays."""
        with self.writing() as connection:
            _put_verdicts(connection, verdicts)

    def record_scores(self, scores: Iterable[ScoreRecord]) -> None:
        """Record what scoring wrote."""
        with self.writing() as connection:
            score_records.put(connection, list(scores))

    def unrecorded(self, scores: Sequence[ScoreRecord]) -> list[ScoreRecord]:
        """Return those that would say something new: a window scored twice with the same outcome is one record."""
        with self.reading() as connection:
            return score_records.unrecorded(connection, scores)

    def record_release(  # noqa: PLR0913 - what a release says
        self,
        items: Sequence[ReleaseItem],
        *,
        action: ReleaseAction,
        by: str,
        reason: str,
        batch: str | None = None,
        behind: bool = False,
    ) -> Release:
        """Append a release; the champions follow from it, and the aliases in MLflow, if they are written `behind`.

        Raises:
            UnavailableError: another release changed one of the champions since `previous` was read.
        """
        at = now()
        with self.writing() as connection:
            if connection.dialect.name == "postgresql":  # SQLite has one writer at a time anyway
                connection.execute(sa.text("LOCK TABLE releases IN EXCLUSIVE MODE"))
            _check_previous(connection, items)
            header = {"at": at, "by": by, "action": action, "reason": reason, "batch": batch}
            number = connection.execute(
                schema.releases.insert().values(header).returning(schema.releases.c.id)
            ).scalar_one()
            rows = [
                {
                    "release": number,
                    "unit": item.unit,
                    "model": item.model,
                    "version": item.version,
                    "previous_version": item.previous,
                }
                for item in items
            ]
            connection.execute(schema.release_items.insert(), rows)
            if behind:
                pending.note(connection, pending.ALIASES, [item.key for item in items])
        return Release(number, at, by, action, reason, batch, tuple(items))

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A connection for statements that only read."""
        with reaching(self.uri), self.engine.connect() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """A transaction: committed at the end, rolled back on any error."""
        with reaching(self.uri), self.engine.execution_options(write=True).begin() as connection:
            yield connection

    def _claim(self, usecase: str) -> None:
        with self.reading() as connection:
            found = connection.execute(sa.select(schema.owner.c.usecase)).scalar()
        if found is None:
            with self.writing() as connection:
                connection.execute(insert(connection, schema.owner).values(usecase=usecase).on_conflict_do_nothing())
        elif found != usecase:
            raise ConfigError(
                f"ledger.uri: {self.uri} is the ledger of the use case {found!r}, not of {usecase!r}; "
                "give each use case a ledger of its own"
            )


def insert(connection: sa.Connection, table: sa.Table) -> Any:
    """An INSERT that knows ON CONFLICT; both databases write it alike, SQLAlchemy does not."""
    return (postgresql if connection.dialect.name == "postgresql" else sqlite).insert(table)


def upsert(
    connection: sa.Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]], *, keep: bool = False
) -> None:
    """Insert rows; where one with the same key is there already, take the new one, or `keep` the old one."""
    if not rows:
        return
    statement = insert(connection, table)
    if keep:
        connection.execute(statement.on_conflict_do_nothing(), list(rows))
        return
    keys = [column.name for column in table.primary_key]
    changed = {name: statement.excluded[name] for name in rows[0] if name not in keys}
    connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=changed), list(rows))


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user may have no name
        return str(os.getuid())


def _bury_the_dead(connection: sa.Connection) -> None:
    columns = schema.batches.c
    running = connection.execute(
        sa.select(columns.id, columns.host, columns.pid, columns.started_at, columns.alive_at).where(
            columns.state == "running"
        )
    )
    dead = [row.id for row in running if not is_alive(row.host, row.pid, row.started_at, row.alive_at)]
    if dead:
        connection.execute(schema.batches.update().where(columns.id.in_(dead)).values(state="killed"))


def _show_life(connection: sa.Connection, batch: str) -> None:
    connection.execute(schema.batches.update().where(schema.batches.c.id == batch).values(alive_at=now()))


def _put(connection: sa.Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]], *, key: Sequence[str]) -> None:
    """Insert rows, in the place of those that have the same key."""
    if rows:
        statement = insert(connection, table)
        changed = {name: statement.excluded[name] for name in rows[0]}
        connection.execute(statement.on_conflict_do_update(index_elements=key, set_=changed), rows)


def _put_verdicts(connection: sa.Connection, verdicts: Iterable[VerdictRecord]) -> None:
    """Record verdicts; of several on one asset at one stage of a batch, the most severe stays, the later of equals."""
    worst: dict[tuple[str, str, str], VerdictRecord] = {}
    for verdict in verdicts:
        key = verdict.batch, verdict.asset, verdict.stage
        if key not in worst or _SEVERITY.get(verdict.action, 0) >= _SEVERITY.get(worst[key].action, 0):
            worst[key] = verdict
    keys = list(worst)
    for start in range(0, len(keys), _AT_ONCE):
        some = keys[start : start + _AT_ONCE]
        before = _severities(connection, some)
        rows = [
            plain(replace(worst[key], at=worst[key].at or now()))
            for key in some
            if _SEVERITY.get(worst[key].action, 0) >= before.get(key, 0)
        ]
        _put(connection, schema.verdicts, rows, key=["batch", "asset", "stage"])


def _severities(connection: sa.Connection, keys: Sequence[tuple[str, str, str]]) -> dict[tuple[str, str, str], int]:
    """How severe the recorded verdicts are, by batch, asset and stage."""
    columns = schema.verdicts.c
    statement = sa.select(columns.batch, columns.asset, columns.stage, columns.action).where(
        columns.batch.in_({batch for batch, _, _ in keys}), columns.asset.in_({asset for _, asset, _ in keys})
    )
    return {(row.batch, row.asset, row.stage): _SEVERITY.get(row.action, 0) for row in connection.execute(statement)}


def _check_previous(connection: sa.Connection, items: Sequence[ReleaseItem]) -> None:
    view = schema.champions.c
    current: Mapping[tuple[str, str], int | None] = {
        (row.unit, row.model): row.version for row in connection.execute(sa.select(view.unit, view.model, view.version))
    }
    for item in items:
        found = current.get(item.key)
        if found != item.previous:
            raise UnavailableError(
                f"{item.key}: the champion became version {found} while this release was made from version "
                f"{item.previous}; nothing was released, try again"
            )
