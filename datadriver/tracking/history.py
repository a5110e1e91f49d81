"""Questions about the past that reports ask: each one statement over the whole fleet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from datadriver.tracking import schema
from datadriver.tracking.ledger import Ledger
from datadriver.tracking.monitor_records import RetrainRequest
from datadriver.tracking.records import Key, Outcome, Version


@dataclass(frozen=True)
class Looks:
    """When an asset was first and last monitored, by the wall clock."""

    first: str
    last: str


def looks(ledger: Ledger) -> Mapping[str, Looks]:
    """When each asset was monitored, whether or not it is in the fleet still."""
    table = schema.monitored.c
    found = _rows(ledger, sa.select(table.asset, table.first_at, table.at))
    return {row["asset"]: Looks(row["first_at"], row["at"]) for row in found}


def recent_versions(ledger: Ledger, *, newest: int = 8) -> Mapping[Key, tuple[Version, ...]]:
    """The newest versions of every instance, newest first."""
    table = schema.versions.c
    last = sa.select(table.unit, table.model, sa.func.max(table.version).label("last"))
    heads = last.group_by(table.unit, table.model).subquery()
    recent = sa.and_(table.unit == heads.c.unit, table.model == heads.c.model, table.version > heads.c["last"] - newest)
    statement = sa.select(schema.versions).join(heads, recent).order_by(table.version.desc())
    found: dict[Key, list[Version]] = {}
    for row in _rows(ledger, statement):
        version = Version(**row)
        found.setdefault(version.key, []).append(version)
    return {key: tuple(some) for key, some in found.items()}


def requests_since(ledger: Ledger, at: str) -> tuple[RetrainRequest, ...]:
    """Requests to train again that were made after a time, answered or not, oldest first."""
    table = schema.retrain_requests
    statement = sa.select(table).where(table.c.at > at).order_by(table.c.at, table.c.unit, table.c.model)
    return tuple(RetrainRequest(**row) for row in _rows(ledger, statement))


def newly_failing(ledger: Ledger, at: str) -> tuple[Outcome, ...]:
    """Newest outcomes that failed or were rejected after a time, of instances whose training before it did not."""
    table = schema.outcomes.c
    ids = sa.select(sa.func.max(table.id).label("id"), table.unit, table.model).group_by(table.unit, table.model)
    newest, before = ids.subquery(), ids.where(table.at <= at).subquery()
    earlier = schema.outcomes.alias()
    lost = ("failed", "rejected")
    statement = (
        sa.select(schema.outcomes)
        .join(newest, newest.c.id == table.id)
        .outerjoin(before, sa.and_(before.c.unit == table.unit, before.c.model == table.model))
        .outerjoin(earlier, earlier.c.id == before.c.id)
        .where(table.at > at, table.state.in_(lost))
        .where(sa.or_(earlier.c.id.is_(None), earlier.c.state.not_in(lost)))
        .order_by(table.id)
    )
    return tuple(
        Outcome(**{name: value for name, value in row.items() if name != "id"}) for row in _rows(ledger, statement)
    )


def _rows(ledger: Ledger, statement: sa.Select[Any]) -> list[dict[str, Any]]:
    with ledger.reading() as connection:
        return [dict(row) for row in connection.execute(statement).mappings()]
