"""What was noted about a model beside its archive: read without MLflow where files are local."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from datadriver.config.sections import UseCase
from datadriver.errors import UnavailableError
from datadriver.tracking.model_files import MANIFEST, read_manifest
from datadriver.tracking.records import Version


def manifest_of(version: Version, usecase: UseCase, root: Path) -> Mapping[str, Any] | None:
    """Return the manifest of a recorded version; None where there is none, as with a model made elsewhere.

    A remote one is fetched once and kept in the use case's `.datadriver/models`; MLflow is imported only for that.

    Raises:
        UnavailableError: it is there and cannot be read.
    """
    kept = kept_manifest(version, root)
    if ":/" not in version.path:
        place = root / version.path
        if not (place / MANIFEST).exists():
            return _read(kept) if kept.exists() else None  # it may have gone to MLflow since it was looked up
        try:
            return read_manifest(place)
        except (OSError, ValueError) as error:
            raise UnavailableError(f"{place / MANIFEST}: cannot be read: {error}") from error
    if not kept.exists():
        from datadriver.tracking.mlflow_store import fetch  # noqa: PLC0415 - importing MLflow takes 2 s

        fetch(f"{version.path}/{MANIFEST}", kept, usecase.tracking, root)
    return _read(kept)


def kept_manifest(version: Version, root: Path) -> Path:
    """Where the manifest of a remote version is kept once it was fetched."""
    return root / ".datadriver" / "models" / f"{version.sha256}.json"


def _read(path: Path) -> Mapping[str, Any]:
    manifest: Mapping[str, Any] = json.loads(path.read_text("utf-8"))
    return manifest
