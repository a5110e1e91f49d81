"""The outbox: model directories and files of runs that wait for MLflow, in the use case's own artefact store.

`<tracking.artifacts>/pending/<batch>/<name>/` holds `model/` (an MLflow model directory), `run/` (files of the run) and
`entry.json`. It is whole before the ledger names it, and goes once MLflow has it. A bucket is written and read through
MLflow; a folder is not, so that a fleet on a disk need not wait for MLflow's import.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from datadriver.config.sections import UseCase
from datadriver.config.slugs import slug
from datadriver.errors import ConfigError, UnavailableError
from datadriver.tracking.artefacts import ARCHIVE, kept_archive
from datadriver.tracking.manifests import kept_manifest
from datadriver.tracking.model_files import MANIFEST, ModelFiles
from datadriver.tracking.names import kept_path
from datadriver.tracking.records import Key, Version
from datadriver.tracking.run_content import RunContent, write_files
from datadriver.tracking.writer import Entry

PLACE = "pending"
_ENTRY, _MODEL, _RUN = "entry.json", "model", "run"
_AT_ONCE = 8  # uploads, which wait for the network most of the time


class Outbox:
    """The outbox of one use case."""

    def __init__(self, usecase: UseCase, root: Path) -> None:
        self._usecase = usecase
        self._root = root
        place = usecase.tracking.artifacts
        self._remote = "://" in place and not place.startswith("file://")
        local = root.absolute() / kept_path(place, root)
        self._location = f"{place.rstrip('/')}/{PLACE}" if self._remote else str(local / PLACE)

    def put(self, batch: str, entries: Sequence[Entry]) -> list[str]:
        """Lay trainings into the outbox, and return where their model directories are; `entry.files.path` is moved.

        Raises:
            UnavailableError: they cannot be written.
        """
        places = [f"{self._location}/{batch}/{_name(entry)}" for entry in entries]
        try:
            if self._remote:
                with ThreadPoolExecutor(_AT_ONCE) as crew:
                    list(crew.map(self._upload, places, entries))
            else:
                for place, entry in zip(places, entries, strict=True):
                    _lay(Path(place), entry)
        except OSError as error:
            raise UnavailableError(f"cannot write to {self._location}: {error.strerror or error}") from error
        return [kept_path(f"{place}/{_MODEL}", self._root) for place in places]

    def put_page(self, page: Path, name: str) -> str:
        """Keep a page of a report until MLflow has it, and return where."""
        place = self._root / ".datadriver" / "pages" / f"{name}.html"
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(page, place)
        except OSError as error:
            raise UnavailableError(f"cannot write to {place}: {error.strerror or error}") from error
        return kept_path(str(place), self._root)

    @contextmanager
    def taken(self, version: Version) -> Iterator[Entry]:
        """Give a training that waits; its model directory is a copy that may be changed.

        Raises:
            ConfigError: its files are gone.
        """
        with tempfile.TemporaryDirectory(prefix="datadriver-") as folder:
            copy = Path(folder, "entry")
            try:
                shutil.copytree(self._fetched(version.path, Path(folder, "fetched")), copy)
                text = (copy / _ENTRY).read_text("utf-8")
            except FileNotFoundError as error:
                raise ConfigError(
                    f"{version.key}: version {version.version} waits for MLflow, but its files are gone from "
                    f"{version.path}; restore them from a backup"
                ) from error
            yield _entry(json.loads(text), version, copy)

    def settle(self, version: Version) -> None:
        """Remove a training that MLflow has; its archive stays where remote models are kept once they were fetched."""
        if self._remote:
            repository, inner = self._repository(version.path)
            with suppress(NotImplementedError):  # some kinds of store cannot
                repository.delete_artifacts(inner)
            return
        place = (self._root / version.path).parent
        kept = {
            ARCHIVE: kept_archive(version, self._root),
            MANIFEST: kept_manifest(version, self._root),
        }
        for name, target in kept.items():
            with suppress(OSError):  # it is fetched again when it is needed
                target.parent.mkdir(parents=True, exist_ok=True)
                (place / _MODEL / name).replace(target)
        shutil.rmtree(place, ignore_errors=True)
        with suppress(OSError):  # not empty: others of the batch wait
            place.parent.rmdir()

    def sweep(self, waiting: Collection[str], running: Collection[str]) -> None:
        """Remove what batches that are over left behind and no version names; a bucket's rules must do it there."""
        if self._remote:
            return
        for batch in Path(self._location).glob("*"):
            if batch.name in running:
                continue
            for place in batch.iterdir():
                if kept_path(str(place / _MODEL), self._root) not in waiting:
                    shutil.rmtree(place, ignore_errors=True)
            with suppress(OSError):
                batch.rmdir()

    def _fetched(self, path: str, folder: Path) -> Path:
        if not self._remote:
            return (self._root / path).parent
        repository, inner = self._repository(path)
        folder.mkdir()
        return Path(repository.download_artifacts(inner, str(folder)))

    def _upload(self, place: str, entry: Entry) -> None:
        with tempfile.TemporaryDirectory() as folder:
            staged = Path(folder, "entry")
            _lay(staged, entry)
            repository, inner = self._repository(f"{place}/{_MODEL}")
            repository.log_artifacts(str(staged), inner)

    def _repository(self, path: str) -> tuple[Any, str]:
        """Return MLflow's way to the bucket, and the folder in it to which the model directory `path` belongs."""
        from mlflow.store.artifact.artifact_repository_registry import (  # noqa: PLC0415 - importing MLflow takes 2 s
            get_artifact_repository,
        )

        inner = path.removeprefix(f"{self._location}/").rpartition("/")[0]
        return get_artifact_repository(self._location), inner


def _name(entry: Entry) -> str:
    """Name of the folder of a training; that of another result of the instance differs."""
    return f"{slug(str(entry.key))}-{entry.result_key[:16]}"


def _lay(place: Path, entry: Entry) -> None:
    shutil.rmtree(place, ignore_errors=True)  # of a try that was killed before the ledger knew of it
    place.mkdir(parents=True)
    write_files(place / _RUN, entry.content.files)
    content = {**asdict(replace(entry.content, files={}))}
    text = json.dumps({"name": entry.name, "seconds": entry.seconds, "size": entry.files.size, "content": content})
    (place / _ENTRY).write_text(text, "utf-8")
    shutil.move(entry.files.path, place / _MODEL)


def _entry(said: dict[str, Any], version: Version, place: Path) -> Entry:
    files = {
        path.relative_to(place / _RUN).as_posix(): path.read_bytes()
        for path in sorted((place / _RUN).rglob("*"))
        if path.is_file()
    }
    return Entry(
        key=Key(version.unit, version.model),
        name=said["name"],
        role=version.role,
        result_key=version.result_key,
        seconds=said["seconds"],
        files=ModelFiles(place / _MODEL, version.sha256, said["size"]),
        content=RunContent(**{**said["content"], "files": files}),
    )
