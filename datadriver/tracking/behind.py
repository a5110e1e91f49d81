"""Where MLflow is written behind the run: results go into the artefact store and the ledger, MLflow gets them later.

`Behind` takes the place of the `Tracker` for whoever trains and promotes; `projector` does what is left to do.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from datadriver.config.sections import UseCase
from datadriver.tracking import backlog, pending, queries
from datadriver.tracking.ledger import Ledger
from datadriver.tracking.outbox import Outbox
from datadriver.tracking.records import Batch, Key, Version
from datadriver.tracking.run_content import finite
from datadriver.tracking.schema import pending_batches
from datadriver.tracking.writer import Origin, Registered, Trained, entry, version_of

UNNUMBERED = 0
"""Version that the ledger gives a number to when it records it."""

_SERVERS = ("http://", "https://", "databricks")


def is_server(usecase: UseCase) -> bool:
    """Whether the tracking store is a server, which nobody but itself can write in bulk."""
    return usecase.tracking.uri.startswith(_SERVERS)


class Behind:
    """Takes results for MLflow without asking it; a projector brings them there."""

    mirrors = False
    """Whether MLflow follows at once."""

    def __init__(self, usecase: UseCase, root: Path, ledger: Ledger) -> None:
        self.usecase = usecase
        self.root = root
        self.ledger = ledger
        self.outbox = Outbox(usecase, root)

    def start_batch(self, batch: Batch) -> str:
        """Note that MLflow is to get a parent run for a batch; it goes by the id of the batch until then."""
        with self.ledger.writing() as connection:
            pending.enter_batch(connection, batch.id)
        return batch.id

    def finish_batch(self, run_id: str, *, metrics: Mapping[str, float] | None = None, failed: bool = False) -> None:  # noqa: ARG002 - as the Tracker has it
        """Note what the parent run is to show; how the batch ended, the ledger knows."""
        with self.ledger.writing() as connection:
            this = pending_batches.c.batch == run_id
            connection.execute(pending_batches.update().where(this).values(metrics=finite(metrics or {})))

    def record_all(
        self, parent: str, trained: Sequence[Trained], *, code_digest: str, code_revision: str | None = None
    ) -> tuple[Version, ...]:
        """Lay trainings into the outbox, and return their versions for the ledger, which numbers them."""
        origin = Origin(parent, parent, code_digest, code_revision)
        entries = [entry(self.usecase.name, origin, one) for one in trained]
        places = self.outbox.put(parent, entries)
        return tuple(
            version_of(one, Registered(made.name, UNNUMBERED, "", ""), place)
            for one, made, place in zip(trained, entries, places, strict=True)
        )

    def note(self, kind: str, content: str, *, about: str = "") -> None:
        """Note what else MLflow is to be told; a newer note of the kind about the same takes the older one's place."""
        with self.ledger.writing() as connection:
            pending.note(connection, kind, [Key("", about)], content)

    def set_champions(self, versions: Mapping[Key, int | None]) -> None:
        """Note that aliases may have changed; `Ledger.record_release` has done so with the release."""

    def discard_unfinished(self, batches: Collection[str]) -> int:
        """Remove what dead batches laid into the outbox and did not come to record."""
        at_work = {one.id for one in queries.batches(self.ledger, limit=1000) if one.state == "running"}
        self.outbox.sweep(backlog.waiting_paths(self.ledger), at_work - set(batches))
        return 0
