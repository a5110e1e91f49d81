"""Monitoring in the ledger: what was looked at, how checks stand, alarms, and requests to train again."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import sqlalchemy as sa

from datadriver.tracking import schema
from datadriver.tracking.ledger import Ledger, upsert
from datadriver.tracking.liveness import now
from datadriver.tracking.monitor_records import Alarm, CheckState, Monitored, RetrainRequest
from datadriver.tracking.records import Key, instant_order, plain

_CHUNK = 500


class CheckKey(NamedTuple):
    """What names a check in the ledger; `unit` and `model` are empty for checks of data."""

    asset: str
    unit: str
    model: str
    check: str


@dataclass(frozen=True)
class Closing:
    """An open alarm that closes: in which window, and why."""

    key: CheckKey
    closed: str
    reason: str


@dataclass(frozen=True)
class MonitorResult:
    """What was found out about some assets; recorded all or nothing.

    `opened` may name alarms that are known already (same check and window): they are left as they are.
    """

    monitored: Sequence[Monitored] = ()
    states: Sequence[CheckState] = ()
    opened: Sequence[Alarm] = ()
    closed: Sequence[Closing] = ()
    requests: Sequence[RetrainRequest] = ()


def record_monitoring(ledger: Ledger, result: MonitorResult) -> None:
    """Record windows, states, alarms and requests in one transaction; the same again changes nothing."""
    at = now()
    with ledger.writing() as connection:
        _put(connection, schema.monitored, [_stamped(one, at) for one in result.monitored])
        _put(connection, schema.check_states, [_stamped(one, at) for one in result.states])
        _put(connection, schema.alarms, [_new_alarm(one, at) for one in result.opened], keep=True)
        for closing in result.closed:
            connection.execute(
                schema.alarms.update()
                .where(*(schema.alarms.c[name] == value for name, value in closing.key._asdict().items()))
                .where(schema.alarms.c.closed.is_(None))
                .values(closed=closing.closed, close_reason=closing.reason, closed_at=at)
            )
        _put(connection, schema.retrain_requests, [_stamped(one, at) for one in result.requests], keep=True)


def check_states(ledger: Ledger, *, assets: Collection[str] | None = None) -> Mapping[CheckKey, CheckState]:
    """Newest state of every check."""
    found = _of_assets(ledger, schema.check_states, assets)
    return {CheckKey(row["asset"], row["unit"], row["model"], row["check"]): CheckState(**row) for row in found}


def monitored(ledger: Ledger, *, assets: Collection[str] | None = None) -> tuple[Monitored, ...]:
    """Windows that were looked at."""
    return tuple(Monitored(**row) for row in _of_assets(ledger, schema.monitored, assets))


def newest_windows(ledger: Ledger) -> Mapping[str, str]:
    """End of the newest window that was looked at, by asset."""
    table = schema.check_states.c
    found = _rows(ledger, sa.select(table.asset, table.window_end))
    newest: dict[str, str] = {}
    for row in found:
        newest[row["asset"]] = max(newest.get(row["asset"], row["window_end"]), row["window_end"], key=instant_order)
    return newest


def alarms(ledger: Ledger, *, assets: Collection[str] | None = None, only_open: bool = False) -> tuple[Alarm, ...]:
    """Alarms in the order in which they were found."""
    table = schema.alarms
    statement = sa.select(table).order_by(table.c.id)
    if only_open:
        statement = statement.where(table.c.closed.is_(None))
    wanted = None if assets is None else set(assets)
    return tuple(Alarm(**row) for row in _rows(ledger, statement) if wanted is None or row["asset"] in wanted)


def open_requests(ledger: Ledger) -> Mapping[Key, tuple[RetrainRequest, ...]]:
    """Requests to train again that no outcome has answered yet, oldest first."""
    request, outcome = schema.retrain_requests, schema.outcomes
    answered = sa.exists().where(
        outcome.c.unit == request.c.unit, outcome.c.model == request.c.model, outcome.c.at > request.c.at
    )
    found: dict[Key, tuple[RetrainRequest, ...]] = {}
    for row in _rows(ledger, sa.select(request).where(~answered).order_by(request.c.at, request.c.asset)):
        asked = RetrainRequest(**row)
        found[asked.key] = (*found.get(asked.key, ()), asked)
    return found


def _stamped(record: Any, at: str) -> dict[str, Any]:
    values: dict[str, Any] = plain(replace(record, at=record.at or at))
    return values


def _new_alarm(alarm: Alarm, at: str) -> dict[str, Any]:
    return {name: value for name, value in _stamped(alarm, at).items() if name != "id"}


def _put(connection: sa.Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]], *, keep: bool = False) -> None:
    """Insert rows; of those that are there already, keep the old or take the new."""
    for start in range(0, len(rows), _CHUNK):
        upsert(connection, table, rows[start : start + _CHUNK], keep=keep)


def _of_assets(ledger: Ledger, table: sa.Table, assets: Collection[str] | None) -> list[dict[str, Any]]:
    if assets is None:
        return _rows(ledger, sa.select(table))
    names, found = sorted(assets), []
    for start in range(0, len(names), _CHUNK):
        found += _rows(ledger, sa.select(table).where(table.c.asset.in_(names[start : start + _CHUNK])))
    return found


def _rows(ledger: Ledger, statement: sa.Select[Any]) -> list[dict[str, Any]]:
    with ledger.reading() as connection:
        return [dict(row) for row in connection.execute(statement).mappings()]
