"""What training runs that were killed or broke off left behind: it goes before the next one starts."""

from __future__ import annotations

import shutil
from pathlib import Path

from datadriver.tracking import leases, queries
from datadriver.tracking.behind import Behind
from datadriver.tracking.ledger import Ledger
from datadriver.tracking.mlflow_runs import Tracker


def scratch_place(root: Path, batch: str) -> Path:
    """Return where a batch keeps model files on their way: on the disk of the use case."""
    return root / ".datadriver" / "tmp" / batch


def clear(ledger: Ledger, tracker: Tracker | Behind, root: Path) -> None:
    """Clear away what dead batches left: runs that still go on in MLflow, artefacts without rows, scratch, leases.

    Whoever is killed in here leaves the rest to the next run: the ledger notes that it is done at the end.

    Raises:
        UnavailableError: the tracking store or the ledger do not answer.
    """
    abandoned = queries.abandoned(ledger, "train")
    dead = abandoned | queries.dead_batches(ledger)
    tracker.discard_unfinished(dead)
    for batch in dead:
        shutil.rmtree(scratch_place(root, batch), ignore_errors=True)
    for batch in abandoned:
        leases.release(ledger, batch)
    ledger.bury(abandoned)
