"""How far MLflow is behind the ledger, and what is next to be written there."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from datadriver.tracking import pending
from datadriver.tracking.ledger import Ledger
from datadriver.tracking.liveness import now
from datadriver.tracking.names import registered_number
from datadriver.tracking.records import Batch, Key, Version
from datadriver.tracking.schema import (
    batches,
    champions,
    pending_batches,
    pending_notes,
    pending_versions,
    release_items,
    versions,
)

_AT_ONCE = 500  # values in one statement


@dataclass(frozen=True)
class Backlog:
    """What MLflow does not know yet.

    Attributes:
        versions: trainings that wait to become runs and versions there.
        others: aliases, ends of batches, figures of monitoring.
        oldest: since when the oldest of them waits.
        problem: why one of them could not be written so far.
        running: of `others`, batches that are still at work.
    """

    versions: int = 0
    others: int = 0
    oldest: str | None = None
    problem: str | None = None
    running: int = 0

    @property
    def age(self) -> float | None:
        """Seconds for which the oldest has waited."""
        if self.oldest is None or not self.total:
            return None
        return max(0.0, (datetime.now(UTC) - datetime.fromisoformat(self.oldest)).total_seconds())

    @property
    def total(self) -> int:
        """Everything that waits and could be written now."""
        return self.versions + self.others - self.running


@dataclass(frozen=True)
class Waiting:
    """A version that MLflow does not have yet; `again` if it may have a part of it."""

    id: int
    version: Version
    batch: str
    again: bool


@dataclass(frozen=True)
class Note:
    """Something else that MLflow is to be told."""

    kind: str
    about: Key
    content: str
    at: str


def backlog(ledger: Ledger) -> Backlog:
    """Say how far MLflow is behind."""
    running = sa.select(batches.c.id).where(batches.c.state == "running")
    with ledger.reading() as connection:
        found = [
            connection.execute(sa.select(sa.func.count(), sa.func.min(table.c.at)).select_from(table)).one()
            for table in (pending_versions, pending_batches, pending_notes)
        ]
        busy = sa.select(sa.func.count()).where(pending_batches.c.batch.in_(running))
        at_work = connection.execute(busy).scalar_one()
        problem = None
        for table in (pending_versions, pending_notes):
            said = sa.select(table.c.problem).where(table.c.problem.is_not(None)).limit(1)
            problem = problem or connection.execute(said).scalar()
    (count, _), *others = found
    oldest = min((at for _, at in found if at is not None), default=None)
    return Backlog(count, sum(one for one, _ in others), oldest, problem, at_work)


def unwritten(ledger: Ledger) -> frozenset[Key]:
    """Instances of which MLflow lacks a version, or may have other aliases than it is to have."""
    aliases = pending_notes.c
    with ledger.reading() as connection:
        found = list(connection.execute(sa.select(pending_versions.c.unit, pending_versions.c.model)))
        noted = sa.select(aliases.unit, aliases.model).where(aliases.kind == pending.ALIASES)
        found += list(connection.execute(noted))
    return frozenset(Key(unit, model) for unit, model in found)


def next_versions(ledger: Ledger, limit: int, *, but: Collection[int] = ()) -> list[Waiting]:
    """Return the versions that are next, oldest first; of one instance in the order of their numbers.

    From now on they count as tried: whoever comes after a writer that was killed looks for what it left.
    """
    table, columns = pending_versions.c, versions.c
    same = sa.and_(*(table[name] == columns[name] for name in ("unit", "model", "version")))
    statement = (
        sa.select(versions, table.id, table.batch, table.tried_at)
        .join(pending_versions, same)
        .where(table.id.not_in(but))
        .order_by(table.id)
        .limit(limit)
    )
    with ledger.writing() as connection:
        rows = [dict(row) for row in connection.execute(statement).mappings()]
        ids = [row["id"] for row in rows]
        if any(row["tried_at"] is None for row in rows):
            connection.execute(
                pending_versions.update().where(table.id.in_(ids), table.tried_at.is_(None)).values(tried_at=now())
            )
    return [_waiting(row) for row in rows]


def written(ledger: Ledger, one: Waiting, *, run_id: str, model_uri: str, path: str) -> None:
    """Record that MLflow has a version: where it is there takes the place of where it waited."""
    key = one.version
    columns = versions.c
    this = (columns.unit == key.unit, columns.model == key.model, columns.version == key.version)
    with ledger.writing() as connection:
        connection.execute(versions.update().where(*this).values(run_id=run_id, model_uri=model_uri, path=path))
        connection.execute(pending_versions.delete().where(pending_versions.c.id == one.id))


def failed(ledger: Ledger, what: Waiting | Note, problem: str) -> None:
    """Record why something could not be written; it stays pending."""
    with ledger.writing() as connection:
        if isinstance(what, Waiting):
            statement = pending_versions.update().where(pending_versions.c.id == what.id)
        else:
            statement = pending_notes.update().where(*_is(what))
        connection.execute(statement.values(problem=problem))


def notes(ledger: Ledger, limit: int = 100) -> list[Note]:
    """Return what else MLflow can be told by now: of aliases only where it has all versions of the instance.

    Oldest first, but last what could not be told before.
    """
    table, versions_of = pending_notes.c, pending_versions.c
    lacking = sa.exists().where(versions_of.unit == table.unit, versions_of.model == table.model)
    statement = (
        sa.select(pending_notes)
        .where(sa.or_(table.kind != pending.ALIASES, sa.not_(lacking)))
        .order_by(table.problem.is_not(None), table.at, table.unit, table.model)
        .limit(limit)
    )
    with ledger.reading() as connection:
        found = connection.execute(statement).all()
    return [Note(row.kind, Key(row.unit, row.model), row.content, row.at) for row in found]


def told(ledger: Ledger, note: Note) -> None:
    """Record that MLflow was told; a newer note about the same stays."""
    with ledger.writing() as connection:
        connection.execute(pending_notes.delete().where(*_is(note), pending_notes.c.at == note.at))


def aliases(ledger: Ledger, keys: Sequence[Key]) -> dict[Key, tuple[dict[str, int | None], str]]:
    """Return where MLflow's aliases of instances belong, in MLflow's numbers, and the name of the registered model.

    The champion is who the ledger says, the challenger the newest version unless it was ever promoted. An instance that
    was never released has no say about `champion`.
    """
    found: dict[Key, tuple[dict[str, int | None], str]] = {}
    for start in range(0, len(keys), _AT_ONCE):
        found |= _aliases(ledger, keys[start : start + _AT_ONCE])
    return found


def _aliases(ledger: Ledger, keys: Sequence[Key]) -> dict[Key, tuple[dict[str, int | None], str]]:
    wanted = [tuple(key) for key in keys]
    columns, view, items = versions.c, champions.c, release_items.c
    with ledger.reading() as connection:
        uris: dict[Key, dict[int, str]] = {}
        for row in connection.execute(
            sa.select(columns.unit, columns.model, columns.version, columns.model_uri).where(
                sa.tuple_(columns.unit, columns.model).in_(wanted)
            )
        ):
            uris.setdefault(Key(row.unit, row.model), {})[row.version] = row.model_uri
        standing = {
            Key(row.unit, row.model): row.version
            for row in connection.execute(
                sa.select(view.unit, view.model, view.version).where(sa.tuple_(view.unit, view.model).in_(wanted))
            )
        }
        promoted = {
            (Key(row.unit, row.model), row.version)
            for row in connection.execute(
                sa.select(items.unit, items.model, items.version).where(sa.tuple_(items.unit, items.model).in_(wanted))
            )
        }
    found = {}
    for key, known in uris.items():
        newest = max(known)
        says: dict[str, int | None] = {
            "challenger": None if (key, newest) in promoted else registered_number(known[newest])
        }
        if key in standing:
            champion = standing[key]
            says["champion"] = None if champion is None else registered_number(known[champion])
        found[key] = (says, known[newest].removeprefix("models:/").rpartition("/")[0])
    return found


def open_batches(ledger: Ledger) -> list[tuple[Batch, str | None, Mapping[str, float]]]:
    """Return the batches whose run MLflow lacks, or lacks the end of: with their run, if it has one, and figures."""
    columns = pending_batches.c
    statement = sa.select(batches, columns.run_id, columns.metrics).join(pending_batches, columns.batch == batches.c.id)
    with ledger.reading() as connection:
        rows = [dict(row) for row in connection.execute(statement.order_by(batches.c.started_at)).mappings()]
    return [(_batch(row), row["run_id"], row["metrics"] or {}) for row in rows]


def unfinished_batches(ledger: Ledger) -> frozenset[str]:
    """Batches of which MLflow lacks a version."""
    with ledger.reading() as connection:
        return frozenset(connection.execute(sa.select(pending_versions.c.batch).distinct()).scalars())


def batch_written(ledger: Ledger, batch: str, *, run_id: str | None = None) -> None:
    """Record the run of a batch, or, without one, that its end is written, too."""
    this = pending_batches.c.batch == batch
    with ledger.writing() as connection:
        if run_id is None:
            connection.execute(pending_batches.delete().where(this))
        else:
            connection.execute(pending_batches.update().where(this).values(run_id=run_id))


def waiting_paths(ledger: Ledger) -> frozenset[str]:
    """Where the models are that MLflow does not have yet."""
    table, columns = pending_versions.c, versions.c
    same = sa.and_(*(table[name] == columns[name] for name in ("unit", "model", "version")))
    with ledger.reading() as connection:
        return frozenset(connection.execute(sa.select(columns.path).join(pending_versions, same)).scalars())


def _waiting(row: dict[str, Any]) -> Waiting:
    names = set(versions.c.keys())
    version = Version(**{name: value for name, value in row.items() if name in names})
    return Waiting(row["id"], version, row["batch"], row["tried_at"] is not None)


def _batch(row: dict[str, Any]) -> Batch:
    names = set(batches.c.keys())
    return Batch(**{name: value for name, value in row.items() if name in names})


def _is(note: Note) -> tuple[sa.ColumnElement[bool], ...]:
    table = pending_notes.c
    return table.kind == note.kind, table.unit == note.about.unit, table.model == note.about.model
