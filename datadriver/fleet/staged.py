"""Scores that wait in a folder to be published: made where nothing else can be reached, taken over where it can."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from fsspec.core import url_to_fs

from datadriver.config.sections import UseCase
from datadriver.data.window import Window, as_number, format_instant, frame_index, parse_instant
from datadriver.errors import DataError, UnavailableError
from datadriver.fleet.batches import batch
from datadriver.fleet.score import ScoreReport
from datadriver.fleet.score_store import Published, record_of
from datadriver.serving.scores import Stretch, scores_path, write_scores
from datadriver.tracking.ledger import Ledger
from datadriver.tracking.liveness import now
from datadriver.tracking.records import ScoreRecord, VerdictRecord

FORMAT = 1
_SUFFIX = ".staged.json"
_FRAME = ("score", "actual", "residual", "alarm")


@dataclass(frozen=True)
class Staged:
    """A folder, or an fsspec URL, that takes scores: a dataset like the scores table, and a list of what is in it."""

    path: str
    usecase: str

    def put(self, stretches: Sequence[Stretch], verdicts: Sequence[VerdictRecord]) -> list[ScoreRecord]:
        """Write the scores first and the list second, which makes them count.

        Raises:
            UnavailableError: the folder cannot be written.
        """
        if not stretches:
            return []
        name = write_scores(self.path, stretches)
        document = {
            "format": FORMAT,
            "usecase": self.usecase,
            "at": now(),
            "name": name,
            "stretches": [_said(one) for one in stretches],
            "verdicts": [asdict(one) for one in verdicts],
        }
        filesystem, folder = url_to_fs(self.path)
        draft = f"{folder}/.{name}.part"
        try:
            filesystem.makedirs(folder, exist_ok=True)
            filesystem.pipe_file(draft, json.dumps(document).encode())
            filesystem.mv(draft, f"{folder}/{name.removesuffix('.parquet')}{_SUFFIX}")
        except OSError as error:
            raise UnavailableError(f"{self.path}: scores cannot be put there: {error.strerror or error}") from error
        return [record_of(one, name) for one in stretches]


def publish(usecase: UseCase, root: Path, ledger: Ledger, path: str) -> ScoreReport:
    """Take what is staged in a folder, or in folders in it, into scores table and ledger, and remove it there.

    It is what scoring without a stop on the way would have written. Done twice, or again after a kill, it is done once.

    Raises:
        DataError: something there is not what was staged, or of another use case.
        UnavailableError: a store does not answer; what is staged stays.
    """
    filesystem, folder = url_to_fs(path)
    lists = sorted(_lists(filesystem, folder, usecase), key=lambda one: str(one[1]["at"]))
    store = Published(ledger, scores_path(root, usecase.scores.path))
    if not lists:
        return ScoreReport(None, store.path)
    written: list[ScoreRecord] = []
    with batch(ledger, "publish") as started:
        for file, document in lists:
            verdicts = [VerdictRecord(**{**one, "batch": started.id}) for one in document["verdicts"]]
            written += store.put(_stretches(filesystem, file, document, usecase), verdicts)
            _clear(filesystem, file, document["name"])
    return ScoreReport(started.id, store.path, tuple(written))


def _lists(filesystem: Any, folder: str, usecase: UseCase) -> Iterator[tuple[str, dict[str, Any]]]:
    for file in filesystem.glob(f"{folder}/**/*{_SUFFIX}"):
        try:
            document = json.loads(filesystem.cat_file(file))
            said = document["usecase"], document["format"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(f"{file}: is no list of staged scores: {error}") from error
        if said != (usecase.name, FORMAT):
            raise DataError(
                f"{file}: was staged for {said[0]!r} in format {said[1]}, and this is {usecase.name!r}, format {FORMAT}"
            )
        yield file, document


def _stretches(filesystem: Any, file: str, document: dict[str, Any], usecase: UseCase) -> list[Stretch]:
    """Read the stretches of a list.

    Raises:
        DataError: they are not those that were staged.
    """
    tables = []
    for part in sorted(filesystem.glob(f"{_parent(file)}/*/{document['name']}")):
        with filesystem.open(part, "rb") as stream:
            tables.append(pq.read_table(stream).to_pandas())
    rows = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()
    found = [_stretch(one, rows, usecase) for one in document["stretches"]]
    for said, stretch in zip(document["stretches"], found, strict=True):
        if said["digest"] != stretch.digest():
            raise DataError(
                f"{file}: the scores of {stretch.unit}/{stretch.model} on {stretch.asset} are not those that were "
                "staged. Remove the folder, and score again"
            )
    return found


def _stretch(said: dict[str, Any], rows: pd.DataFrame, usecase: UseCase) -> Stretch:
    index = usecase.data.index
    instants = [None if text is None else parse_instant(text, usecase) for text in (said["start"], said["end"])]
    if rows.empty:
        own = pd.DataFrame(columns=[index, *_FRAME])
    else:
        mine = (rows["unit"] == said["unit"]) & (rows["model"] == said["model"]) & (rows["asset_id"] == said["asset"])
        own = rows[mine].sort_values(index)
    numbers = np.array([as_number(one) for one in own[index]], dtype=np.int64)
    frame = own[list(_FRAME)].astype({**dict.fromkeys(_FRAME, "float64"), "alarm": bool})
    frame.index = frame_index(numbers, index)
    known = {name: said[name] for name in _SAID}
    return Stretch(**known, window=Window(*instants), frame=frame)


_SAID = tuple(one.name for one in fields(Stretch) if one.name not in {"window", "frame"})


def _said(stretch: Stretch) -> dict[str, Any]:
    window = stretch.window
    ends = {
        "start": None if window.start is None else format_instant(window.start),
        "end": None if window.end is None else format_instant(window.end),
    }
    return {**{name: getattr(stretch, name) for name in _SAID}, **ends, "digest": stretch.digest()}


def _clear(filesystem: Any, file: str, name: str) -> None:
    """Remove what was published; the list goes first, so that nobody publishes half of it."""
    with suppress(OSError):  # published it is; where nothing can be removed, it is published again, to no effect
        filesystem.rm_file(file)
        for part in filesystem.glob(f"{_parent(file)}/*/{name}"):
            filesystem.rm_file(part)
            with suppress(OSError):
                filesystem.rmdir(_parent(part))
        filesystem.rmdir(_parent(file))


def _parent(file: str) -> str:
    return file.rpartition("/")[0]
