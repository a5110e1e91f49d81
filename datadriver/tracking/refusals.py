"""Versions that somebody refused: they stay challengers, and the gate does not offer them again."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import sqlalchemy as sa

from datadriver.tracking import schema
from datadriver.tracking.ledger import Ledger, upsert
from datadriver.tracking.liveness import now
from datadriver.tracking.records import Key


@dataclass(frozen=True)
class Refusal:
    """A version that shall not become champion: who said so, when, and why."""

    unit: str
    model: str
    version: int
    by: str
    reason: str
    at: str = ""

    @property
    def key(self) -> Key:
        """The instance."""
        return Key(self.unit, self.model)

    def __str__(self) -> str:
        """Return it in words: `version 3 was refused by ada on 2026-11-22: worse at night`."""
        why = f": {self.reason}" if self.reason else ""
        return f"version {self.version} was refused by {self.by} on {self.at[:10]}{why}"


def refuse(ledger: Ledger, refusals: Collection[Refusal]) -> None:
    """Record refusals; a version that was refused before keeps who did so first."""
    at = now()
    rows = [
        {"unit": one.unit, "model": one.model, "version": one.version, "by": one.by, "reason": one.reason, "at": at}
        for one in refusals
    ]
    with ledger.writing() as connection:
        upsert(connection, schema.refusals, rows, keep=True)


def refusals(ledger: Ledger) -> Mapping[tuple[Key, int], Refusal]:
    """Return every refusal by instance and version."""
    with ledger.reading() as connection:
        rows = connection.execute(sa.select(schema.refusals)).mappings()
        found = [Refusal(**row) for row in rows]
    return {(one.key, one.version): one for one in found}
