"""What the ledger keeps of monitoring, as frozen dataclasses: one per table.

Instants are text as `instant_text` writes it: ISO 8601 in UTC, or the digits of a step.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from datadriver.tracking.records import Key

Health = Literal["alarm", "silenced", "pending", "unknown", "ok"]
"""State of a check, the gravest first: an open alarm; one that known work silences; breaches, but not enough of them;
not enough data to judge; all well."""

HEALTHS: tuple[Health, ...] = ("alarm", "silenced", "pending", "unknown", "ok")


@dataclass(frozen=True)
class CheckState:
    """How one check of one subject stands after its newest window.

    Attributes:
        asset: whose data; of a model check the asset that was scored.
        unit: key of the instance's unit, empty for checks of data.
        model: its model, empty for checks of data.
        check: name of the check.
        state: after this window.
        outcome: of this window: `ok`, `breach` or `unknown`.
        severity: `critical`, `warning` or `info`.
        value: the figure that was compared, in `measure`; `limit` is what it was compared with.
        measure: unit of the figure.
        about: tag, feature or metric with the worst figure.
        reason: in words.
        rows: rows or scores of the window that were looked at.
        since: end of the window in which the open alarm opened.
        window_start: of the newest window.
        window_end: of the newest window.
        recent: the last windows, oldest first, a letter each: `o` ok, `n` ok but near the limit, `b` breach, `u`
            unknown, `s` silenced.
        version: the champion's version that was judged.
        owner: who is accountable.
        runbook: link to what to do.
        batch: that judged it.
        at: when.
    """

    asset: str
    unit: str
    model: str
    check: str
    state: Health
    outcome: str
    severity: str
    window_start: str
    window_end: str
    value: float | None = None
    limit: float | None = None
    measure: str = ""
    about: str = ""
    reason: str = ""
    rows: int = 0
    since: str | None = None
    recent: str = ""
    version: int | None = None
    owner: str | None = None
    runbook: str | None = None
    batch: str = ""
    at: str = ""

    @property
    def key(self) -> Key | None:
        """The instance, None for a check of data."""
        return Key(self.unit, self.model) if self.model else None


@dataclass(frozen=True)
class Alarm:
    """One alarm, from the window in which it opened to the one in which it closed.

    `opened` and `closed` are ends of windows; `at` and `closed_at` when that was found out.
    """

    id: int
    asset: str
    unit: str
    model: str
    check: str
    severity: str
    opened: str
    reason: str
    closed: str | None = None
    close_reason: str = ""
    owner: str | None = None
    runbook: str | None = None
    batch: str = ""
    at: str = ""
    closed_at: str | None = None

    @property
    def key(self) -> Key | None:
        """The instance, None for an alarm about data."""
        return Key(self.unit, self.model) if self.model else None


@dataclass(frozen=True)
class RetrainRequest:
    """Monitoring asks for an instance to be trained again; the next outcome of the instance answers it.

    `announced` so often to the scheduler, last at `announced_at` and under the name `announced_for`.
    """

    unit: str
    model: str
    reason: str
    asset: str
    check: str
    opened: str
    batch: str
    at: str = ""
    announced: int = 0
    announced_at: str | None = None
    announced_for: str | None = None

    @property
    def key(self) -> Key:
        """The instance."""
        return Key(self.unit, self.model)
