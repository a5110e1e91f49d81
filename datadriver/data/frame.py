"""The sensor frame: one asset's tags on one clock, with what was noticed while it was read."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from datadriver.config.fleet import Asset
from datadriver.data.window import Window

IssueKind = Literal[
    "duplicate",
    "unsorted",
    "backward_jump",
    "ambiguous",
    "nonexistent",
    "bad_stamp",
    "unexpected_text",
    "listed_null",
    "out_of_range",
    "missing_tag",
    "gap",
]


Instants = npt.NDArray[np.int64]
"""Places on the index: microseconds since 1970 in UTC, or steps."""


@dataclass(frozen=True)
class Issue:
    """One kind of dirt met in one source (and tag), with its count and a few examples.

    `at` says where on the index each case is, where that is known. It is no part of what the issue is: equality does
    not look at it, and it stays behind when an issue goes to another process.
    """

    source: str
    tag: str | None
    kind: IssueKind
    count: int
    examples: tuple[str, ...] = ()
    at: Instants | None = field(default=None, compare=False, repr=False)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "at": None}


@dataclass(frozen=True)
class SensorFrame:
    """What is known of one asset in a window.

    `frame` has a strictly increasing index named `time` (`datetime64[us, UTC]`) or `step` (int64), and a
    column per tag: float64, or str for tags of type text. `roles` and `units` are by column; `rows_read`
    counts the raw rows of each source, before anything was dropped or merged. `readings` has, for each column of
    numbers that is binned, the sorted instants of the raw readings that have a value.
    """

    asset: Asset
    frame: pd.DataFrame
    roles: Mapping[str, str] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)
    issues: tuple[Issue, ...] = ()
    window: Window = field(default_factory=Window)
    rows_read: Mapping[str, int] = field(default_factory=dict)
    readings: Mapping[str, Instants] = field(default_factory=dict, compare=False, repr=False)

    def digest(self) -> str:
        """Return the sha256 of names, index and values; NaN payloads, -0.0, units and layout do not matter."""
        return self._digest

    @cached_property
    def _digest(self) -> str:
        return frame_digest(self.frame)  # once for all models of an asset


def frame_digest(frame: pd.DataFrame) -> str:
    """Return the sha256 of a frame's column names, index and values; the order of columns counts."""
    digest = hashlib.sha256()
    digest.update(repr([str(name) for name in frame.columns]).encode())
    digest.update(_index_bytes(frame.index))
    for position in range(frame.shape[1]):
        digest.update(_column_bytes(frame.iloc[:, position]))
    return digest.hexdigest()


def _index_bytes(index: pd.Index) -> bytes:
    if isinstance(index, pd.DatetimeIndex):
        return b"time" + index.as_unit("us").asi8.astype("<i8").tobytes()
    return b"step" + index.to_numpy().astype("<i8").tobytes()


def _column_bytes(column: pd.Series) -> bytes:
    if pd.api.types.is_numeric_dtype(column.dtype):
        values = column.to_numpy(dtype="float64", na_value=np.nan) + 0.0  # -0.0 + 0.0 is 0.0
        values[np.isnan(values)] = np.nan
        return b"number" + values.astype("<f8").tobytes()
    # The length before each text keeps ["ab", "c"] and ["a", "bc"] apart.
    texts = (None if pd.isna(value) else str(value).encode() for value in column)
    return b"text" + b"".join(b"-;" if text is None else b"%d;%b" % (len(text), text) for text in texts)
