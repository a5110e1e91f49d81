"""MLflow as the place where people look: runs, metrics, models and aliases, through the public client."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from datadriver.config.fleet import Instance
from datadriver.config.sections import UseCase
from datadriver.tracking.model_files import ModelFiles
from datadriver.tracking.records import Batch, Key, VerdictRecord, Version

if TYPE_CHECKING:
    from datadriver.training.results import TrainResult


class Tracker:
    """The experiment of one use case in an MLflow tracking store."""

    @classmethod
    def open(cls, usecase: UseCase, root: Path) -> Tracker:
        """Reach the store of `usecase.tracking`, creating the database and the experiment if need be.

        Raises:
            UnavailableError: the store does not answer within seconds.
        """
        raise NotImplementedError

    def start_batch(self, batch: Batch) -> str:
        """Start the parent run of a training batch and return its run id."""
        raise NotImplementedError

    def finish_batch(self, run_id: str, *, metrics: Mapping[str, float] | None = None, failed: bool = False) -> None:
        """End a parent run, with pooled metrics and counts."""
        raise NotImplementedError

    def record(
        self,
        parent: str,
        instance: Instance,
        result: TrainResult,
        files: ModelFiles,
        *,
        code_digest: str,
        verdicts: Sequence[VerdictRecord] = (),
        code_revision: str | None = None,
    ) -> Version:
        """Record one training: run, logged model, registered version with alias `challenger`.

        `result.estimator` is not needed (a worker may have written `files`). The returned version is for
        `Ledger.record_result`.
        """
        raise NotImplementedError

    def set_champions(self, versions: Mapping[Key, int | None]) -> None:
        """Point the alias `champion` of each instance to its version, or remove it."""
        raise NotImplementedError

    def champions(self) -> Mapping[str, int]:
        """Version by registered model name, for all aliases `champion` of this use case."""
        raise NotImplementedError

    def discard_unfinished(self, batches: Collection[str]) -> int:
        """Set runs that dead batches left RUNNING to KILLED; returns how many there were."""
        raise NotImplementedError


def registered_name(usecase: str, key: Key) -> str:
    """Name of an instance's registered model: `pumps.P-101.motor_temperature`."""
    raise NotImplementedError
