"""Parquet datasets whose files are named by their content, in a folder per day or thousand steps.

A file is written whole or not at all. Writing the same rows again finds their file there and changes nothing, so a
command that is repeated or resumed needs no lock.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from datadriver import failpoints
from datadriver.data.window import Instant, Window
from datadriver.errors import UnavailableError

if TYPE_CHECKING:
    import fsspec
    import pyarrow.dataset as pads

STAMP = pa.timestamp("us", tz="UTC")
_STEPS_PER_FILE = 1000
_DEAD = timedelta(hours=1)
_AT_ONCE = 8  # files that are looked into, which wait for a remote store most of the time
_MOST_KNOWN = 20_000

_assets_of: dict[str, frozenset[str]] = {}
"""The assets in a file, by its name: what a name holds does not change."""


def instant_type(kind: str) -> pa.DataType:
    """Return the type of a column of instants, for an index of kind `time` or `step`."""
    return STAMP if kind == "time" else pa.int64()


def instant_array(instants: Any, kind: str) -> pa.Array:
    """Return instants as a column: an index of pandas, or whole numbers as `as_number` makes them."""
    numbers = instants.as_unit("us").asi8 if isinstance(instants, pd.DatetimeIndex) else np.asarray(instants)
    return pa.array(numbers, pa.int64()).cast(instant_type(kind))


def write_dataset(  # noqa: PLR0913 - which rows, where to, and what they are
    path: str, name: str, table: pa.Table, *, index: str, what: str, anew: bool = False
) -> None:
    """Write a table into the dataset at `path`: a file of this name for each day (or 1,000 steps) of column `index`.

    Args:
        path: folder or fsspec URL.
        name: of the files; it follows from what they hold.
        table: the rows.
        index: name of the column of instants.
        what: the rows are, for messages.
        anew: whether a file that is there is written again, so that its time of writing is that of `table`.

    Raises:
        UnavailableError: the place cannot be written; nothing half-written stays.
    """
    filesystem, folder = _opened(path)
    try:
        for part, rows in _parts(table, index):
            _write(filesystem, f"{folder}/{part}", name, rows, anew=anew)
    except OSError as error:
        raise UnavailableError(f"{what} could not be written to {path}: {error.strerror or error}") from error


def open_dataset(path: str, window: Window | None = None, assets: Collection[str] | None = None) -> pads.Dataset | None:
    """Open the files that may hold instants of the window, and some of the assets; None where there are no files.

    A process that asks for some assets after the others, which a worker does, reads each file for its own assets only.
    """
    import pyarrow.dataset as pads  # noqa: PLC0415 - an image that answers a question opens no dataset

    filesystem, folder = _opened(path)
    files = [name for name in filesystem.glob(f"{folder}/*/*.parquet") if _overlaps(name, window)]
    if not files:
        return None
    if assets is not None:
        files = _about(filesystem, files, assets) or files[:1]  # one is enough to know the columns
    return pads.dataset(files, filesystem=filesystem, format="parquet", partitioning=None)


def _opened(path: str) -> tuple[fsspec.AbstractFileSystem, str]:
    import fsspec.core  # noqa: PLC0415

    filesystem, folder = fsspec.core.url_to_fs(path)
    return filesystem, folder


def _about(filesystem: fsspec.AbstractFileSystem, files: Sequence[str], assets: Collection[str]) -> list[str]:
    """Return the files that hold rows of some of these assets."""
    import pyarrow.parquet as pq  # noqa: PLC0415

    def held(file: str) -> frozenset[str]:
        with filesystem.open(file, "rb") as stream:
            column = pq.read_table(stream, columns=["asset_id"], read_dictionary=["asset_id"])["asset_id"]
        return frozenset(pc.unique(column).cast(pa.string()).to_pylist())

    if len(_assets_of) > _MOST_KNOWN:
        _assets_of.clear()
    unknown = [file for file in files if file not in _assets_of]
    with ThreadPoolExecutor(_AT_ONCE) as crew:
        _assets_of.update(zip(unknown, crew.map(held, unknown), strict=True))
    return [file for file in files if not _assets_of[file].isdisjoint(assets)]


def condition(index: str, window: Window | None, among: Mapping[str, Collection[str] | None]) -> pc.Expression | None:
    """Return the filter for instants of a window, and for columns whose value must be among some texts (None: any)."""
    parts = [_among(column, values) for column, values in among.items() if values is not None]
    if window is not None and window.start is not None:
        parts.append(pc.field(index) >= _scalar(window.start))
    if window is not None and window.end is not None:
        parts.append(pc.field(index) < _scalar(window.end))
    found: pc.Expression | None = None
    for part in parts:
        found = part if found is None else found & part
    return found


def _among(column: str, values: Iterable[str]) -> pc.Expression:
    return pc.field(column).isin(pa.array(list(values), pa.string()))


def _scalar(instant: Instant) -> pa.Scalar:
    return pa.scalar(instant, pa.int64() if isinstance(instant, int) else STAMP)


def _parts(table: pa.Table, index: str) -> Iterator[tuple[str, pa.Table]]:
    """Split rows by the day of their instant, or by every thousand steps."""
    if pa.types.is_integer(table.schema.field(index).type):
        blocks = np.floor_divide(table[index].to_numpy(), _STEPS_PER_FILE) * _STEPS_PER_FILE
        names = {block: f"steps={block}" for block in np.unique(blocks)}
    else:
        blocks = pc.cast(pc.floor_temporal(table[index], unit="day"), pa.int64()).to_numpy()
        names = {block: f"day={pd.Timestamp(block, unit='us'):%Y-%m-%d}" for block in np.unique(blocks)}
    order = np.argsort(blocks, kind="stable")  # rows of one day stay in their order
    ordered, edges = table.take(pa.array(order)), np.searchsorted(blocks[order], [*names])
    for name, start, end in zip(names.values(), edges, [*edges[1:], len(table)], strict=True):
        yield name, ordered.slice(start, end - start)


def _write(filesystem: fsspec.AbstractFileSystem, folder: str, name: str, rows: pa.Table, *, anew: bool) -> None:
    """Write under a name that readers ignore, then rename; a file of this name holds these very rows already."""
    import pyarrow.parquet as pq  # noqa: PLC0415

    target, draft = f"{folder}/{name}", f"{folder}/.{name}.part"
    if not anew and filesystem.exists(target):
        return
    filesystem.makedirs(folder, exist_ok=True)
    _clear_drafts(filesystem, folder)
    try:
        with filesystem.open(draft, "wb") as file:
            pq.write_table(rows, file, compression="zstd")
        failpoints.reach("dataset-drafted")
        filesystem.mv(draft, target)
    except BaseException:
        if filesystem.exists(draft):
            filesystem.rm(draft)
        raise


def _clear_drafts(filesystem: fsspec.AbstractFileSystem, folder: str) -> None:
    """Remove what killed processes left half-written in a folder; nobody writes a file for an hour."""
    for draft in filesystem.glob(f"{folder}/.*.part"):
        with suppress(FileNotFoundError, NotImplementedError):  # another process was faster; a store without times
            if datetime.now(UTC) - filesystem.modified(draft) > _DEAD:
                filesystem.rm(draft)


def _overlaps(file: str, window: Window | None) -> bool:
    """Tell by its folder whether a file may hold instants of the window."""
    kind, _, text = file.split("/")[-2].partition("=")
    if window is None or kind not in {"day", "steps"}:
        return True
    first: Instant = int(text) if kind == "steps" else pd.Timestamp(text, tz="UTC")
    after: Instant = first + _STEPS_PER_FILE if isinstance(first, int) else first + pd.Timedelta(days=1)
    before_end = window.end is None or first < window.end  # type: ignore[operator]
    return bool(before_end and (window.start is None or after > window.start))  # type: ignore[operator]
