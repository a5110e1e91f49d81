"""How the fleet stands, read from the ledger in a few narrow statements: what metrics are made of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, TypeVar

import sqlalchemy as sa

from datadriver.tracking import schema
from datadriver.tracking.ledger import Ledger
from datadriver.tracking.monitor_records import HEALTHS
from datadriver.tracking.monitoring import open_requests
from datadriver.tracking.records import instant_order

_COLUMNS = ("asset", "unit", "model", "check", "state", "severity", "value", "limit", "measure", "window_end")
K = TypeVar("K")
_GRAVITY: Mapping[str, int] = {state: rank for rank, state in enumerate(HEALTHS)}


class CheckRow(NamedTuple):
    """The newest state of one check, without its words."""

    asset: str
    unit: str
    model: str
    check: str
    state: str
    severity: str
    value: float | None
    limit: float | None
    measure: str
    window_end: str


@dataclass(frozen=True)
class FleetState:
    """How the fleet stands at one moment.

    Attributes:
        fleet: ids of all its assets.
        checks: newest state of every check of these assets.
        alarms: how many are open, by severity and check.
        runs: when each command last ended well, as Unix time.
        broken: whether the newest run of each command broke off or was killed.
        requests: how many instances are asked to be trained again.
    """

    fleet: frozenset[str]
    checks: tuple[CheckRow, ...]
    alarms: Mapping[tuple[str, str], int]
    runs: Mapping[str, float]
    broken: Mapping[str, bool]
    requests: int

    def assets(self) -> Mapping[str, int]:
        """How many assets are in each state: that of their gravest check; never looked at is `unknown`."""
        gravest = _gravest((row.asset, row.state) for row in self.checks)
        return Counter(gravest.get(asset, "unknown") for asset in self.fleet)

    def instances(self) -> Mapping[str, int]:
        """How many monitored instances are in each state: that of the gravest check of their own."""
        own = (((row.unit, row.model), row.state) for row in self.checks if row.model)
        return Counter(_gravest(own).values())

    def counts(self) -> Mapping[tuple[str, str], int]:
        """How many checks are in each state, by name and state."""
        return Counter((row.check, row.state) for row in self.checks)

    def newest_window(self) -> str | None:
        """End of the newest window that was judged."""
        return max((row.window_end for row in self.checks), key=instant_order, default=None)

    def newest_reading(self) -> float | None:
        """Unix time or step of the newest reading, by the freshness check of the asset that is furthest ahead."""
        fresh = [row for row in self.checks if row.check == "freshness" and row.value is not None]
        return max((instant_number(row.window_end) - (row.value or 0.0) for row in fresh), default=None)


def read_fleet_state(ledger: Ledger, assets: Collection[str]) -> FleetState:
    """Read how the fleet of these assets stands; what left it does not count."""
    fleet = frozenset(assets)
    states, alarms, batches = schema.check_states.c, schema.alarms.c, schema.batches.c
    newest = sa.func.max(batches.finished_at), sa.func.max(batches.started_at)
    with ledger.reading() as connection:
        checks = connection.execute(sa.select(*(states[name] for name in _COLUMNS))).all()
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
        tuple(CheckRow(*row) for row in checks if row[0] in fleet),
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


def _gravest(states: Iterable[tuple[K, str]]) -> dict[K, str]:
    found: dict[K, str] = {}
    for key, state in states:
        if key not in found or _GRAVITY[state] < _GRAVITY[found[key]]:
            found[key] = state
    return found


def _broken(ended: Iterable[tuple[str, str, str]]) -> dict[str, bool]:
    newest: dict[str, tuple[str, str]] = {}
    for command, state, started in ended:
        newest[command] = max(newest.get(command, ("", "")), (started, state))
    return {command: state != "done" for command, (_, state) in newest.items()}
