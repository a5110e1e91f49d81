"""A model as a directory that plain MLflow loads: MLmodel, the skops archive, its environment and our manifest."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from datadriver.config.fleet import Instance

if TYPE_CHECKING:
    from datadriver.training.results import TrainResult


@dataclass(frozen=True)
class ModelFiles:
    """A written model directory; `sha256` and `size` (bytes) are those of its `model.skops`."""

    path: Path
    sha256: str
    size: int


def write_model(
    directory: Path, result: TrainResult, instance: Instance, *, code_digest: str, contract_digest: str | None = None
) -> ModelFiles:
    """Write `result.estimator` as an MLflow model into `directory` (new or empty); needs no tracking store.

    Raises:
        UseCaseError: the estimator holds something that cannot be stored, such as a lambda or a pandas object.
    """
    raise NotImplementedError
