"""Which requests to train again the scheduler is told of, and when again: each once, a few times more if need be."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

import sqlalchemy as sa

from datadriver.tracking import schema
from datadriver.tracking.ledger import Ledger
from datadriver.tracking.liveness import now
from datadriver.tracking.monitor_records import RetrainRequest
from datadriver.tracking.monitoring import open_requests
from datadriver.tracking.records import Key

TIMES = 5
"""So often the scheduler is told of a request that stays open: its training failed before it came to any outcome."""
WAIT = timedelta(days=1)
"""Before it is told for the second time; each further wait is twice as long."""


def announce(ledger: Ledger, name: str, keys: Collection[Key], *, at: str | None = None) -> tuple[RetrainRequest, ...]:
    """Return the open requests that the scheduler is to be told of now, and remember that it was.

    Args:
        ledger: Knows the requests.
        name: Who asks: the same name gets the same answer again, so that a task that was killed can be tried again.
        keys: Instances that it is about.
        at: This instant, as the ledger writes it; default: now.
    """
    at = at or now()
    found = [one for key, asked in open_requests(ledger).items() for one in asked if key in keys]
    due = [one for one in found if one.announced_for == name or _is_due(one, at)]
    with ledger.writing() as connection:
        return tuple(one for one in due if one.announced_for == name or _mark(connection, one, name, at))


def _is_due(request: RetrainRequest, at: str) -> bool:
    if request.announced_at is None:
        return True
    wait: timedelta = WAIT * 2 ** (request.announced - 1)
    passed = datetime.fromisoformat(at) - datetime.fromisoformat(request.announced_at)
    return request.announced < TIMES and passed >= wait


def _mark(connection: sa.Connection, request: RetrainRequest, name: str, at: str) -> bool:
    """Count one more time, unless somebody else did so since the request was read."""
    table = schema.retrain_requests
    same = [table.c[column.name] == getattr(request, column.name) for column in table.primary_key]
    changed = connection.execute(
        table.update()
        .where(*same, table.c.announced == request.announced)
        .values(announced=request.announced + 1, announced_at=at, announced_for=name)
    )
    return changed.rowcount == 1
