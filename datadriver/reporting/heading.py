"""What stands at the top of every page: of when the report is, and what counts as news."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from datadriver.config.sections import UseCase
from datadriver.config.values import format_amount
from datadriver.data.window import parse_instant, shift
from datadriver.reporting.facts import Heading
from datadriver.tracking.database import without_credentials
from datadriver.tracking.records import instant_text

_DAY = timedelta(days=1)


def make_heading(usecase: UseCase, end: str, *, now: datetime | None = None) -> Heading:
    """Return the heading of a report to the end of the fleet's newest window.

    Args:
        usecase: before overrides.
        end: as the ledger keeps it.
        now: time of making; default: this moment.
    """
    now = now or datetime.now(UTC)
    window = usecase.monitor_window
    news = max(window, _DAY) if isinstance(window, timedelta) else window
    since = instant_text(shift(parse_instant(end, usecase), -news))
    made_at, since_at = instant_text(now), instant_text(now - _DAY)
    assert since and made_at and since_at  # noqa: PT018, S101 - None only for None
    return Heading(
        usecase=usecase.name,
        description=usecase.description,
        index=usecase.data.index,
        timezone=usecase.data.timezone,
        end=end,
        window=f"{window} steps" if isinstance(window, int) else format_amount(window),
        made_at=made_at,
        since=since,
        since_at=since_at,
        old=_old(end, window, now) if isinstance(window, timedelta) else "",
        mlflow=_mlflow(usecase),
    )


def _old(end: str, window: timedelta, now: datetime) -> str:
    """Say that the newest window ended long ago by the wall clock: two windows and a day."""
    ended = datetime.fromisoformat(end)
    age = now - ended
    if age <= 2 * window + _DAY:
        return ""
    return f"The newest window of the fleet ended {age.days:,} days ago ({ended:%Y-%m-%d}): this is how it stood then."


def _mlflow(usecase: UseCase) -> str:
    uri = without_credentials(usecase.tracking.uri)
    return uri.rstrip("/") if uri.startswith(("http://", "https://")) else f"mlflow ui --backend-store-uri {uri}"
