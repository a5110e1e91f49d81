"""Messages about tasks of the scheduler that failed: each task told once when it fails and once when it works again.

As for alarms, the ledger says who was told of what, and only once a message was taken: one that failed goes out later.
When a whole fleet fails at once, as many processes want to tell: one of them does, and after a while another one tells
the rest.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import sqlalchemy as sa

from datadriver.config.fleet import Asset
from datadriver.config.sections import UseCase
from datadriver.errors import ConfigError, UnavailableError
from datadriver.monitoring.notify import Notified, Unsent, receivers_of, selects_asset
from datadriver.monitoring.receivers import Channel, Receiver
from datadriver.tracking import schema
from datadriver.tracking.ledger import Ledger, insert, upsert
from datadriver.tracking.liveness import now
from datadriver.tracking.task_failures import TaskFailure, TaskKey, failure_of

PAUSE = timedelta(minutes=5)
"""Between two messages about failures to one receiver."""

_LONGEST_REASON = 300


@dataclass(frozen=True)
class FailureNews:
    """What one receiver is to be told: tasks that fail, and tasks that work again; `quiet` counts as told, too."""

    failed: tuple[TaskFailure, ...] = ()
    works: tuple[TaskFailure, ...] = ()
    quiet: tuple[tuple[TaskFailure, str], ...] = field(default=(), repr=False)

    def __bool__(self) -> bool:
        return bool(self.failed or self.works)


def send_failures(ledger: Ledger, usecase: UseCase, assets: Sequence[Asset]) -> Notified:
    """Tell every receiver of `monitor.notify` of failed tasks, unless it got such a message a moment ago.

    Args:
        ledger: failures, and who knows of them.
        usecase: before overrides; those of an asset are applied here.
        assets: the fleet; without them, every receiver is told of everything.

    Raises:
        MissingExtraError: there is something to tell, and Apprise is not installed.
        UnavailableError: the ledger does not answer. What becomes of the messages is in the result.
    """
    told, unsent = list[FailureNews](), list[Unsent]()
    for receiver, chosen in receivers_of(usecase, assets).items():
        concerned = {asset for asset, (monitor, one) in chosen.items() if selects_asset(monitor, one, receiver)}
        news = _news(_untold(ledger, receiver), concerned, fleet={asset.id for asset in assets})
        if not news or not _takes_turn(ledger, receiver):
            continue
        try:
            _send(Channel(receiver), news, usecase.name)
        except (ConfigError, UnavailableError) as error:
            unsent.append(Unsent(receiver.name, error.message, len(news.failed) + len(news.works), error.exit_code))
            continue
        _remember(ledger, receiver, news)
        told.append(news)
    failed, works = sum(len(one.failed) for one in told), sum(len(one.works) for one in told)
    return Notified(len(told), failed, works, tuple(unsent))


def title(usecase: str, news: FailureNews) -> str:
    """Say how many tasks fail and how many work again."""
    parts = [f"{_tasks(news.failed)} failed"] if news.failed else []
    parts += [f"{_tasks(news.works)} work{'s' * (len(news.works) == 1)} again"] if news.works else []
    return f"{usecase}: {', '.join(parts)}"


def body(news: FailureNews, *, longest: int) -> str:
    """Write the message; what does not fit into `longest` characters is counted."""
    blocks = [_block(one) for one in news.failed] + [f"{_name(one)} works again." for one in news.works]
    everything, foot = [*news.failed, *news.works], "More: datadriver failures"
    for shown in range(len(blocks), -1, -1):
        text = "\n\n".join([*blocks[:shown], *_rest(everything[shown:]), foot])
        if len(text) <= longest:
            return text
    return foot[:longest]


def _send(channel: Channel, news: FailureNews, usecase: str) -> None:
    head = title(usecase, news)
    failed = channel.send(
        head, body(news, longest=max(channel.longest - len(head), 0)), severity="critical" if news.failed else None
    )
    if failed is not None:
        raise UnavailableError(f"{failed}; the message is sent again later")


def _news(untold: Sequence[tuple[str, TaskFailure]], concerned: set[str], *, fleet: set[str]) -> FailureNews:
    """Choose what is for a receiver: of each task one message, however often it failed.

    Args:
        untold: failures and how far the receiver knows of them: `told`, `new` or `over` (told, and closed since).
        concerned: assets that the receiver looks after.
        fleet: assets that are known; a failure that is about none of them concerns everybody.
    """
    tasks: dict[TaskKey, list[tuple[TaskFailure, str]]] = {}
    for state, failure in untold:
        if concerned & {*failure.assets} or not fleet & {*failure.assets}:
            tasks.setdefault(failure.key, []).append((failure, state))
    failed, works, quiet = list[TaskFailure](), list[TaskFailure](), list[tuple[TaskFailure, str]]()
    for found in tasks.values():
        new, over = ([one for one, state in found if state == name] for name in ("new", "over"))
        stands = any(state in {"new", "told"} for _, state in found)
        if new and not over and not any(state == "told" for _, state in found):
            failed.append(new[-1])
        if over and not stands:
            works.append(over[-1])
        quiet += [(one, "opened") for one in new] + [(one, "closed") for one in over]
    return FailureNews(tuple(failed), tuple(works), tuple(quiet))


def _untold(ledger: Ledger, receiver: Receiver) -> list[tuple[str, TaskFailure]]:
    table = schema.task_failures
    opening, closing = (_told(receiver, event) for event in ("opened", "closed"))
    stands = table.c.closed_at.is_(None)
    statement = (
        sa.select(table, opening.label("known")).where(sa.or_(stands, sa.and_(opening, ~closing))).order_by(table.c.id)
    )
    with ledger.reading() as connection:
        rows = [dict(row) for row in connection.execute(statement).mappings()]
    return [(_state(row.pop("known"), row["closed_at"]), failure_of(row)) for row in rows]


def _state(known: bool, closed_at: str | None) -> str:
    return "over" if closed_at is not None else "told" if known else "new"


def _told(receiver: Receiver, event: str) -> sa.Exists:
    notices, failures = schema.failure_notices.c, schema.task_failures.c
    return sa.exists().where(
        notices.failure == failures.id, notices.receiver == receiver.digest, notices.event == event
    )


def _takes_turn(ledger: Ledger, receiver: Receiver) -> bool:
    """Whether this process is the one to tell; of several at once it is one, and after it nobody for a while."""
    table = schema.message_turns
    with ledger.writing() as connection:
        statement = insert(connection, table).values(receiver=receiver.digest, at=now())
        free = statement.on_conflict_do_update(
            index_elements=["receiver"], set_={"at": statement.excluded.at}, where=table.c.at < now(-PAUSE)
        )
        return connection.execute(free.returning(table.c.receiver)).first() is not None


def _remember(ledger: Ledger, receiver: Receiver, news: FailureNews) -> None:
    at = now()
    rows = [{"failure": one.number, "receiver": receiver.digest, "event": event, "at": at} for one, event in news.quiet]
    with ledger.writing() as connection:
        upsert(connection, schema.failure_notices, rows, keep=True)


def _block(failure: TaskFailure) -> str:
    code = "" if failure.exit_code is None else f" Exit code {failure.exit_code}."
    owner = f" Owner: {failure.owner}." if failure.owner else ""
    lines = [f"[failed] {_name(failure)}", _short(failure.reason), f"At {failure.at[:16]}Z.{code}{owner}"]
    return "\n".join([*lines, *([f"Log: {failure.url}"] if failure.url else [])])


def _name(failure: TaskFailure) -> str:
    return f"{failure.work} of {failure.subject}"


def _rest(failures: Sequence[TaskFailure]) -> list[str]:
    counts: Mapping[str, int] = Counter(one.work for one in failures)
    return (
        [f"and {len(failures):,} more: " + ", ".join(f"{n:,} {work}" for work, n in counts.items())] if counts else []
    )


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST_REASON else f"{line[: _LONGEST_REASON - 1]}…"


def _tasks(failures: Sequence[TaskFailure]) -> str:
    return f"{len(failures):,} task" + ("" if len(failures) == 1 else "s")
