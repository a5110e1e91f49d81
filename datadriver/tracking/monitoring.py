"""Monitoring in the ledger: how checks stand, alarms, and requests to train again."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import sqlalchemy as sa

from datadriver.tracking import schema
from datadriver.tracking.ledger import Ledger, upsert
from datadriver.tracking.liveness import now
from datadriver.tracking.monitor_records import Alarm, CheckState, RetrainRequest
from datadriver.tracking.records import Key, instant_order, plain

_CHUNK = 500


class CheckKey(NamedTuple):
    """What names a check in the ledger; `unit` and `model` are empty for checks of data."""

    asset: str
    unit: str
    model: str
    check: str


@dataclass(frozen=True)
class MonitorResult:
    """What was found out about some assets; recorded all or nothing.

    Attributes:
        batch: that looked.
        looked: ids of the assets.
        states: newest state of checks.
        alarms: alarms of these windows, those that were open before them included. One that the ledger knows (same
            check, same `opened`) keeps its words and gets the end that is said here, or none.
        judged_again: checks whose windows from an instant on were judged anew: alarms that opened after it, and are not
            among `alarms`, are withdrawn.
        retired: checks that are not made any more, and why: their alarms close, their states go.
        requests: to train again.
    """

    batch: str
    looked: Sequence[str] = ()
    states: Sequence[CheckState] = ()
    alarms: Sequence[Alarm] = ()
    judged_again: Mapping[CheckKey, str] = field(default_factory=dict)
    retired: Mapping[CheckKey, str] = field(default_factory=dict)
    requests: Sequence[RetrainRequest] = ()


@dataclass(frozen=True)
class Recorded:
    """What was new to the ledger: alarms that opened, and alarms that closed (some of them in the same breath)."""

    opened: tuple[Alarm, ...] = ()
    closed: tuple[Alarm, ...] = ()
    requests: tuple[RetrainRequest, ...] = ()


def record_monitoring(ledger: Ledger, result: MonitorResult) -> Recorded:
    """Record states, alarms and requests in one transaction; the same again changes nothing."""
    at = now()
    with ledger.writing() as connection:
        _put(connection, schema.monitored, _looks(connection, result, at))
        book = _AlarmBook(connection, at)
        for alarm in result.alarms:
            book.put(alarm)
        for key, since in result.judged_again.items():
            book.withdraw(key, since, known={alarm.opened for alarm in result.alarms if _key_of(alarm) == key})
        for key, reason in result.retired.items():
            book.retire(key, reason)
            connection.execute(schema.check_states.delete().where(*_is(schema.check_states, key)))
        _put(connection, schema.check_states, [_stamped(one, at) for one in result.states])
        asked = tuple(one for one in result.requests if not _is_asked(connection, one))
        _put(connection, schema.retrain_requests, [_stamped(one, at) for one in asked], keep=True)
    return Recorded(tuple(book.opened), tuple(book.closed), tuple(replace(one, at=at) for one in asked))


class _AlarmBook:
    """The table of alarms within one transaction, and what changed in it."""

    def __init__(self, connection: sa.Connection, at: str) -> None:
        self._connection, self._at = connection, at
        self.opened: list[Alarm] = []
        self.closed: list[Alarm] = []

    def put(self, alarm: Alarm) -> None:
        """Open an alarm, or give a known one the end that it has now."""
        known = next((one for one in self._of(_key_of(alarm)) if one.opened == alarm.opened), None)
        if known is None:
            values = {**plain(alarm), "at": self._at, "closed_at": self._at if alarm.closed else None}
            del values["id"]
            table = schema.alarms
            number = self._connection.execute(table.insert().values(values).returning(table.c.id)).scalar_one()
            made = Alarm(**{**values, "id": number})
            self.opened.append(made)
            self.closed += [made] if made.closed else []
        elif (known.closed, known.close_reason) != (alarm.closed, alarm.close_reason):
            self._end(known, alarm.closed, alarm.close_reason)

    def withdraw(self, key: CheckKey, since: str, *, known: Collection[str]) -> None:
        """Close alarms that opened after an instant, but for some: looked at again, there is no reason for them."""
        for alarm in self._of(key):
            if instant_order(alarm.opened) > instant_order(since) and alarm.opened not in known:
                reason = "withdrawn: judged again, its windows make no alarm"
                if alarm.close_reason != reason:
                    self._end(alarm, alarm.opened, reason)

    def retire(self, key: CheckKey, reason: str) -> None:
        """Close the open alarm of a check that is not made any more, in the newest window that was judged."""
        table = schema.check_states
        newest = self._connection.execute(sa.select(table.c.window_end).where(*_is(table, key))).scalar()
        for alarm in self._of(key):
            if alarm.closed is None:
                self._end(alarm, newest or alarm.opened, reason)

    def _of(self, key: CheckKey) -> tuple[Alarm, ...]:
        statement = sa.select(schema.alarms).where(*_is(schema.alarms, key))
        return tuple(Alarm(**row) for row in self._connection.execute(statement).mappings())

    def _end(self, alarm: Alarm, closed: str | None, reason: str) -> None:
        table = schema.alarms
        ended = replace(alarm, closed=closed, close_reason=reason, closed_at=self._at if closed else None)
        self._connection.execute(
            table.update()
            .where(table.c.id == alarm.id)
            .values(closed=ended.closed, close_reason=ended.close_reason, closed_at=ended.closed_at)
        )
        (self.closed if closed else self.opened).append(ended)


def _key_of(record: Alarm | CheckState) -> CheckKey:
    return CheckKey(record.asset, record.unit, record.model, record.check)


def _is(table: sa.Table, key: CheckKey) -> list[sa.ColumnElement[bool]]:
    return [table.c[name] == value for name, value in key._asdict().items()]


def _is_asked(connection: sa.Connection, request: RetrainRequest) -> bool:
    table = schema.retrain_requests
    same = [table.c[column.name] == getattr(request, column.name) for column in table.primary_key]
    return connection.execute(sa.select(sa.literal(1)).where(*same)).scalar() is not None


def check_states(ledger: Ledger, *, assets: Collection[str] | None = None) -> Mapping[CheckKey, CheckState]:
    """Newest state of every check."""
    found = _of_assets(ledger, schema.check_states, assets)
    return {CheckKey(row["asset"], row["unit"], row["model"], row["check"]): CheckState(**row) for row in found}


def check_keys(ledger: Ledger) -> tuple[CheckKey, ...]:
    """Every check that has a state."""
    table = schema.check_states.c
    found = _rows(ledger, sa.select(table.asset, table.unit, table.model, table.check))
    return tuple(CheckKey(**row) for row in found)


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


def _looks(connection: sa.Connection, result: MonitorResult, at: str) -> list[dict[str, Any]]:
    table = schema.monitored.c
    first: dict[str, str] = {}
    for start in range(0, len(result.looked), _CHUNK):
        known = sa.select(table.asset, table.first_at).where(table.asset.in_(result.looked[start : start + _CHUNK]))
        first |= {row.asset: row.first_at for row in connection.execute(known)}
    return [
        {"asset": asset, "batch": result.batch, "first_at": first.get(asset, at), "at": at} for asset in result.looked
    ]


def _stamped(record: Any, at: str) -> dict[str, Any]:
    values: dict[str, Any] = plain(replace(record, at=record.at or at))
    return values


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
