"""Readings as reports draw them: each numeric tag in a few buckets per window, all tags in one pass."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from datadriver.config.sections import UseCase
from datadriver.data.frame import SensorFrame
from datadriver.data.spans import bin_size
from datadriver.data.window import Window, as_number, frame_index, span_number
from datadriver.monitoring.rows import instants_of
from datadriver.monitoring.windows import length_of

BUCKETS = 24
"""Buckets of a window; fewer where its rows are further apart than that."""


def bucket_size(usecase: UseCase) -> int:
    """Return the length of a bucket in microseconds or steps."""
    return max(1, bin_size(usecase) or 1, span_number(length_of(usecase)) // BUCKETS)


def series(sensor: SensorFrame, windows: Sequence[Window], usecase: UseCase) -> pd.DataFrame:
    """Return mean, least and greatest value of each numeric tag in each bucket of the windows.

    Args:
        sensor: The asset's frame.
        windows: One after the other; rows outside of them do not count.
        usecase: With the overrides of the asset applied.

    Returns:
        Columns `asset_id`, `tag`, `time` or `step` (start of the bucket), `mean`, `min`, `max` and `rows` (those with
        a value). Buckets without a value of a tag are left out.
    """
    kind = usecase.data.index
    numeric = sensor.frame.select_dtypes("number")
    at = instants_of(sensor.frame.index)
    inside = np.zeros(len(at), dtype=bool)
    for window in windows:
        inside |= (at >= as_number(window.start or 0)) & (at < as_number(window.end or 0))
    at, values = at[inside], numeric.to_numpy("float64", na_value=np.nan)[inside]
    size = bucket_size(usecase)
    codes = at // size
    starts = np.flatnonzero(np.append(True, codes[1:] != codes[:-1])) if len(codes) else codes
    if not len(starts) or not numeric.shape[1]:
        return _table(sensor.asset.id, [], frame_index(codes[:0], kind), np.empty((0, 4)))
    known = np.isfinite(values)
    counts = np.add.reduceat(known, starts, axis=0, dtype="int64")
    low, high = np.fmin.reduceat(values, starts, axis=0), np.fmax.reduceat(values, starts, axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.add.reduceat(np.where(known, values, 0.0), starts, axis=0) / counts
    bucket, tag = np.nonzero(counts)
    figures = np.column_stack([part[bucket, tag] for part in (mean, low, high, counts)])
    names = [str(numeric.columns[place]) for place in tag.tolist()]
    return _table(sensor.asset.id, names, frame_index(codes[starts][bucket] * size, kind), figures)


def _table(asset: str, tags: list[str], index: pd.Index, figures: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "asset_id": pd.Series([asset] * len(tags), dtype="str"),
            "tag": pd.Series(tags, dtype="str"),
            str(index.name): index,
            **{name: figures[:, place] for place, name in enumerate(("mean", "min", "max"))},
            "rows": figures[:, 3].astype("int64"),
        }
    )
