"""The export: one Parquet file per pump, with the plant's own column names and whatever stood in the cells."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from datadriver.config.slugs import slug

from pumps.simulator.dirt import Export

COLUMNS = {
    "intake_pressure": ("PI_INTAKE.PV", 2),
    "discharge_pressure": ("PI_DISCH.PV", 2),
    "motor_temperature": ("TI_MOTOR.PV", 2),
    "vibration": ("VI_PUMP.PV", 4),
    "current": ("II_MOTOR.PV", 2),
    "frequency": ("SI_DRIVE.PV", 2),
    "flow": ("FI_WELL.PV", 1),
}
"""Column and number of decimals of each tag."""


def write_export(export: Export, path: Path) -> None:
    """Write one pump's table; a column with words among its numbers is text, as historians export it."""
    columns = {"ts": pa.array(export.stamps.astype("datetime64[us]"))}
    for tag, (column, decimals) in COLUMNS.items():
        numbers = pa.array(np.round(export.values[tag], decimals))
        columns[column] = _with_words(numbers, export.words[tag]) if tag in export.words else numbers
    pq.write_table(pa.table(columns), path, compression="zstd")


def _with_words(numbers: pa.Array, words: np.ndarray) -> pa.Array:
    said = pa.array(words, type=pa.string(), from_pandas=True)
    return pc.coalesce(said, pc.cast(numbers, pa.string()))


def file_stem(asset_id: str) -> str:
    """Return the file name of a pump: its id, or the slug of an id that cannot be one."""
    return slug(asset_id) if "/" in asset_id or "\\" in asset_id else asset_id
