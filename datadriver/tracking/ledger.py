"""The ledger: what was asked, done, rejected and released, in SQLite or PostgreSQL. Writing is here, reading in `queries`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import sqlalchemy as sa

from datadriver.tracking.records import (
    Batch,
    BatchState,
    Outcome,
    Release,
    ReleaseAction,
    ReleaseItem,
    ScoreRecord,
    VerdictRecord,
    Version,
)


class Ledger:
    """An open ledger. `Ledger.open` creates or migrates the tables; every method below is one transaction."""

    engine: sa.Engine

    @classmethod
    def open(cls, uri: str, root: Path) -> Ledger:
        """Open `usecase.ledger.uri`; relative SQLite paths are relative to `root`.

        Raises:
            UnavailableError: the database cannot be reached or written.
        """
        raise NotImplementedError

    def close(self) -> None:
        """Release the connections."""
        raise NotImplementedError

    def start_batch(self, command: str, *, code_revision: str | None = None) -> Batch:
        """Record that a command starts; batches of this host whose process is gone become `killed`."""
        raise NotImplementedError

    def finish_batch(self, batch: str, state: BatchState = "done") -> None:
        """Record that a command ended."""
        raise NotImplementedError

    def record_result(
        self, outcome: Outcome, *, version: Version | None = None, verdicts: Sequence[VerdictRecord] = ()
    ) -> None:
        """Record the outcome of one instance with its version and the verdicts on its assets, all or nothing.

        Recording the same result twice (same batch and instance; same result key) changes nothing.
        """
        raise NotImplementedError

    def record_verdicts(self, verdicts: Iterable[VerdictRecord]) -> None:
        """Record verdicts alone, as `validate` does."""
        raise NotImplementedError

    def record_scores(self, scores: Iterable[ScoreRecord]) -> None:
        """Record what scoring wrote."""
        raise NotImplementedError

    def record_release(
        self, items: Sequence[ReleaseItem], *, action: ReleaseAction, by: str, reason: str, batch: str | None = None
    ) -> Release:
        """Append a release; the champions follow from it."""
        raise NotImplementedError
