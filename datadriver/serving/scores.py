"""The scores table: a Parquet dataset with a file per day and group of assets, written whole or not at all.

A later score of the same instance, asset and instant supersedes an earlier one; both stay on record. The name of a file
is a digest of what is in it, so writing the same scores again changes nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import fsspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads
import pyarrow.parquet as pq

from datadriver.data.frame import frame_digest
from datadriver.data.window import Instant, Window
from datadriver.errors import UnavailableError

_STEPS_PER_FILE = 1000
_TEXTS = ("unit", "model", "asset_id", "role", "result_key", "verdict", "reason")
_STAMP = pa.timestamp("us", tz="UTC")
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
        """Return the sha256 of everything that is stored, but for the time of writing."""
        said = (self.unit, self.model, self.asset, self.version, self.role, self.result_key, self.verdict, self.reason)
        return hashlib.sha256(f"{said!r}{frame_digest(self.frame)}".encode()).hexdigest()


def scores_path(root: Path, path: str) -> str:
    """Return where `scores.path` points: relative paths are relative to the use case."""
    return path if "://" in path else str(root / path)


def write_scores(path: str, stretches: Sequence[Stretch], *, now: datetime | None = None) -> str:
    """Write scores into the dataset at `path`, a file per day, and return the name that the files share.

    Args:
        path: folder or fsspec URL.
        stretches: of a group of assets.
        now: time of writing; default: this moment.

    Raises:
        UnavailableError: the place cannot be written; nothing half-written stays.
    """
    name = "scores-" + hashlib.sha256("".join(one.digest() for one in stretches).encode()).hexdigest()[:20] + ".parquet"
    tables = [_table(one, now or datetime.now(UTC)) for one in stretches if len(one.frame)]
    if not tables:
        return name
    table = pa.concat_tables(tables)
    filesystem, folder = fsspec.core.url_to_fs(path)
    try:
        for part, rows in _parts(table):
            _write(filesystem, f"{folder}/{part}", name, rows)
    except OSError as error:
        raise UnavailableError(f"scores could not be written to {path}: {error.strerror or error}") from error
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
    filesystem, folder = fsspec.core.url_to_fs(path)
    files = [name for name in filesystem.glob(f"{folder}/*/*.parquet") if _overlaps(name, window)]
    if not files:
        nothing: pd.DataFrame = _schema("time").empty_table().to_pandas()
        return nothing
    dataset = pads.dataset(files, filesystem=filesystem, format="parquet", partitioning=None)
    index = "step" if "step" in dataset.schema.names else "time"
    frame: pd.DataFrame = dataset.to_table(filter=_condition(index, assets, models, window)).to_pandas()
    frame = frame.sort_values([*KEY, index, "written_at"], kind="stable", ignore_index=True)
    return frame.drop_duplicates([*KEY, index], keep="last", ignore_index=True) if latest else frame


def _schema(index: str) -> pa.Schema:
    return pa.schema(
        [
            *((name, pa.string()) for name in KEY),
            (index, _STAMP if index == "time" else pa.int64()),
            *((name, pa.float64()) for name in ("score", "actual", "residual")),
            ("alarm", pa.bool_()),
            ("version", pa.int64()),
            *((name, pa.string()) for name in ("role", "result_key", "verdict", "reason")),
            ("written_at", _STAMP),
        ]
    )


def _table(stretch: Stretch, now: datetime) -> pa.Table:
    frame = stretch.frame
    index = "step" if pd.api.types.is_integer_dtype(frame.index.dtype) else "time"
    schema, rows = _schema(index), len(frame)
    constants = {
        "unit": stretch.unit,
        "model": stretch.model,
        "asset_id": stretch.asset,
        "version": stretch.version,
        "role": stretch.role,
        "result_key": stretch.result_key,
        "verdict": stretch.verdict,
        "reason": stretch.reason,
        "written_at": now,
    }
    columns = {name: pa.repeat(pa.scalar(value, schema.field(name).type), rows) for name, value in constants.items()}
    instants = frame.index.as_unit("us").asi8 if isinstance(frame.index, pd.DatetimeIndex) else frame.index.to_numpy()
    columns[index] = pa.array(instants, pa.int64()).cast(schema.field(index).type)
    for name in ("score", "actual", "residual"):
        columns[name] = pa.array(frame[name].to_numpy(dtype="float64"), from_pandas=True)
    columns["alarm"] = pa.array(frame["alarm"].to_numpy(dtype=bool))
    return pa.table([columns[field.name] for field in schema], schema=schema)


def _parts(table: pa.Table) -> Iterator[tuple[str, pa.Table]]:
    """Split rows by the day of their instant, or by every thousand steps."""
    if "step" in table.schema.names:
        blocks = np.floor_divide(table["step"].to_numpy(), _STEPS_PER_FILE) * _STEPS_PER_FILE
        names = {block: f"steps={block}" for block in np.unique(blocks)}
    else:
        blocks = pc.cast(pc.floor_temporal(table["time"], unit="day"), pa.int64()).to_numpy()
        names = {block: f"day={pd.Timestamp(block, unit='us'):%Y-%m-%d}" for block in np.unique(blocks)}
    for block, name in names.items():
        yield name, table.filter(pa.array(blocks == block))


def _write(filesystem: fsspec.AbstractFileSystem, folder: str, name: str, rows: pa.Table) -> None:
    """Write under a name that readers ignore, then rename; a file of this name holds these very scores already."""
    target, draft = f"{folder}/{name}", f"{folder}/.{name}.part"
    if filesystem.exists(target):
        return
    filesystem.makedirs(folder, exist_ok=True)
    try:
        with filesystem.open(draft, "wb") as file:
            pq.write_table(rows, file, compression="zstd")
        filesystem.mv(draft, target)
    except BaseException:
        if filesystem.exists(draft):
            filesystem.rm(draft)
        raise


def _overlaps(file: str, window: Window | None) -> bool:
    """Tell by its folder whether a file may hold instants of the window."""
    kind, _, text = file.split("/")[-2].partition("=")
    if window is None or kind not in {"day", "steps"}:
        return True
    first: Instant = int(text) if kind == "steps" else pd.Timestamp(text, tz="UTC")
    after: Instant = first + _STEPS_PER_FILE if isinstance(first, int) else first + pd.Timedelta(days=1)
    before_end = window.end is None or first < window.end  # type: ignore[operator]
    return bool(before_end and (window.start is None or after > window.start))  # type: ignore[operator]


def _condition(
    index: str, assets: Collection[str] | None, models: Collection[str] | None, window: Window | None
) -> pc.Expression | None:
    def among(column: str, values: Iterable[str]) -> pc.Expression:
        return pc.field(column).isin(pa.array(list(values), pa.string()))

    parts = []
    if assets is not None:
        parts.append(among("asset_id", assets))
    if models is not None:
        parts.append(among("model", models))
    if window is not None and window.start is not None:
        parts.append(pc.field(index) >= _scalar(window.start))
    if window is not None and window.end is not None:
        parts.append(pc.field(index) < _scalar(window.end))
    condition: pc.Expression | None = None
    for part in parts:
        condition = part if condition is None else condition & part
    return condition


def _scalar(instant: Instant) -> pa.Scalar:
    return pa.scalar(instant, pa.int64() if isinstance(instant, int) else _STAMP)
