"""Estimators as bytes: a canonical skops archive, checked by digest and by type before it is loaded."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from datadriver.config.sections import UseCase
from datadriver.tracking.records import Version


def dump(estimator: Any) -> bytes:
    """Write a fitted estimator as a skops archive whose bytes depend on nothing but the estimator.

    Raises:
        UseCaseError: the estimator holds something that skops cannot store.
    """
    raise NotImplementedError


def load(source: bytes | Path, *, sha256: str, package: str, trusted: Collection[str] = ()) -> Any:
    """Read an estimator back, after its digest and the types in it were checked.

    Raises:
        UntrustedModelError: other bytes than were recorded, or a type that nobody vouched for.
        UnavailableError: the file cannot be read.
    """
    raise NotImplementedError


def load_version(version: Version, usecase: UseCase, root: Path) -> Any:
    """Load the estimator of a recorded version; MLflow is imported only where the artefacts are remote."""
    raise NotImplementedError
