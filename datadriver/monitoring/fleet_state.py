"""How the fleet stands, read from the ledger in a few narrow statements: what metrics are made of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

import sqlalchemy as sa

from datadriver.monitoring.standing import state_of
from datadriver.tracking import schema
from datadriver.tracking.ledger import Ledger
from datadriver.tracking.monitor_records import CheckState, Health
from datadriver.tracking.monitoring import open_requests
from datadriver.tracking.records import instant_order

K = TypeVar("K")
_LONG = ("reason", "recent", "owner", "runbook")  # what nobody counts


@dataclass(frozen=True)
class FleetState:
    """How the fleet stands at one moment.

    Attributes:
        fleet: ids of all its assets.
        checks: newest state of every check of these assets, without its words.
        alarms: how many are open, by severity and check.
        runs: when each command last ended well, as Unix time.
        broken: whether the newest run of each command broke off or was killed.
        requests: how many instances are asked to be trained again.
    """

    fleet: frozenset[str]
    checks: tuple[CheckState, ...]
    alarms: Mapping[tuple[str, str], int]
    runs: Mapping[str, float]
    broken: Mapping[str, bool]
    requests: int

    def assets(self) -> Mapping[str, int]:
        """How many assets are in each state, by the rule of the report; one that was never looked at is `unknown`."""
        found = _standing((row.asset, row) for row in self.checks)
        return Counter(found.get(asset, "unknown") for asset in self.fleet)

    def instances(self) -> Mapping[str, int]:
        """How many monitored instances are in each state, by the same rule and their own checks."""
        return Counter(_standing((row.key, row) for row in self.checks if row.key is not None).values())

    def counts(self) -> Mapping[tuple[str, str], int]:
        """How many checks are in each state, by name and state."""
        return Counter((row.check, row.state) for row in self.checks)

    def newest_window(self) -> str | None:
        """End of the newest window that was judged."""
        return max((row.window_end for row in self.checks), key=instant_order, default=None)

    def newest_reading(self) -> float | None:
        """Unix time or step of the newest reading before a judged window's end; clocks in the future do not count."""
        fresh = [(row.window_end, row.value) for row in self.checks if row.check == "freshness"]
        read = (instant_number(end) - age for end, age in fresh if age is not None and age >= 0)
        return max(read, default=None)


def read_fleet_state(ledger: Ledger, assets: Collection[str]) -> FleetState:
    """Read how the fleet of these assets stands; what left it does not count."""
    fleet = frozenset(assets)
    states, alarms, batches = schema.check_states.c, schema.alarms.c, schema.batches.c
    newest = sa.func.max(batches.finished_at), sa.func.max(batches.started_at)
    columns = [column for column in states if column.name not in _LONG]
    names = [column.name for column in columns]
    with ledger.reading() as connection:
        found = connection.execute(sa.select(*columns)).all()
        opened = connection.execute(
            sa.select(alarms.severity, alarms.check, alarms.asset).where(alarms.closed.is_(None))
        ).all()
        ended = connection.execute(
            sa.select(batches.command, batches.state, *newest)
            .where(batches.state != "running")
            .group_by(batches.command, batches.state)
        ).all()
    return FleetState(
        fleet,
        tuple(check for row in found if (check := CheckState(**dict(zip(names, row, strict=True)))).asset in fleet),
        Counter((severity, check) for severity, check, asset in opened if asset in fleet),
        {command: instant_number(finished) for command, state, finished, _ in ended if state == "done"},
        _broken((command, state, started) for command, state, _, started in ended),
        len(open_requests(ledger)),
    )


def is_step(text: str) -> bool:
    """Tell an instant of the ledger that is a step from a time."""
    return text.lstrip("-").isdigit()


def instant_number(text: str) -> float:
    """Return an instant of the ledger as a number: Unix time in seconds, or the step.

    >>> instant_number("1970-01-01T00:01:00+00:00"), instant_number("17")
    (60.0, 17.0)
    """
    return float(text) if is_step(text) else datetime.fromisoformat(text).timestamp()


def _standing(checks: Iterable[tuple[K, CheckState]]) -> dict[K, Health]:
    found: dict[K, list[CheckState]] = {}
    for key, check in checks:
        found.setdefault(key, []).append(check)
    return {key: state_of(own) for key, own in found.items()}


def _broken(ended: Iterable[tuple[str, str, str]]) -> dict[str, bool]:
    newest: dict[str, tuple[str, str]] = {}
    for command, state, started in ended:
        newest[command] = max(newest.get(command, ("", "")), (started, state))
    return {command: state != "done" for command, (_, state) in newest.items()}
