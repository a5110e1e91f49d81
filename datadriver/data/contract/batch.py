"""The frame as Great Expectations sees it: the index as its first column, and what is known beyond its values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from datadriver.data.frame import Issue, SensorFrame
from datadriver.data.window import Instant
from datadriver.errors import DataError

KEY = "datadriver"


@dataclass(frozen=True)
class Reading:
    """How a frame was read: its index, the instant at which it is judged and what reading it ran into.

    Attached to the frame's `attrs`, so that it reaches our expectations through Great Expectations' engine.
    """

    index: str
    now: int | None = None
    issues: tuple[Issue, ...] = ()
    rows_read: Mapping[str, int] = field(default_factory=dict)

    def __deepcopy__(self, memo: dict[int, Any]) -> Reading:
        return self  # pandas copies attrs with every operation, and a frozen object is as good as its copy


def reading_of(sensor: SensorFrame, *, now: Instant | None = None) -> Reading:
    """Return how the sensor frame was read.

    It is judged as of the end of its window, else as of `now`, else, where the index is time, as of this moment.

    Raises:
        DataError: if a tag has the name of the index.
    """
    name = str(sensor.frame.index.name)
    if name in sensor.frame.columns:
        raise DataError(
            f"{sensor.asset.id}, contract: a tag has the name of the index, {name!r}; rename it with `from`"
        )
    end = sensor.window.end if sensor.window.end is not None else now
    return Reading(name, _instant(end), sensor.issues, sensor.rows_read)


def to_batch(sensor: SensorFrame, *, now: Instant | None = None) -> pd.DataFrame:
    """Return the sensor frame with its index as the first column, `time` or `step`, and its `Reading` attached.

    Raises:
        DataError: if a tag has the name of the index.
    """
    reading = reading_of(sensor, now=now)
    frame = sensor.frame.copy(deep=False)
    frame.insert(0, reading.index, frame.index)
    frame.index = pd.RangeIndex(len(frame))
    frame.attrs = {KEY: reading}
    return frame


def _instant(value: Instant | None) -> int | None:
    if value is None or isinstance(value, (int, np.integer)):
        return None if value is None else int(value)
    return int(value.as_unit("us").asm8.astype(np.int64))
