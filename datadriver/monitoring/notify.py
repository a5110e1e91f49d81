"""Messages about alarms: one per receiver and run, each alarm told once when it opens and once when it closes.

The ledger's `notices` say who was told of what. They are written when a message was taken, so one that failed goes out
again with the next run, together with what came in between. A process that is killed between the two tells twice;
nothing is told never.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache

import sqlalchemy as sa

from datadriver.config.expressions import Expression, parse
from datadriver.config.fleet import Asset
from datadriver.config.monitor_section import Monitor, Notice
from datadriver.config.resolve import attributes_of, resolve
from datadriver.config.sections import UseCase
from datadriver.errors import ConfigError, UnavailableError
from datadriver.monitoring import messages
from datadriver.monitoring.messages import News
from datadriver.monitoring.receivers import Channel, Receiver
from datadriver.monitoring.rules import terms
from datadriver.monitoring.standing import SEVERITIES
from datadriver.tracking import schema
from datadriver.tracking.ledger import Ledger, upsert
from datadriver.tracking.liveness import now
from datadriver.tracking.monitor_records import Alarm
from datadriver.tracking.monitoring import CheckKey

_REMEMBERED = timedelta(days=7)
"""An alarm that closed before its receiver could be told is still told for so long."""


@dataclass(frozen=True)
class Unsent:
    """A message that did not go out; the next run sends it again.

    Attributes:
        name: its receiver, without secrets: `monitor.notify[0] (mailto)`.
        reason: what went wrong, without secrets.
        alarms: how many alarms it was about.
        exit_code: 5 where the service did not take it, 2 where its URL is wrong.
    """

    name: str
    reason: str
    alarms: int
    exit_code: int


@dataclass(frozen=True)
class Notified:
    """What became of the messages of a run: how many went out, what they told, and those that did not go out."""

    messages: int = 0
    opened: int = 0
    closed: int = 0
    unsent: tuple[Unsent, ...] = ()


def send_notices(ledger: Ledger, usecase: UseCase, assets: Sequence[Asset], *, report: str | None = None) -> Notified:
    """Tell every receiver of `monitor.notify` what it was not told yet.

    Args:
        ledger: alarms, and who knows of them.
        usecase: before overrides; those of an alarm's asset are applied here.
        assets: the fleet.
        report: where the report is, a path or a URL, named in the message.

    Raises:
        MissingExtraError: there is something to tell, and Apprise is not installed.
        UnavailableError: the ledger does not answer. What becomes of the messages is in the result.
    """
    silenced, told, unsent = _silenced(ledger), list[News](), list[Unsent]()
    for receiver, chosen in receivers_of(usecase, assets).items():
        news = _Desk(receiver, chosen, silenced).news(_untold(ledger, receiver))
        if not news:
            continue
        try:
            _send(Channel(receiver), news, usecase, report)
        except (ConfigError, UnavailableError) as error:
            unsent.append(Unsent(receiver.name, error.message, len(news.alarms), error.exit_code))
            continue
        _remember(ledger, receiver, news)
        told.append(news)
    opened, closed = sum(len(news.opened) for news in told), sum(len(news.closed) for news in told)
    return Notified(len(told), opened, closed, tuple(unsent))


def _send(channel: Channel, news: News, usecase: UseCase, report: str | None) -> None:
    title = messages.title(usecase.name, news)
    longest = max(channel.longest - len(title), 0)  # some services put the title into the body
    body = messages.body(news, report=report, zone=usecase.data.timezone, longest=longest)
    failed = channel.send(title, body, severity=news.worst)
    if failed is not None:
        raise UnavailableError(f"{failed}; the message is sent again with the next run")


_Chosen = Mapping[str, tuple[Monitor, Asset]]


def receivers_of(usecase: UseCase, assets: Sequence[Asset]) -> Mapping[Receiver, _Chosen]:
    """Return each receiver once, with the assets that may concern it and how those are monitored."""
    places = {notice.to: f"monitor.notify[{place}]" for place, notice in reversed([*enumerate(usecase.monitor.notify)])}
    found: dict[Receiver, dict[str, tuple[Monitor, Asset]]] = {
        Receiver(url, places[url]): {} for url in dict.fromkeys(notice.to for notice in usecase.monitor.notify)
    }
    for asset in assets:
        monitor = resolve(usecase, asset).monitor
        for url in {notice.to: None for notice in monitor.notify}:
            receiver = Receiver(url, places.get(url, "monitor.notify of an override"))
            found.setdefault(receiver, {})[asset.id] = monitor, asset
    return found


@dataclass(frozen=True)
class _Desk:
    """Decides what of all that a receiver was not told is for it."""

    receiver: Receiver
    chosen: _Chosen
    silenced: frozenset[CheckKey]

    def news(self, untold: Sequence[tuple[Alarm, bool]]) -> News:
        """Choose among alarms; each comes with whether its opening was told: then its end is news in any case."""
        opened, closed = [], []
        for alarm, known in untold:
            if alarm.closed is not None and (known or self._concerns(alarm)):
                closed.append(alarm)
            elif alarm.closed is None and self._concerns(alarm):
                opened.append(alarm)
        return News(tuple(opened), tuple(closed))

    def _concerns(self, alarm: Alarm) -> bool:
        key = CheckKey(alarm.asset, alarm.unit, alarm.model, alarm.check)
        if alarm.asset not in self.chosen or key in self.silenced:
            return False
        monitor, asset = self.chosen[alarm.asset]
        notices = [notice for notice in monitor.notify if notice.to == self.receiver.url]
        wanted = "notify" in terms(monitor, alarm.check).then
        return wanted and any(_selects(notice, alarm, asset) for notice in notices)


def _selects(notice: Notice, alarm: Alarm, asset: Asset) -> bool:
    grave_enough = SEVERITIES.index(alarm.severity) <= SEVERITIES.index(notice.severity)
    return grave_enough and (notice.where is None or _expression(notice.where).matches(attributes_of(asset)))


def selects_asset(monitor: Monitor, asset: Asset, receiver: Receiver) -> bool:
    """Tell whether a receiver looks after an asset, whatever the severity."""
    wheres = [notice.where for notice in monitor.notify if notice.to == receiver.url]
    return any(where is None or _expression(where).matches(attributes_of(asset)) for where in wheres)


@cache
def _expression(text: str) -> Expression:
    return parse(text)


def _silenced(ledger: Ledger) -> frozenset[CheckKey]:
    states = schema.check_states.c
    statement = sa.select(states.asset, states.unit, states.model, states.check).where(states.state == "silenced")
    with ledger.reading() as connection:
        return frozenset(CheckKey(*row) for row in connection.execute(statement))


def _untold(ledger: Ledger, receiver: Receiver) -> list[tuple[Alarm, bool]]:
    """Return alarms with something that the receiver was not told, and whether their opening was.

    What opened and closed in one and the same run is history, seen when a run looks back: nobody could have acted on
    it. An alarm that is open again after its end was told (late data may do that) is told like a new one.
    """
    alarms, since = schema.alarms, (datetime.now(UTC) - _REMEMBERED).isoformat(timespec="microseconds")
    opening, closing = (_told(receiver, event) for event in ("opened", "closed"))
    is_open, recent = alarms.c.closed.is_(None), alarms.c.closed_at >= since
    statement = (
        sa.select(alarms, opening.label("known"))
        .where(
            sa.or_(sa.and_(is_open, sa.or_(~opening, closing)), sa.and_(~is_open, ~closing, sa.or_(opening, recent)))
        )
        .where(sa.or_(is_open, opening, alarms.c.closed_at != alarms.c.at))
        .order_by(alarms.c.id)
    )
    with ledger.reading() as connection:
        rows = [dict(row) for row in connection.execute(statement).mappings()]
    return [(Alarm(**{column.name: row[column.name] for column in alarms.c}), bool(row["known"])) for row in rows]


def _told(receiver: Receiver, event: str) -> sa.Exists:
    notices, alarms = schema.notices.c, schema.alarms.c
    return sa.exists().where(notices.alarm == alarms.id, notices.receiver == receiver.digest, notices.event == event)


def _remember(ledger: Ledger, receiver: Receiver, news: News) -> None:
    at = now()
    told = [(alarm, "opened") for alarm in news.alarms] + [(alarm, "closed") for alarm in news.closed]
    rows = [{"alarm": alarm.id, "receiver": receiver.digest, "event": event, "at": at} for alarm, event in told]
    notices = schema.notices
    again = sa.and_(notices.c.receiver == receiver.digest, notices.c.event == "closed")
    with ledger.writing() as connection:
        for alarm in news.opened:
            connection.execute(notices.delete().where(again, notices.c.alarm == alarm.id))
        upsert(connection, notices, rows, keep=True)
