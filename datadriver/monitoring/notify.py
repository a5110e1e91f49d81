"""Messages about alarms: one per receiver and run, each alarm told once when it opens and once when it closes.

The ledger's `notices` say who was told of what. They are written after a message was taken, so a failed message goes
out again with the next run, together with what came in between. Apprise does the sending; it is imported when used.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from datadriver.config.fleet import Asset
from datadriver.config.sections import UseCase
from datadriver.tracking.ledger import Ledger


@dataclass(frozen=True)
class Unsent:
    """A message that did not go out.

    Attributes:
        name: its receiver, without secrets: `monitor.notify[0] (mailto)`.
        reason: what went wrong, without secrets.
        exit_code: 5; it is sent again with the next run.
        alarms: how many alarms it was about.
    """

    name: str
    reason: str
    alarms: int
    exit_code: int = 5


@dataclass(frozen=True)
class Notified:
    """What became of the messages of a run: how many went out, about how many alarms, and those that did not."""

    messages: int = 0
    alarms: int = 0
    unsent: tuple[Unsent, ...] = ()


def send_notices(ledger: Ledger, usecase: UseCase, assets: Sequence[Asset], *, report: str | None = None) -> Notified:
    """Tell every receiver of `monitor.notify` what it was not told yet.

    Args:
        ledger: alarms, and who knows of them.
        usecase: before overrides; those of an alarm's asset are applied here.
        assets: the fleet.
        report: where the report is, a path or a URL, named in the message.

    Raises:
        MissingExtraError: `monitor.notify` names a receiver and Apprise is not installed.
        ConfigError: Apprise does not understand a URL.
        UnavailableError: the ledger does not answer. That a receiver does not answer is in the result.
    """
    raise NotImplementedError


def notify_problems(usecase: UseCase) -> tuple[str, ...]:
    """Return what is wrong with the URLs of `monitor.notify`, found without a network; a URL is never shown."""
    raise NotImplementedError
