"""What a message about alarms says: worst first, each with its reason, owner and what to do, of bounded length."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from datadriver.monitoring.facts import Subject
from datadriver.monitoring.fleet_state import is_step
from datadriver.monitoring.standing import SEVERITIES
from datadriver.tracking.monitor_records import Alarm

_LONGEST_REASON = 300
_RANK = {severity: rank for rank, severity in enumerate(SEVERITIES)}


@dataclass(frozen=True)
class News:
    """What one receiver is to be told: alarms that are open, and alarms that closed."""

    opened: tuple[Alarm, ...] = ()
    closed: tuple[Alarm, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.opened or self.closed)

    @property
    def alarms(self) -> tuple[Alarm, ...]:
        """All of them."""
        return self.opened + self.closed

    @property
    def worst(self) -> str | None:
        """Severity of the gravest that is open, None where all that is to be told is good."""
        return min((alarm.severity for alarm in self.opened), key=_rank, default=None)


def title(usecase: str, news: News) -> str:
    """Say how many alarms opened and closed, and how grave the open ones are."""
    parts = []
    if news.opened:
        counts = Counter(alarm.severity for alarm in news.opened)
        grave = ", ".join(f"{counts[name]:,} {name}" for name in sorted(counts, key=_rank))
        parts.append(f"{_count(news.opened, 'new')} ({grave})")
    if news.closed:
        parts.append(f"{len(news.closed):,} closed" if news.opened else _count(news.closed, "closed"))
    return f"{usecase}: {', '.join(parts)}"


def body(news: News, *, report: str | None, zone: str, longest: int) -> str:
    """Write the message; what does not fit into `longest` characters is counted by check, and is in the report.

    Args:
        news: what to tell.
        report: path or URL of the report.
        zone: times are written in this time zone.
        longest: of the result, in characters.
    """
    foot = f"Report: {report}" if report else "More: datadriver status"
    chosen: list[str] = []
    alarms, blocks = _worst_first(news), []
    for place, alarm in enumerate(alarms):
        chosen.append(_block(alarm, zone))
        blocks = [*chosen, *_rest(alarms[place + 1 :]), foot]
        if len(_joined(blocks)) > longest:
            chosen.pop()
            return _joined([*chosen, *_rest(alarms[place:]), foot])[:longest]
    return _joined(blocks)


def _worst_first(news: News) -> list[Alarm]:
    def order(alarm: Alarm) -> tuple[bool, int, str, str, str]:
        return alarm.closed is not None, _rank(alarm.severity), alarm.asset, alarm.model, alarm.check

    return sorted(news.alarms, key=order)


def _block(alarm: Alarm, zone: str) -> str:
    """Write one alarm in a few lines.

    >>> print(_block(Alarm(1, "P-1", "", "", "freshness", "critical", "300", "no data", owner="Ada"), "UTC"))
    [critical] P-1: freshness
    no data
    Since step 300. Owner: Ada.
    """
    state = alarm.severity if alarm.closed is None else f"closed, was {alarm.severity}"
    reason = alarm.reason if alarm.closed is None else (alarm.close_reason or alarm.reason)
    lines = [f"[{state}] {Subject(alarm.asset, alarm.unit, alarm.model)}: {alarm.check}", _short(reason)]
    return "\n".join([*filter(None, lines), " ".join(_circumstances(alarm, zone))])


def _circumstances(alarm: Alarm, zone: str) -> Iterator[str]:
    since = _instant(alarm.opened, zone)
    yield f"Since {since}." if alarm.closed is None else f"From {since} to {_instant(alarm.closed, zone)}."
    if alarm.owner:
        yield f"Owner: {alarm.owner}."
    if alarm.runbook and alarm.closed is None:
        yield f"What to do: {alarm.runbook}"


def _rest(alarms: Sequence[Alarm]) -> list[str]:
    """Count what is not shown."""
    if not alarms:
        return []
    counts = Counter(alarm.check + ("" if alarm.closed is None else " closed") for alarm in alarms)
    listed = ", ".join(f"{count:,} {name}" for name, count in counts.most_common())
    return [f"and {len(alarms):,} more: {listed}"]


def _joined(blocks: Sequence[str]) -> str:
    return "\n\n".join(blocks)


def _count(alarms: Sequence[Alarm], what: str) -> str:
    return f"{len(alarms):,} {what} alarm" + ("" if len(alarms) == 1 else "s")


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST_REASON else f"{line[: _LONGEST_REASON - 1]}…"


def _instant(text: str, zone: str) -> str:
    if is_step(text):
        return f"step {text}"
    return datetime.fromisoformat(text).astimezone(ZoneInfo(zone)).strftime("%Y-%m-%d %H:%M %Z")


def _rank(severity: str) -> int:
    return _RANK.get(severity, len(_RANK))
