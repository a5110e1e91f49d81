"""Values of one tag: text among numbers, listed nulls, impossible readings; each kind is counted."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from datadriver.config.sections import Tag
from datadriver.data.frame import Instants, Issue, IssueKind

Floats = npt.NDArray[np.float64]
Values = Floats | npt.NDArray[np.object_]

_WORDS = {"true": 1.0, "false": 0.0}


@dataclass(frozen=True)
class Notation:
    """How numbers are written where a column is text."""

    decimal: str = "."
    thousands: str | None = None


@dataclass(frozen=True)
class Cleaned:
    """Values of a tag, NaN (None for text) where there is none, and what was noticed."""

    values: Values
    issues: tuple[Issue, ...] = ()


def clean(  # noqa: PLR0913 - the column, and where it comes from
    column: pd.Series, tag: Tag, *, source: str, name: str, notation: Notation, at: Instants | None = None
) -> Cleaned:
    """Return a tag's values as float64, or as text where the tag says so; `at` are the instants of the rows."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype(column.cat.categories.dtype)
    if tag.type == "text":
        return _texts(column, tag, source, name)
    issues: list[Issue] = []

    def count(kind: IssueKind, flags: npt.NDArray[np.bool_], shown: Any) -> None:
        total = int(np.count_nonzero(flags))
        if total:
            where = None if at is None else at[flags]
            issues.append(Issue(source, name, kind, total, _examples(np.asarray(shown)[flags]), where))

    numbers, text = to_numbers(column, notation)
    listed = _is_listed(numbers, tag)
    if text is not None:
        listed_text = text.isin(_listed_texts(tag)).to_numpy()
        count("unexpected_text", np.isnan(numbers) & text.ne("").to_numpy() & ~listed_text, text)
        listed |= listed_text
    count("listed_null", listed, column.to_numpy())
    impossible = _is_impossible(numbers, tag) & ~listed
    count("out_of_range", impossible, numbers)
    if listed.any() or impossible.any():
        numbers = np.where(listed | impossible, np.nan, numbers)
    return Cleaned(numbers, tuple(issues))


def to_numbers(column: pd.Series, notation: Notation) -> tuple[Floats, pd.Series | None]:
    """Return a column as float64, and the texts (stripped, empty for none) that it was read from, if any.

    Booleans are 0 and 1, stamps seconds since 1970, lengths of time seconds.
    """
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        column = column.dt.as_unit("us").astype("int64").where(column.notna()) / 1e6
    elif pd.api.types.is_timedelta64_dtype(column.dtype):
        column = column.dt.total_seconds()
    if pd.api.types.is_numeric_dtype(column.dtype):
        return column.to_numpy(dtype="float64", na_value=np.nan), None
    text = column.where(column.notna(), "").astype(str).str.strip()
    plain = text
    if notation.thousands:
        plain = plain.str.replace(notation.thousands, "", regex=False)
    if notation.decimal != ".":
        plain = plain.where(~plain.str.contains(".", regex=False), "")
        plain = plain.str.replace(notation.decimal, ".", regex=False)
    numbers = pd.to_numeric(plain, errors="coerce").to_numpy(dtype="float64", na_value=np.nan)
    words = text.str.lower().map(_WORDS).to_numpy(dtype="float64", na_value=np.nan)
    return np.where(np.isnan(numbers), words, numbers), text


def is_number_like(column: pd.Series, notation: Notation) -> bool:
    """Tell whether an undeclared column is a tag: numbers, or text of which most is numbers, or empty."""
    if isinstance(column.dtype, pd.CategoricalDtype) or pd.api.types.is_datetime64_any_dtype(column.dtype):
        return False
    numbers, text = to_numbers(column, notation)
    if text is None:
        return True
    return int(np.count_nonzero(~np.isnan(numbers))) * 2 >= int(text.ne("").sum())


def _texts(column: pd.Series, tag: Tag, source: str, name: str) -> Cleaned:
    values = np.empty(len(column), dtype=object)
    values[:] = [None if pd.isna(value) else str(value).strip() or None for value in column]
    listed = pd.Series(values, dtype=object).isin(_listed_texts(tag)).to_numpy()
    if not listed.any():
        return Cleaned(values)
    issue = Issue(source, name, "listed_null", int(listed.sum()), _examples(values[listed]))
    values[listed] = None
    return Cleaned(values, (issue,))


def _listed_texts(tag: Tag) -> list[str]:
    return [str(null).strip() for null in tag.nulls]


def _is_listed(numbers: Floats, tag: Tag) -> npt.NDArray[np.bool_]:
    """Flag listed numbers; the tolerance is that of float32, in which many historians store."""
    listed = np.zeros(len(numbers), dtype=bool)
    for value in _numbers_in(tuple(tag.nulls)):
        listed |= np.isclose(numbers, value, rtol=1e-6, atol=1e-12)
    return listed


@lru_cache(maxsize=256)
def _numbers_in(nulls: tuple[str | float, ...]) -> tuple[float, ...]:
    found = (pd.to_numeric(null, errors="coerce") for null in nulls)
    return tuple(float(value) for value in found if np.isfinite(value))


def _is_impossible(numbers: Floats, tag: Tag) -> npt.NDArray[np.bool_]:
    low, high = tag.range or (None, None)
    flags = np.isinf(numbers)
    if low is not None:
        flags |= numbers < low
    if high is not None:
        flags |= numbers > high
    return flags


def _examples(values: Any) -> tuple[str, ...]:
    return tuple(dict.fromkeys(str(value) for value in values[:50]))[:3]
