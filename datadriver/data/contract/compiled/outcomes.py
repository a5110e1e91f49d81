"""Results in the form of Great Expectations' `SUMMARY`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from datadriver.data.contract.column import Column
from datadriver.data.contract.compiled.given import Uncompiled
from datadriver.data.contract.engine import EXAMPLES, Outcome
from datadriver.data.contract.measures import Flags
from datadriver.data.contract.view import View


class Missing(Exception):  # noqa: N818 - a finding, told as Great Expectations tells it
    """Raised where the frame lacks a column."""

    def __init__(self, name: str) -> None:
        super().__init__(f'Error: The column "{name}" in BatchData does not exist.')


def column_of(view: View, name: str, *kinds: str) -> Column:
    """Return a column of one of some kinds.

    Raises:
        Missing: if the frame lacks it.
        Uncompiled: if it is of another kind.
    """
    column = view.find(name)
    if column is None:
        raise Missing(name)
    if kinds and column.kind not in kinds:
        raise Uncompiled(f"{name} is {column.series.dtype}")
    return column


def of_values(view: View, column: Column, unexpected: Flags, mostly: float) -> Outcome:
    """Return the outcome of an expectation on a column's values, nulls left out.

    Args:
        view: The frame.
        column: The column.
        unexpected: Which of the values, without nulls, are not as expected.
        mostly: The share that must be.
    """
    found = int(np.count_nonzero(unexpected))
    rows = column.rows[np.flatnonzero(unexpected)[:EXAMPLES]] if found else _NO_ROWS
    return of_rows(view.rows, found, rows, column.at(rows) if found else [], mostly, judged=column.count)


def of_rows(  # noqa: PLR0913 - the parts of one result
    total: int,
    found: int,
    rows: npt.NDArray[np.intp],
    values: Sequence[Any],
    mostly: float,
    *,
    judged: int | None,
) -> Outcome:
    """Return the outcome of an expectation on rows.

    Args:
        total: Number of rows.
        found: Number of unexpected ones.
        rows: The positions of the first of them.
        values: What stands there.
        mostly: The share of the rows judged that must be as expected.
        judged: Number of rows judged; None where nulls are judged too, and not counted as missing.
    """
    considered = total if judged is None else judged
    of_total, of_judged = _percent(found, total), _percent(found, considered)
    result: dict[str, Any] = {
        "element_count": total,
        "unexpected_count": found,
        "unexpected_percent": of_judged,
        "partial_unexpected_list": list(values),
        "partial_unexpected_index_list": rows.tolist(),
    }
    if judged is not None:
        result |= {
            "missing_count": total - judged,
            "missing_percent": _percent(total - judged, total),
            "unexpected_percent_total": of_total,
            "unexpected_percent_nonmissing": of_judged,
        }
    counts = _counts(values)
    if counts is not None:
        result["partial_unexpected_counts"] = counts
    # Not `found / considered <= 1 - mostly`, which differs in the last bit: 1 of 5 is within `mostly: 0.8`.
    return Outcome(not considered or (considered - found) / considered >= mostly, result)


def _percent(count: int, total: int) -> float | None:
    return count / total * 100 if total else None


def _counts(values: Sequence[Any]) -> list[dict[str, Any]] | None:
    """Count the examples; None where they cannot be put in order."""
    keys = [tuple(value.values()) if isinstance(value, dict) else value for value in values]
    try:
        common = sorted(Counter(keys).most_common(EXAMPLES), key=lambda pair: (-pair[1], pair[0]))
    except TypeError:
        return None
    return [{"value": value, "count": count} for value, count in common]


_NO_ROWS = np.array([], dtype=np.intp)
