"""A column to be judged: its nulls, its values and its figures, each found out once, when first asked for."""

from __future__ import annotations

from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from datadriver.data.contract.measures import Flags, Values, as_values

Kind = Literal["number", "time", "text", "other"]


class Column:
    """A column with the passes over it that checks share.

    Figures are pandas' own and not numpy's, because Great Expectations takes them from pandas: the last bit is theirs.
    """

    def __init__(self, series: pd.Series) -> None:
        self.series = series

    @cached_property
    def kind(self) -> Kind:
        """What the column holds: numbers as float64 or int64, aware times, texts, or something else."""
        dtype = self.series.dtype
        if isinstance(dtype, np.dtype):  # asked first: pandas' types are slow to compare with numpy's
            return "number" if dtype in (np.float64, np.int64) else "other"
        if isinstance(dtype, pd.DatetimeTZDtype):
            return "time"
        return "text" if isinstance(dtype, pd.StringDtype) else "other"

    @cached_property
    def raw(self) -> npt.NDArray[Any]:
        """Every row of a column of numbers, or of times as whole numbers."""
        return pd.DatetimeIndex(self.series).asi8 if self.kind == "time" else self.series.to_numpy()

    @cached_property
    def present(self) -> Flags:
        """Which rows hold a value."""
        if self.kind == "number":
            return np.asarray(~np.isnan(self.raw))
        if self.kind == "time":
            return np.asarray(self.raw != pd.NaT.value)
        return np.asarray(self.series.notna())

    @cached_property
    def count(self) -> int:
        """Number of values."""
        return int(np.count_nonzero(self.present))

    @cached_property
    def full(self) -> bool:
        """Whether no row is null."""
        return self.count == len(self.series)

    @cached_property
    def valid(self) -> pd.Series:
        """The values, without nulls."""
        return self.series if self.full else self.series[self.present]

    @cached_property
    def array(self) -> npt.NDArray[Any]:
        """The raw values, without nulls."""
        return self.raw if self.full else self.raw[self.present]

    @cached_property
    def rows(self) -> npt.NDArray[np.intp]:
        """The positions of the values."""
        return np.flatnonzero(self.present)

    @cached_property
    def codes(self) -> Values:
        """Every row as a number: numbers as they are, one for each distinct value of anything else; null is NaN."""
        return as_values(self.series)

    @cached_property
    def mean(self) -> Any:
        """The mean of the values."""
        return self.series.mean()

    @cached_property
    def stdev(self) -> Any:
        """The standard deviation of the values, as of a sample."""
        return self.series.std()

    @cached_property
    def distinct(self) -> int:
        """Number of distinct values."""
        return int(self.series.nunique())

    def at(self, rows: npt.NDArray[np.intp]) -> list[Any]:
        """Return the values at some positions, as Python has them."""
        return list(self.series.iloc[rows])
