"""A command at work on the fleet, as the ledger knows it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from datadriver.tracking.ledger import Ledger
from datadriver.tracking.liveness import SIGN_SECONDS
from datadriver.tracking.records import Batch
from datadriver.tracking.regularly import regularly


@contextmanager
def batch(ledger: Ledger, command: str, *, code_revision: str | None = None) -> Iterator[Batch]:
    """Record that a command starts, that it is at work still, and however it ends."""
    started = ledger.start_batch(command, code_revision=code_revision)
    try:
        with regularly(SIGN_SECONDS, lambda: ledger.show_life(started.id), name="life"):
            yield started
    except BaseException:
        # The reason may be the ledger itself: the error on its way up is the one to report.
        with suppress(Exception):
            ledger.finish_batch(started.id, "failed")
        raise
    ledger.finish_batch(started.id, "done")
