"""What scoring wrote, as the ledger keeps it: a record for each stretch, and which of them reaches furthest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from datadriver.tracking import schema
from datadriver.tracking.liveness import now
from datadriver.tracking.records import ScoreRecord, instant_order

_AT_ONCE = 500  # stretches in one statement
_Key = tuple[str, str, str]


def put(connection: sa.Connection, scores: Sequence[ScoreRecord]) -> None:
    """Record scored stretches, and for each instance and asset the one that reaches furthest."""
    for some in _parts(scores):
        furthest = _furthest(connection, some)
        insert = schema.scores.insert().returning(schema.scores.c.id, sort_by_parameter_order=True)
        numbers = connection.execute(insert, [_row(score) for score in some]).scalars().all()
        heads = {}
        for score, number in zip(some, numbers, strict=True):
            key = _key(score)
            if furthest.get(key) is None or instant_order(score.last) >= instant_order(furthest[key]):
                furthest[key] = score.last
                heads[key] = dict(zip(("unit", "model", "asset", "score"), (*key, number), strict=True))
        if heads:
            _put_heads(connection, list(heads.values()))


def unrecorded(connection: sa.Connection, scores: Sequence[ScoreRecord]) -> list[ScoreRecord]:
    """Return the stretches that the ledger does not have, or that another version has been used after.

    Where scoring goes on behind what is scored already, which it mostly does, nothing has to be searched for.
    """
    found = []
    for some in _parts(scores):
        furthest = _furthest(connection, some)
        behind = [
            one
            for one in some
            if _key(one) in furthest and instant_order(one.last) <= instant_order(furthest[_key(one)])
        ]
        known = _known(connection, behind) if behind else {}
        others = _last_of_versions(connection, [one for one in behind if _said(one) in known]) if known else {}
        for one in some:
            number = known.get(_said(one))
            later = max((at for version, at in others.get(_key(one), {}).items() if version != one.version), default=0)
            if number is None or later > number:
                found.append(one)
    return found


def _known(connection: sa.Connection, scores: Sequence[ScoreRecord]) -> dict[tuple[object, ...], int]:
    """Return the newest record that says the same of each, by what it says."""
    table = schema.scores.c
    statement = sa.select(schema.scores).where(
        sa.tuple_(table.unit, table.model, table.asset).in_([_key(one) for one in scores]),
        table.path.in_({one.path for one in scores}),
    )
    rows = connection.execute(statement.order_by(table.id)).mappings()
    return {tuple(row[name] for name in _SAID): row["id"] for row in rows}


def _last_of_versions(connection: sa.Connection, scores: Sequence[ScoreRecord]) -> dict[_Key, dict[int, int]]:
    """Return the newest record of each version, by instance and asset."""
    table = schema.scores.c
    statement = (
        sa.select(table.unit, table.model, table.asset, table.version, sa.func.max(table.id).label("last"))
        .where(sa.tuple_(table.unit, table.model, table.asset).in_([_key(one) for one in scores]))
        .group_by(table.unit, table.model, table.asset, table.version)
    )
    found: dict[_Key, dict[int, int]] = {}
    for row in connection.execute(statement):
        found.setdefault((row.unit, row.model, row.asset), {})[row.version] = row.last
    return found


_COLUMNS = {"start": "window_start", "end": "window_end", "last": "last_instant"}
_SAID = tuple(column.name for column in schema.scores.columns if column.name not in {"id", "at"})


def _row(score: ScoreRecord) -> dict[str, Any]:
    values = asdict(replace(score, at=score.at or now()))
    return {_COLUMNS.get(name, name): value for name, value in values.items()}


def _said(score: ScoreRecord) -> tuple[object, ...]:
    row = _row(score)
    return tuple(row[name] for name in _SAID)


def _key(score: ScoreRecord) -> _Key:
    return score.unit, score.model, score.asset


def _furthest(connection: sa.Connection, scores: Sequence[ScoreRecord]) -> dict[_Key, str | None]:
    """Return the last instant that is scored already, by unit, model and asset."""
    heads = schema.score_heads.c
    statement = (
        sa.select(heads.unit, heads.model, heads.asset, schema.scores.c.last_instant)
        .join(schema.scores, heads.score == schema.scores.c.id)
        .where(sa.tuple_(heads.unit, heads.model, heads.asset).in_([_key(one) for one in scores]))
    )
    return {(row.unit, row.model, row.asset): row.last_instant for row in connection.execute(statement)}


def _put_heads(connection: sa.Connection, rows: Sequence[dict[str, Any]]) -> None:
    dialect: Any = postgresql if connection.dialect.name == "postgresql" else sqlite
    statement = dialect.insert(schema.score_heads)
    changed = {"score": statement.excluded["score"]}
    connection.execute(
        statement.on_conflict_do_update(index_elements=["unit", "model", "asset"], set_=changed), list(rows)
    )


def _parts(scores: Sequence[ScoreRecord]) -> Iterator[Sequence[ScoreRecord]]:
    for start in range(0, len(scores), _AT_ONCE):
        yield scores[start : start + _AT_ONCE]
