"""Questions to the ledger: each one statement, answers as frozen dataclasses."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import sqlalchemy as sa

from datadriver.tracking import schema
from datadriver.tracking.ledger import Ledger
from datadriver.tracking.liveness import is_alive
from datadriver.tracking.names import registered_number
from datadriver.tracking.records import (
    Batch,
    Key,
    Outcome,
    Release,
    ReleaseItem,
    ScoreRecord,
    VerdictRecord,
    Version,
)


@dataclass(frozen=True)
class Standing:
    """What the newest release says of an instance; `version` is None if it left the instance without a champion."""

    version: int | None
    release: int
    at: str


def champions(ledger: Ledger, *, units: Collection[str] | None = None) -> Mapping[Key, Version]:
    """Champion version of every instance that has one, or of those of a few units."""
    view, table = schema.champions.c, schema.versions.c
    same = sa.and_(view.unit == table.unit, view.model == table.model, view.version == table.version)
    statement = sa.select(schema.versions).join(schema.champions, same)
    rows = _rows(ledger, statement if units is None else statement.where(view.unit.in_(units)))
    return {version.key: version for version in map(_version, rows)}


def standings(ledger: Ledger) -> dict[Key, Standing]:
    """What the newest release says of every instance that was ever released."""
    view, header = schema.champions.c, schema.releases.c
    statement = sa.select(view.unit, view.model, view.version, view.release, header.at).join(
        schema.releases, header.id == view.release
    )
    return {
        Key(row["unit"], row["model"]): Standing(row["version"], row["release"], row["at"])
        for row in _rows(ledger, statement)
    }


def promotions(ledger: Ledger) -> dict[Key, list[Standing]]:
    """Promotions of every instance, oldest first, without those that were rolled back: the last is the champion's."""
    header, item = schema.releases.c, schema.release_items.c
    statement = (
        sa.select(item.unit, item.model, item.version, item.release, header.at, header.action)
        .join(schema.releases, header.id == item.release)
        .order_by(header.id)
    )
    found: dict[Key, list[Standing]] = {}
    for row in _rows(ledger, statement):
        past = found.setdefault(Key(row["unit"], row["model"]), [])
        if row["action"] == "promote":
            past.append(Standing(row["version"], row["release"], row["at"]))
        elif past:
            past.pop()
    return found


def latest_versions(ledger: Ledger) -> Mapping[Key, Version]:
    """Newest version of every instance: the champion or a challenger."""
    table = schema.versions.c
    newest = sa.select(table.unit, table.model, sa.func.max(table.version).label("version"))
    newest_of = newest.group_by(table.unit, table.model).subquery()
    same = sa.and_(*(table[name] == newest_of.c[name] for name in ("unit", "model", "version")))
    rows = _rows(ledger, sa.select(schema.versions).join(newest_of, same))
    return {version.key: version for version in map(_version, rows)}


def versions(ledger: Ledger, key: Key) -> tuple[Version, ...]:
    """All versions of one instance, oldest first."""
    table = schema.versions.c
    of_key = sa.select(schema.versions).where(table.unit == key.unit, table.model == key.model)
    return tuple(_version(row) for row in _rows(ledger, of_key.order_by(table.version)))


def registered_numbers(ledger: Ledger) -> Mapping[tuple[Key, int], int]:
    """MLflow's numbers of the versions that have another one there, because it was taken."""
    table = schema.versions.c
    uri = sa.literal("models:/%/")
    found = _rows(
        ledger,
        sa.select(table.unit, table.model, table.version, table.model_uri).where(
            table.model_uri.not_like(uri.concat(sa.cast(table.version, sa.Text)))
        ),
    )
    return {(Key(row["unit"], row["model"]), row["version"]): registered_number(row["model_uri"]) for row in found}


def versions_of_results(ledger: Ledger, results: Collection[tuple[Key, str]]) -> dict[tuple[Key, str], Version]:
    """The versions that earlier runs made of exactly these inputs, by instance and result key."""
    table = schema.versions.c
    units, keys = {key.unit for key, _ in results}, {result_key for _, result_key in results}
    rows = _rows(ledger, sa.select(schema.versions).where(table.unit.in_(units), table.result_key.in_(keys)))
    found = {(version.key, version.result_key): version for version in map(_version, rows)}
    return {wanted: found[wanted] for wanted in results if wanted in found}


def last_outcomes(
    ledger: Ledger, *, fingerprinted: bool = False, keys: Collection[Key] | None = None
) -> Mapping[Key, Outcome]:
    """Newest outcome of every instance, or of a few; `fingerprinted`: the newest that carries a due fingerprint."""
    table = schema.outcomes.c
    newest = sa.select(sa.func.max(table.id)).group_by(table.unit, table.model)
    if keys is not None:
        newest = newest.where(sa.tuple_(table.unit, table.model).in_([tuple(key) for key in keys]))
    if fingerprinted:
        newest = newest.where(table.fingerprint.is_not(None))
    rows = _rows(ledger, sa.select(schema.outcomes).where(table.id.in_(newest)))
    return {outcome.key: outcome for outcome in map(_outcome, rows)}


def tries(ledger: Ledger, exit_code: int) -> Mapping[Key, int]:
    """How often each instance failed with this exit code and the due fingerprint of its newest outcome."""
    table, other = schema.outcomes.c, schema.outcomes.alias("other")
    newest = sa.select(sa.func.max(table.id)).group_by(table.unit, table.model)
    same = sa.and_(
        other.c.unit == table.unit,
        other.c.model == table.model,
        other.c.fingerprint == table.fingerprint,
        other.c.state == "failed",
        other.c.exit_code == exit_code,
    )
    statement = (
        sa.select(table.unit, table.model, sa.func.count().label("count"))
        .select_from(schema.outcomes.join(other, same))
        .where(table.id.in_(newest), table.state == "failed", table.exit_code == exit_code)
        .group_by(table.unit, table.model)
    )
    return {Key(row["unit"], row["model"]): row["count"] for row in _rows(ledger, statement)}


def outcomes(ledger: Ledger, batch: str) -> tuple[Outcome, ...]:
    """Outcomes of one batch, in the order in which they were recorded."""
    table = schema.outcomes.c
    rows = _rows(ledger, sa.select(schema.outcomes).where(table.batch == batch).order_by(table.id))
    return tuple(map(_outcome, rows))


def last_verdicts(ledger: Ledger, stage: str | None = None) -> Mapping[tuple[str, str], VerdictRecord]:
    """Newest verdict by (asset, stage)."""
    table = schema.verdicts.c
    newest = sa.select(sa.func.max(table.id)).group_by(table.asset, table.stage)
    if stage is not None:
        newest = newest.where(table.stage == stage)
    rows = _rows(ledger, sa.select(schema.verdicts).where(table.id.in_(newest)))
    return {(row["asset"], row["stage"]): _verdict(row) for row in rows}


def last_scores(ledger: Ledger) -> Mapping[tuple[Key, str], ScoreRecord]:
    """The scored stretch that reaches furthest, by (instance, asset)."""
    table, heads = schema.scores.c, schema.score_heads.c
    rows = _rows(ledger, sa.select(schema.scores).join(schema.score_heads, heads.score == table.id))
    return {(score.key, score.asset): score for score in map(_score, rows)}


def scores(ledger: Ledger, key: Key, asset: str) -> tuple[ScoreRecord, ...]:
    """Everything that was scored of one asset, in the order of writing: where stretches overlap, the later counts."""
    table = schema.scores.c
    chosen = sa.select(schema.scores).where(table.unit == key.unit, table.model == key.model, table.asset == asset)
    return tuple(map(_score, _rows(ledger, chosen.order_by(table.id))))


def batches(ledger: Ledger, *, limit: int = 20) -> tuple[Batch, ...]:
    """Batches, newest first."""
    rows = _rows(ledger, sa.select(schema.batches).order_by(schema.batches.c.started_at.desc()).limit(limit))
    return tuple(Batch(**row) for row in rows)


def dead_batches(ledger: Ledger) -> frozenset[str]:
    """Ids of batches that were killed (`Ledger.start_batch` finds them) or broke off: both may leave things behind."""
    rows = _rows(ledger, sa.select(schema.batches.c.id).where(schema.batches.c.state.in_(("killed", "failed"))))
    return frozenset(row["id"] for row in rows)


def abandoned(ledger: Ledger, *commands: str) -> frozenset[str]:
    """Ids of batches of these commands that were killed, and after which nobody has cleared up (`Ledger.bury`)."""
    columns = schema.batches.c
    unfinished = sa.select(schema.batches).where(
        columns.command.in_(commands), columns.state.in_(("running", "killed")), columns.finished_at.is_(None)
    )
    found = (Batch(**row) for row in _rows(ledger, unfinished))
    return frozenset(
        one.id
        for one in found
        if one.state == "killed" or not is_alive(one.host, one.pid, one.started_at, one.alive_at)
    )


def releases(ledger: Ledger, *, limit: int | None = None) -> tuple[Release, ...]:
    """Releases with their items, newest first."""
    header, item = schema.releases.c, schema.release_items.c
    chosen = sa.select(header.id).order_by(header.id.desc()).limit(limit).subquery()
    statement = (
        sa.select(schema.releases, item.unit, item.model, item.version, item.previous_version)
        .join(schema.release_items, item.release == header.id)
        .where(header.id.in_(sa.select(chosen.c.id)))
        .order_by(header.id.desc(), item.unit, item.model)
    )
    return tuple(_release(list(rows)) for _, rows in groupby(_rows(ledger, statement), key=lambda row: row["id"]))


def _rows(ledger: Ledger, statement: sa.Select[Any]) -> list[dict[str, Any]]:
    with ledger.reading() as connection:
        return [dict(row) for row in connection.execute(statement).mappings()]


def _version(row: dict[str, Any]) -> Version:
    return Version(**row)


def _outcome(row: dict[str, Any]) -> Outcome:
    return Outcome(**{name: value for name, value in row.items() if name != "id"})


def _verdict(row: dict[str, Any]) -> VerdictRecord:
    values = {name: value for name, value in row.items() if name != "id"}
    return VerdictRecord(**{**values, "checks": tuple(values["checks"])})


def _score(row: dict[str, Any]) -> ScoreRecord:
    names = {"window_start": "start", "window_end": "end", "last_instant": "last"}
    return ScoreRecord(**{names.get(name, name): value for name, value in row.items() if name != "id"})


def _release(rows: list[dict[str, Any]]) -> Release:
    first = rows[0]
    items = tuple(ReleaseItem(row["unit"], row["model"], row["version"], row["previous_version"]) for row in rows)
    return Release(first["id"], first["at"], first["by"], first["action"], first["reason"], first["batch"], items)
