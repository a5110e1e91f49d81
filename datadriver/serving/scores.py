"""The scores table: a Parquet dataset with a file per day and group of assets, written whole or not at all.

A later score of the same instance, asset and instant supersedes an earlier one; both stay on record. The name of a file
is a digest of what is in it, so writing the same scores again changes nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from datadriver.data.frame import frame_digest
from datadriver.data.window import Window
from datadriver.serving.dataset import STAMP, condition, instant_array, instant_type, open_dataset, write_dataset

_TEXTS = ("unit", "model", "asset_id", "role", "result_key", "verdict", "reason")
KEY = ("unit", "model", "asset_id")


@dataclass(frozen=True)
class Stretch:
    """Scores of one instance on one asset.

    Attributes:
        unit: key of the unit that the model was fitted on.
        model: its name.
        asset: whose rows.
        version: of the champion; `role` says whether that is the model or its baseline.
        verdict: of the contract on the data behind the scores; `reason` says why it is not `pass`.
        window: what was asked for.
        frame: sorted index `time` or `step`; columns `score`, `actual`, `residual`, `alarm`.
    """

    unit: str
    model: str
    asset: str
    version: int
    role: str
    result_key: str
    verdict: str
    reason: str
    window: Window
    frame: pd.DataFrame

    def digest(self) -> str:
        """Return the sha256 of what is stored, but for the time of writing and the reason.

        A reason may say how old the data are at that time: the same scores would not find their file again.
        """
        said = (self.unit, self.model, self.asset, self.version, self.role, self.result_key, self.verdict)
        return hashlib.sha256(f"{said!r}{frame_digest(self.frame)}".encode()).hexdigest()


def scores_path(root: Path, path: str) -> str:
    """Return where `scores.path` points: relative paths are relative to the use case."""
    return path if "://" in path else str(root / path)


def scores_name(stretches: Iterable[Stretch]) -> str:
    """Return the name of the files that hold these scores."""
    digests = "".join(one.digest() for one in stretches)
    return f"scores-{hashlib.sha256(digests.encode()).hexdigest()[:20]}.parquet"


def write_scores(path: str, stretches: Sequence[Stretch], *, now: datetime | None = None, anew: bool = False) -> str:
    """Write scores into the dataset at `path`, a file per day, and return the name that the files share.

    Args:
        path: folder or fsspec URL.
        stretches: of a group of assets.
        now: time of writing; default: this moment.
        anew: whether scores that are there are to be the newest again, as after a rollback.

    Raises:
        UnavailableError: the place cannot be written; nothing half-written stays.
    """
    name = scores_name(stretches)
    some = [one for one in stretches if len(one.frame)]
    if not some:
        return name
    table = _table(some, now or datetime.now(UTC))
    write_dataset(path, name, table, index=_index(table.schema.names), what="scores", anew=anew)
    return name


def read_scores(
    path: str,
    *,
    assets: Collection[str] | None = None,
    models: Collection[str] | None = None,
    window: Window | None = None,
    latest: bool = True,
) -> pd.DataFrame:
    """Read scores, sorted by unit, model, asset and instant.

    Args:
        path: folder or fsspec URL of the dataset.
        assets: asset ids; default: all.
        models: model names; default: all.
        window: instants; default: all.
        latest: only the newest score of each instant; else every one on record.

    Returns:
        A frame with the columns of DESIGN.md section 7, and `time` or `step`; empty where nothing was scored yet.
    """
    dataset = open_dataset(path, window, assets)
    if dataset is None:
        nothing: pd.DataFrame = _schema("time").empty_table().to_pandas()
        return nothing
    index = _index(dataset.schema.names)
    wanted = condition(index, window, {"asset_id": assets, "model": models})
    frame: pd.DataFrame = dataset.to_table(filter=wanted).to_pandas()
    frame = frame.sort_values([*KEY, index, "written_at"], kind="stable", ignore_index=True)
    return frame.drop_duplicates([*KEY, index], keep="last", ignore_index=True) if latest else frame


def _index(names: Collection[str]) -> str:
    return "step" if "step" in names else "time"


def _schema(index: str) -> pa.Schema:
    return pa.schema(
        [
            *((name, pa.string()) for name in KEY),
            (index, instant_type(index)),
            *((name, pa.float64()) for name in ("score", "actual", "residual")),
            ("alarm", pa.bool_()),
            ("version", pa.int64()),
            *((name, pa.string()) for name in ("role", "result_key", "verdict", "reason")),
            ("written_at", STAMP),
        ]
    )


def _table(stretches: Sequence[Stretch], now: datetime) -> pa.Table:
    """Put stretches under each other; what is the same for all rows of one is written once and repeated."""
    frames = [one.frame for one in stretches]
    index = "step" if pd.api.types.is_integer_dtype(frames[0].index.dtype) else "time"
    schema, lengths = _schema(index), [len(frame) for frame in frames]
    rows = pa.array(np.repeat(np.arange(len(frames)), lengths))
    said = {
        "unit": [one.unit for one in stretches],
        "model": [one.model for one in stretches],
        "asset_id": [one.asset for one in stretches],
        "version": [one.version for one in stretches],
        "role": [one.role for one in stretches],
        "result_key": [one.result_key for one in stretches],
        "verdict": [one.verdict for one in stretches],
        "reason": [one.reason for one in stretches],
    }
    columns = {name: pa.array(values, schema.field(name).type).take(rows) for name, values in said.items()}
    columns["written_at"] = pa.repeat(pa.scalar(now, STAMP), len(rows))
    columns[index] = instant_array(np.concatenate([_numbers(frame.index) for frame in frames]), index)
    for name in ("score", "actual", "residual"):
        values = np.concatenate([frame[name].to_numpy(dtype="float64") for frame in frames])
        columns[name] = pa.array(values, from_pandas=True)
    columns["alarm"] = pa.array(np.concatenate([frame["alarm"].to_numpy(dtype=bool) for frame in frames]))
    return pa.table([columns[field.name] for field in schema], schema=schema)


def _numbers(index: pd.Index) -> np.ndarray:
    return index.as_unit("us").asi8 if isinstance(index, pd.DatetimeIndex) else np.asarray(index)
