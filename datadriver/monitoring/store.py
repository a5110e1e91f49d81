"""What monitoring found, as two Parquet datasets: facts with the states that follow from them, and readings to draw.

Of rows with the same key the latest written counts. Every file is named by its content, as those of the scores are.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from datadriver.config.locations import is_url, rooted_path
from datadriver.config.sections import UseCase
from datadriver.data.window import Instant, Window, as_instant, as_number
from datadriver.monitoring.facts import Fact, Subject
from datadriver.monitoring.rules import Judged, Memory
from datadriver.serving.dataset import STAMP, condition, instant_array, instant_type, open_dataset, write_dataset
from datadriver.tracking.records import plain

FACT_KEY = ("asset_id", "unit", "model", "check", "window_start", "window_end")
"""What names a row of the facts."""

_TEXTS = ("outcome", "state", "severity", "measure", "about", "reason", "details", "recent", "digest")
_FLOATS = ("value", "limit", "spare")


def monitor_path(usecase: UseCase, root: Path) -> str:
    """Return where `monitor.path` points: relative paths are relative to the use case."""
    path = usecase.monitor.path
    return path if is_url(path) else rooted_path(path, root)


def write_facts(path: str, rows: Sequence[Judged], *, now: datetime | None = None) -> str:
    """Write judged windows into the dataset of facts below `path`, and return the name that its new files share.

    Args:
        path: folder or fsspec URL, of `monitor_path`.
        rows: of a group of assets; none writes nothing.
        now: time of writing; default: this moment.

    Raises:
        UnavailableError: the place cannot be written; nothing half-written stays.
    """
    found = [_values(row) for row in rows]
    digests = [_digest(values) for values in found]
    name = "facts-" + hashlib.sha256("".join(digests).encode()).hexdigest()[:20] + ".parquet"
    if rows:
        kind = "step" if isinstance(rows[0].fact.window.end, int) else "time"
        table = _facts_table(found, digests, kind, now or datetime.now(UTC))
        write_dataset(f"{path}/facts", name, table, index="window_start", what="facts of monitoring")
    return name


def read_facts(path: str, *, assets: Collection[str] | None = None, window: Window | None = None) -> pd.DataFrame:
    """Read facts, sorted by asset, unit, model, check and window.

    Args:
        path: folder or fsspec URL, of `monitor_path`.
        assets: asset ids; default: all.
        window: windows that start inside of it; default: all.

    Returns:
        A row per check and window: `asset_id`, `unit`, `model`, `check`, `window_start` and `window_end`
        (`datetime64[us, UTC]` or int64), `outcome`, `state`, `severity`, `value`, `limit`, `spare`, `measure`, `about`,
        `rows`, `reason`, `version` (missing for checks of data), `details` (JSON), `recent` and `since` (what the check
        remembers, see `monitoring.rules.Memory`), `digest`, `written_at`. Empty where nothing was monitored yet.
    """
    dataset = open_dataset(f"{path}/facts", window, assets)
    if dataset is None:
        nothing: pd.DataFrame = _facts_schema("time").empty_table().to_pandas()
        return nothing
    wanted = condition("window_start", window, {"asset_id": assets})
    frame: pd.DataFrame = dataset.to_table(filter=wanted).to_pandas()
    frame["version"] = frame["version"].astype("Int64")
    if frame["window_end"].dtype == "int64":
        frame["since"] = frame["since"].astype("Int64")
    return _newest(frame, FACT_KEY)


def write_series(path: str, frame: pd.DataFrame) -> str:
    """Write readings in buckets (see `monitoring.series`) into the dataset below `path`; returns the files' name.

    Raises:
        UnavailableError: the place cannot be written; nothing half-written stays.
    """
    kind = "step" if "step" in frame.columns else "time"
    table = pa.table(
        {
            "asset_id": pa.array(frame["asset_id"].to_numpy(dtype=object), pa.string()),
            "tag": pa.array(frame["tag"].to_numpy(dtype=object), pa.string()),
            kind: instant_array(pd.DatetimeIndex(frame[kind]) if kind == "time" else frame[kind].to_numpy(), kind),
            **{name: pa.array(frame[name].to_numpy("float64"), from_pandas=True) for name in ("mean", "min", "max")},
            "rows": pa.array(frame["rows"].to_numpy("int64")),
        }
    )
    digest = hashlib.sha256()
    for column in table.combine_chunks().columns:
        for buffer in column.chunk(0).buffers() if column.num_chunks else ():
            digest.update(b"" if buffer is None else buffer)
    name = f"series-{digest.hexdigest()[:20]}.parquet"
    if len(table):
        stamps = pa.repeat(pa.scalar(datetime.now(UTC), STAMP), len(table))
        written = table.append_column("written_at", stamps)
        write_dataset(f"{path}/series", name, written, index=kind, what="readings for the report")
    return name


def read_series(path: str, *, assets: Collection[str] | None = None, window: Window | None = None) -> pd.DataFrame:
    """Read what reports draw, sorted by asset, tag and instant, so that a report never reads sources.

    Returns:
        A row per asset, tag and bucket: `asset_id`, `tag`, `time` or `step` (the bucket's start), `mean`, `min`, `max`
        and `rows` (readings that have a value), `written_at`. Empty where nothing was monitored yet.
    """
    dataset = open_dataset(f"{path}/series", window, assets)
    if dataset is None:
        return pd.DataFrame(columns=["asset_id", "tag", "time", "mean", "min", "max", "rows", "written_at"])
    kind = "step" if "step" in dataset.schema.names else "time"
    frame: pd.DataFrame = dataset.to_table(filter=condition(kind, window, {"asset_id": assets})).to_pandas()
    return _newest(frame, ("asset_id", "tag", kind))


def row_digest(row: Judged) -> str:
    """Return a digest of everything that is stored about a window of a check, but for the time of writing."""
    return _digest(_values(row))


def fact_of(row: Mapping[str, Any]) -> Fact:
    """Return the fact behind a row of `read_facts`."""
    return Fact(
        Subject(row["asset_id"], row["unit"], row["model"]),
        row["check"],
        Window(as_instant(row["window_start"]), as_instant(row["window_end"])),
        row["outcome"],
        value=_number(row["value"]),
        limit=_number(row["limit"]),
        unit=row["measure"],
        about=row["about"],
        rows=int(row["rows"]),
        reason=row["reason"],
        version=None if pd.isna(row["version"]) else int(row["version"]),
        details=json.loads(row["details"]),
        spare=_number(row["spare"]),
    )


def memory_of(row: Mapping[str, Any]) -> Memory:
    """Return what a check remembered after a row of `read_facts`."""
    since: Instant | None = None if pd.isna(row["since"]) else as_instant(row["since"])
    return Memory(row["recent"], since, None if pd.isna(row["version"]) else int(row["version"]))


def _digest(values: Mapping[str, Any]) -> str:
    return hashlib.sha256(repr(values).encode()).hexdigest()[:24]


def _number(value: Any) -> float | None:
    return None if pd.isna(value) else float(value)


def _values(row: Judged) -> dict[str, Any]:
    fact, window = row.fact, row.fact.window
    assert window.start is not None  # noqa: S101 - facts are about windows with both ends
    assert window.end is not None  # noqa: S101
    since = row.memory.since
    return {
        "asset_id": fact.subject.asset,
        "unit": fact.subject.unit,
        "model": fact.subject.model,
        "check": fact.check,
        "window_start": as_number(window.start),
        "window_end": as_number(window.end),
        "outcome": fact.outcome,
        "state": row.state,
        "severity": row.severity,
        "value": plain(fact.value),
        "limit": plain(fact.limit),
        "spare": plain(fact.spare),
        "measure": fact.unit,
        "about": fact.about,
        "rows": int(fact.rows),
        "reason": fact.reason,
        "version": row.memory.version,
        "details": json.dumps(plain(fact.details), sort_keys=True, ensure_ascii=False),
        "recent": row.memory.recent,
        "since": None if since is None else as_number(since),
    }


def _facts_table(found: Sequence[Mapping[str, Any]], digests: Sequence[str], kind: str, now: datetime) -> pa.Table:
    schema = _facts_schema(kind)
    columns = {name: [values[name] for values in found] for name in found[0]}
    columns |= {"digest": list(digests), "written_at": [now] * len(found)}
    return pa.table([_column(columns[field.name], field) for field in schema], schema=schema)


def _column(values: list[Any], field: pa.Field) -> pa.Array:
    if field.name in ("window_start", "window_end", "since"):
        return pa.array(values, pa.int64()).cast(field.type)
    return pa.array(values, field.type)


def _facts_schema(kind: str) -> pa.Schema:
    types = {name: pa.string() for name in _TEXTS} | {name: pa.float64() for name in _FLOATS}
    types |= {name: pa.string() for name in FACT_KEY[:4]} | {"rows": pa.int64(), "version": pa.int64()}
    types |= {name: instant_type(kind) for name in ("window_start", "window_end", "since")} | {"written_at": STAMP}
    return pa.schema([(name, types[name]) for name in _COLUMNS])


_COLUMNS = (
    *FACT_KEY,
    *("outcome", "state", "severity", "value", "limit", "spare", "measure", "about", "rows", "reason", "version"),
    *("details", "recent", "since", "digest", "written_at"),
)


def _newest(frame: pd.DataFrame, key: Sequence[str]) -> pd.DataFrame:
    frame = frame.sort_values([*key, "written_at"], kind="stable", ignore_index=True)
    return frame.drop_duplicates(list(key), keep="last", ignore_index=True)
