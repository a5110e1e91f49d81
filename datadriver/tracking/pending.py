"""What MLflow does not know yet, as rows of the ledger: entered with the results, gone once MLflow has them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from datadriver.tracking.liveness import now
from datadriver.tracking.names import registered_number
from datadriver.tracking.records import Key
from datadriver.tracking.schema import pending_batches, pending_notes, pending_versions, versions

ALIASES, MONITORING, REPORT = "aliases", "monitoring", "report"
"""Kinds of notes."""


def number(connection: sa.Connection, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Give new versions their numbers, before MLflow does, and return those that are new; the rows are changed.

    The next number is one more than any that the ledger or MLflow gave to a version of this instance.
    """
    columns = versions.c
    last: dict[Key, int] = defaultdict(int)
    known = set()
    for row in connection.execute(
        sa.select(columns.unit, columns.model, columns.version, columns.model_uri, columns.result_key).where(
            columns.unit.in_({row["unit"] for row in rows})
        )
    ):
        key = Key(row.unit, row.model)
        last[key] = max(last[key], row.version, registered_number(row.model_uri))
        known.add((key, row.result_key))
    new = []
    for one in rows:
        key = Key(one["unit"], one["model"])
        if (key, one["result_key"]) in known:
            continue
        last[key] += 1
        one["version"], one["model_uri"] = last[key], f"{one['model_uri'].rpartition('/')[0]}/{last[key]}"
        new.append(one)
    return new


def enter(connection: sa.Connection, rows: Sequence[dict[str, Any]], batch: str) -> None:
    """Enter new versions, whose rows are there, as ones that MLflow does not have yet."""
    if not rows:
        return
    at = now()
    names = ("unit", "model", "version")
    values = [{**{name: row[name] for name in names}, "batch": batch, "at": at} for row in rows]
    connection.execute(pending_versions.insert(), values)
    enter_batch(connection, batch)
    note(connection, ALIASES, [Key(row["unit"], row["model"]) for row in rows])


def enter_batch(connection: sa.Connection, batch: str) -> None:
    """Enter a batch as one whose run MLflow does not have yet."""
    statement = _insert(connection, pending_batches).values(batch=batch, at=now())
    connection.execute(statement.on_conflict_do_nothing())


def note(connection: sa.Connection, kind: str, about: Collection[Key], content: str = "") -> None:
    """Note that MLflow is to be told something; a newer note of the kind about the same takes the older one's place."""
    if not about:
        return
    at = now()
    rows = [{"kind": kind, "unit": key.unit, "model": key.model, "content": content, "at": at} for key in about]
    statement = _insert(connection, pending_notes)
    changed = {"content": statement.excluded.content, "at": statement.excluded.at, "problem": None}
    connection.execute(
        statement.on_conflict_do_update(index_elements=["kind", "unit", "model"], set_=changed), sorted_rows(rows)
    )


def sorted_rows(rows: Collection[dict[str, Any]]) -> list[dict[str, Any]]:
    """Put rows in one order everywhere, so that no two writers wait for each other."""
    return sorted(rows, key=lambda row: (row["unit"], row["model"]))


def _insert(connection: sa.Connection, table: sa.Table) -> Any:
    return (postgresql if connection.dialect.name == "postgresql" else sqlite).insert(table)
