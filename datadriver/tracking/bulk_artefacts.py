"""Artefacts of runs and logged models, laid where MLflow looks for them before any row says that they are there."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any

from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository
from mlflow.utils.file_utils import local_file_uri_to_path

from datadriver.tracking.bulk_rows import Draft, Place
from datadriver.tracking.model_files import adopt_mlmodel
from datadriver.tracking.run_content import write_files

_AT_ONCE = 8  # uploads, which wait for the network most of the time


class Artefacts:
    """The artefact folder or bucket of one experiment."""

    def __init__(self, location: str, tracking_uri: str) -> None:
        self._location = location
        self._tracking_uri = tracking_uri

    @cached_property
    def _local(self) -> bool:
        return isinstance(self._repository(self._location), LocalArtifactRepository)

    def lay(self, drafts: Sequence[Draft]) -> None:
        """Move or upload the files of these trainings to their places."""
        for draft in drafts:
            place = draft.place
            adopt_mlmodel(draft.entry.files.path, model_id=place.model_id, run_id=place.run_id, location=place.model)
        self._each(self._move if self._local else self._upload, drafts)

    def clear(self, places: Sequence[Place]) -> None:
        """Remove whatever lies in these places, which may be nothing."""
        self._each(self._remove, places)

    def _each(self, do: Callable[[Any], None], things: Sequence[Any]) -> None:
        if self._local or len(things) == 1:
            for thing in things:
                do(thing)
            return
        with ThreadPoolExecutor(_AT_ONCE) as crew:
            _all(crew.map(do, things))

    def _move(self, draft: Draft) -> None:
        target = self._folder(draft.place.model)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(draft.entry.files.path, target)
        write_files(self._folder(draft.place.run), draft.entry.content.files)

    def _upload(self, draft: Draft) -> None:
        self._repository(draft.place.model).log_artifacts(str(draft.entry.files.path))
        with tempfile.TemporaryDirectory() as folder:
            write_files(Path(folder), draft.entry.content.files)
            self._repository(draft.place.run).log_artifacts(folder)

    def _remove(self, place: Place) -> None:
        for uri in (place.model, place.run):
            if self._local:
                shutil.rmtree(self._folder(uri).parent, ignore_errors=True)
            else:
                with suppress(NotImplementedError):  # some kinds of store cannot
                    self._repository(uri).delete_artifacts()

    def _folder(self, uri: str) -> Path:
        return Path(local_file_uri_to_path(uri))  # type: ignore[no-untyped-call]

    def _repository(self, uri: str) -> Any:
        return get_artifact_repository(uri, tracking_uri=self._tracking_uri)


def _all(results: Iterable[None]) -> None:
    """Wait for all of them; the first error is raised."""
    for _ in results:
        pass
