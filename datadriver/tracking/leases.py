"""Leases: two engines at once on one fleet do each job once.

A batch takes the lease of an instance before it starts on it, renews what it holds while it lives, and lets go when it
ends. A lease counts until it expires or its batch is no longer at work, whichever comes first. The clock is the
database's, which all engines share.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from datadriver.errors import UnavailableError
from datadriver.tracking.ledger import Ledger
from datadriver.tracking.liveness import is_alive, now, this_host
from datadriver.tracking.records import Key
from datadriver.tracking.regularly import regularly
from datadriver.tracking.schema import batches, leases

SECONDS = 120.0
"""How long a lease counts that is not renewed; `renewing` renews three times as often."""

_AT_ONCE = 500  # a statement has room for some thousand values


def take(ledger: Ledger, keys: Collection[Key], batch: str, seconds: float = SECONDS) -> frozenset[Key]:
    """Take the leases of instances for a batch, and return those that it got (or had already).

    Not granted is what another batch holds whose process lives and whose lease has not expired. Whoever takes a lease
    must look at the newest outcome only afterwards: the batch that held it before may have just finished the job.
    """
    granted: set[Key] = set()
    for part in _parts(keys):
        with ledger.writing() as connection:
            granted |= _take(connection, part, batch, seconds)
    return frozenset(granted)


def renew(ledger: Ledger, batch: str, seconds: float = SECONDS) -> int:
    """Let what a batch holds count from now on again, and return how many leases that are."""
    with ledger.writing() as connection:
        values = {"expires_at": _after(connection, seconds)}
        return connection.execute(leases.update().where(leases.c.batch == batch).values(values)).rowcount


def release(ledger: Ledger, batch: str, keys: Collection[Key] | None = None) -> None:
    """Let go of some leases of a batch, or of all of them."""
    with ledger.writing() as connection:
        own = leases.delete().where(leases.c.batch == batch)
        if keys is None:
            connection.execute(own)
            return
        for part in _parts(keys):
            connection.execute(own.where(_is_one_of(part)))


def held(ledger: Ledger, keys: Collection[Key], batch: str) -> frozenset[Key]:
    """Return those of the instances whose lease is this batch's still.

    A process that was stopped for longer than its leases count (a laptop that slept, a frozen container) may find that
    another one has done its work; it must ask before it records.
    """
    found = holders(ledger, keys)
    return frozenset(key for key, holder in found.items() if holder == batch)


def holders(ledger: Ledger, keys: Collection[Key]) -> Mapping[Key, str]:
    """Return which batch has the lease of each instance; one that nobody has is absent."""
    found: dict[Key, str] = {}
    statement = sa.select(leases.c.unit, leases.c.model, leases.c.batch)
    with ledger.reading() as connection:
        for part in _parts(keys):
            rows = connection.execute(statement.where(_is_one_of(part)))
            found |= {Key(row.unit, row.model): row.batch for row in rows}
    return found


def out_of_sight(ledger: Ledger, keys: Collection[Key]) -> frozenset[Key]:
    """Return those of the instances whose lease a batch of another host has: only its end tells whether that lives."""
    statement = (
        sa.select(leases.c.unit, leases.c.model)
        .join(batches, batches.c.id == leases.c.batch)
        .where(batches.c.host != this_host())
    )
    with ledger.reading() as connection:
        return frozenset(
            Key(row.unit, row.model)
            for part in _parts(keys)
            for row in connection.execute(statement.where(_is_one_of(part)))
        )


@contextmanager
def renewing(ledger: Ledger, batch: str, seconds: float = SECONDS) -> Iterator[None]:
    """Renew the leases of a batch from a thread of its own while the block runs, and release them when it ends."""
    try:
        with regularly(seconds / 3, lambda: renew(ledger, batch, seconds), name="leases"):
            yield
    finally:
        with suppress(UnavailableError):  # they expire by themselves, and with the batch
            release(ledger, batch)


def _take(connection: sa.Connection, keys: Sequence[Key], batch: str, seconds: float) -> set[Key]:
    expires = _after(connection, seconds)
    rows = [{"unit": key.unit, "model": key.model, "batch": batch, "expires_at": expires} for key in keys]
    insert: Any = (postgresql if connection.dialect.name == "postgresql" else sqlite).insert(leases).values(rows)
    free = sa.or_(
        leases.c.batch == batch,
        leases.c.expires_at < _after(connection, 0),
        leases.c.batch.in_(_over(connection)),
    )
    taken = insert.on_conflict_do_update(
        index_elements=["unit", "model"],
        set_={"batch": insert.excluded.batch, "expires_at": insert.excluded.expires_at},
        where=free,
    ).returning(leases.c.unit, leases.c.model)
    return {Key(row.unit, row.model) for row in connection.execute(taken)}


def _over(connection: sa.Connection) -> list[str]:
    """Return the batches with leases that have ended, or whose process is gone."""
    columns = batches.c
    rows = connection.execute(
        sa.select(columns.id, columns.state, columns.host, columns.pid, columns.started_at, columns.alive_at).where(
            columns.id.in_(sa.select(leases.c.batch).distinct())
        )
    )
    return [
        row.id
        for row in rows
        if row.state != "running" or not is_alive(row.host, row.pid, row.started_at, row.alive_at)
    ]


def _parts(keys: Collection[Key]) -> Iterator[list[Key]]:
    """Split keys into statements, in one order everywhere, so that no two engines wait for each other's rows."""
    ordered = sorted(set(keys))
    for start in range(0, len(ordered), _AT_ONCE):
        yield ordered[start : start + _AT_ONCE]


def _is_one_of(keys: Sequence[Key]) -> sa.ColumnElement[bool]:
    return sa.tuple_(leases.c.unit, leases.c.model).in_([tuple(key) for key in keys])


def _after(connection: sa.Connection, seconds: float) -> str:
    """Write the instant some seconds from now the way the ledger writes instants; SQLite's clock is this machine's."""
    if connection.dialect.name != "postgresql":
        return now(timedelta(seconds=seconds))
    at = connection.execute(sa.select(sa.func.clock_timestamp())).scalar_one()
    return str((at.astimezone(UTC) + timedelta(seconds=seconds)).isoformat(timespec="microseconds"))
