"""A draft suite from good history, for the scientist to edit: every figure says how it came about.

The history that it was made from meets it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, get_args

import numpy as np
import pandas as pd

from datadriver.data.contract.batch import to_batch
from datadriver.data.contract.measures import Values, as_values, interval, longest_gap
from datadriver.data.contract.view import View
from datadriver.data.frame import IssueKind, SensorFrame
from datadriver.errors import DataError

_TAILS = (0.001, 0.999)
_NICE_SECONDS = [1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 900, 1200, 1800]
_NICE_SECONDS += [hours * 3600 for hours in (1, 2, 3, 4, 6, 8, 12, 18, 24, 36, 48, 72, 96, 120, 168, 240, 336, 720)]
_MOST_DISTINCT_TEXTS = 20
_TRIES = 12


def profile(frames: Sequence[SensorFrame], *, name: str = "sensors") -> dict[str, Any]:
    """Return a draft suite, in Great Expectations' JSON, that these frames meet.

    Args:
        frames: Good history of one or more assets; frames without any value are left out.
        name: Name of the suite.

    Raises:
        DataError: if no frame has a value.
    """
    frames = [frame for frame in frames if frame.frame.notna().to_numpy().any()]
    if not frames:
        raise DataError("there is no history to profile: give at least one asset with values in its window")
    views = [View.of(to_batch(frame)) for frame in frames]
    columns = list(dict.fromkeys(str(column) for frame in frames for column in frame.frame.columns))
    expectations = [*_of_frame(views), *_of_reading(frames)]
    skipped: list[str] = []
    for column in columns:
        holders = [view for view in views if column in view.frame.columns]
        expectations += list(_of_column(column, holders, len(views), skipped))
    return {"name": name, "expectations": expectations, "meta": {"notes": _notes([_origin(frames), *skipped])}}


def _origin(frames: Sequence[SensorFrame]) -> str:
    rows, assets = sum(len(frame.frame) for frame in frames), {frame.asset.id for frame in frames}
    shown = ", ".join(sorted(assets)[:5]) + (", ..." if len(assets) > 5 else "")
    return (
        f"Drafted from {rows:,} rows of {len(assets)} assets ({shown}). Edit it: history says what was, not what is "
        f"right. Freshness is not in history; add expect_data_to_be_fresh where scores need fresh data."
    )


def _notes(texts: Sequence[str]) -> dict[str, Any]:
    """Return notes in the form that Data Docs show."""
    return {"format": "string", "content": list(texts)}


def _expect(name: str, note: str, severity: str = "critical", /, **kwargs: Any) -> dict[str, Any]:
    return {"type": name, "kwargs": kwargs, "severity": severity, "meta": {"notes": _notes([note])}}


def _of_frame(views: Sequence[View]) -> Iterator[dict[str, Any]]:
    index, first = views[0].index, views[0]
    yield _expect(
        "expect_column_values_to_be_increasing",
        "The frame's index; reading sorts it and counts what was out of order.",
        column=index,
        strictly=True,
    )
    widest = max(longest_gap(view.at, view.present(None)) for view in views)
    if widest:
        yield _expect(
            "expect_column_gaps_to_be_at_most",
            f"Twice the longest stretch without any value, {first.show(widest)}.",
            "warning",
            max_gap=_span(first, 2 * widest),
        )
    seen = [step for view in views if (step := interval(view.at, view.present(None)))]
    if len(seen) == len(views):
        yield _expect(
            "expect_sampling_rate_to_be_between",
            f"Rows are {first.show(min(seen))} to {first.show(max(seen))} apart (medians); half and twice that.",
            "warning",
            min_interval=_floor_span(first, min(seen) / 2),
            max_interval=_span(first, 2 * max(seen)),
        )


def _of_reading(frames: Sequence[SensorFrame]) -> Iterator[dict[str, Any]]:
    kinds = dict.fromkeys((*("duplicate", "unsorted", "unexpected_text", "out_of_range"), *_met(frames)))
    for kind in kinds:
        worst = max(_worst_share(frame, kind) for frame in frames)
        seen = f"seen in up to {worst:.3%} of a source's rows; twice that" if worst else "not seen in this history"
        yield _expect(
            "expect_read_issues_to_be_at_most",
            f"{kind}: {seen}, and never below 0.1%.",
            "warning",
            kind=kind,
            max_share=min(1.0, max(0.001, _up(2 * worst))),
        )


def _met(frames: Sequence[SensorFrame]) -> list[str]:
    """Return the kinds of issues that reading met; missing tags, listed nulls and gaps have better checks."""
    met = {issue.kind for frame in frames for issue in frame.issues}
    return [kind for kind in get_args(IssueKind) if kind in met and kind not in ("missing_tag", "listed_null", "gap")]


def _worst_share(frame: SensorFrame, kind: str) -> float:
    shares = [_share(issue.count, frame.rows_read.get(issue.source, 0)) for issue in frame.issues if issue.kind == kind]
    return max(shares, default=0.0)


def _share(count: int, rows: int) -> float:
    return min(count / rows, 1.0) if rows else float(count > 0)


def _of_column(column: str, views: Sequence[View], total: int, skipped: list[str]) -> Iterator[dict[str, Any]]:
    if len(views) == total:
        yield _expect("expect_column_to_exist", "Every asset has it.", column=column)
    filled = [view for view in views if view.frame[column].notna().any()]
    if len(filled) < total:
        skipped.append(f"{column}: {total - len(filled)} of {total} assets have no values of it, so nulls are allowed.")
    else:
        yield from _nulls(column, filled)
    if not filled or len(views) < total:
        return
    same = pd.concat([view.frame[column] for view in filled]).dropna().unique()
    if len(same) == 1:
        skipped.append(f"{column}: it is always {same[0]} in this history; nothing is proposed for its values.")
    elif pd.api.types.is_numeric_dtype(filled[0].frame[column]):
        yield from _values(column, filled, skipped)
        yield from _frozen(column, filled, skipped)
    else:
        yield from _texts(column, filled)


def _nulls(column: str, views: Sequence[View]) -> Iterator[dict[str, Any]]:
    worst = max(float(view.frame[column].isna().mean()) for view in views)
    mostly = math.floor((1 - 1.5 * worst - 0.01) * 100) / 100
    if mostly > 0:
        note = f"Up to {worst:.2%} of an asset's values are null; half as much again and 1% more."
        yield _expect("expect_column_values_to_not_be_null", note, "warning", column=column, mostly=mostly)


def _values(column: str, views: Sequence[View], skipped: list[str]) -> Iterator[dict[str, Any]]:
    samples = [_finite(view.frame[column]) for view in views]
    if any(sample.size == 0 for sample in samples):
        skipped.append(f"{column}: an asset has infinite values only; no range is proposed.")
        return
    low, high = _range(np.concatenate(samples))
    worst = max(_outside(view.frame[column], low, high) for view in views)
    mostly = math.floor((1 - max(2 * worst, 0.001)) * 1000) / 1000
    note = (
        f"0.1% and 99.9% quantiles of all assets, widened by a quarter of the distance and rounded outwards; "
        f"up to {worst:.2%} of an asset's values are outside, and twice that is allowed."
    )
    if mostly > 0:
        yield _expect(
            "expect_column_values_to_be_between", note, column=column, min_value=low, max_value=high, mostly=mostly
        )


def _finite(series: pd.Series) -> Values:
    values = as_values(series)
    return values[np.isfinite(values)]


def _outside(series: pd.Series, low: float, high: float) -> float:
    values = series.dropna()
    return float(((values < low) | (values > high)).mean())


def _range(values: Values) -> tuple[float, float]:
    """Return a widened, rounded range; one that touches or stays on one side of zero does not cross it."""
    low, high = (float(value) for value in np.quantile(values, _TAILS))
    room = (high - low) / 4 or abs(high) / 4
    grain = _grain((high - low + 2 * room) / 20)
    wide_low = _round(low - room, grain, math.floor)
    wide_high = _round(high + room, grain, math.ceil)
    return (max(wide_low, 0.0) if low >= 0 else wide_low, min(wide_high, 0.0) if high <= 0 else wide_high)


def _grain(least: float) -> float:
    """Return the smallest of 1, 2, 5, 10, ... in all powers of ten that is not below `least`."""
    power = 10.0 ** math.floor(math.log10(least))
    return float(next(step * power for step in (1, 2, 5, 10) if step * power >= least))


def _round(value: float, grain: float, how: Callable[[float], int]) -> float:
    return float(f"{how(value / grain) * grain:.12g}")


def _frozen(column: str, views: Sequence[View], skipped: list[str]) -> Iterator[dict[str, Any]]:
    first = views[0]
    for resting in ([], [0.0]):
        limit = _frozen_limit(column, views, resting)
        if limit is not None:
            seen = max(_longest(view, column, limit, resting) for view in views)
            still = ", not counting 0" if resting else ""
            note = f"Twice the longest run of equal values, {first.show(seen)}{still}, and no less than three readings."
            kwargs = {"except_values": resting} if resting else {}
            yield _expect(
                "expect_column_values_to_not_be_frozen", note, column=column, max_duration=_span(first, limit), **kwargs
            )
            return
    skipped.append(f"{column}: an asset holds one value for half of this history; frozen values have no limit.")


def _frozen_limit(column: str, views: Sequence[View], resting: Sequence[float]) -> int | None:
    """Return a limit that no run reaches, about twice the longest; None where runs take a quarter of the history.

    A run bridges pauses shorter than the limit, so a longer limit can find longer runs: try until they fit.
    """
    history = max(int(view.at[-1] - view.at[0]) for view in views)
    steps = [step for view in views if (step := interval(view.at, view.present(column)))]
    limit = _nice(views[0], 3 * max(steps)) if steps else 0
    for _ in range(_TRIES):
        if not 0 < limit <= history:
            break
        wanted = _nice(views[0], 2 * max(_longest(view, column, limit, resting) for view in views))
        if wanted <= limit:
            return limit if limit <= history / 2 else None
        limit = wanted
    return None


def _longest(view: View, column: str, limit: int, resting: Sequence[float]) -> int:
    """Return the longest run, where pauses up to `limit` are bridged."""
    values = as_values(view.frame[column])
    values = np.where(np.isin(values, resting), np.nan, values)
    breaks = np.flatnonzero(~((np.diff(view.at) <= limit) & (values[1:] == values[:-1])))
    edges = np.concatenate(([-1], breaks, [len(values) - 1]))
    return int((view.at[edges[1:]] - view.at[edges[:-1] + 1]).max())


def _texts(column: str, views: Sequence[View]) -> Iterator[dict[str, Any]]:
    values = sorted({str(value) for view in views for value in view.frame[column].dropna().unique()})
    if len(values) <= _MOST_DISTINCT_TEXTS:
        note = f"The {len(values)} texts seen."
        yield _expect("expect_column_values_to_be_in_set", note, "warning", column=column, value_set=values)


def _up(value: float) -> float:
    """Round up to two significant digits."""
    if value <= 0:
        return 0.0
    grain = 10.0 ** (math.floor(math.log10(value)) - 1)
    return float(f"{math.ceil(value / grain - 1e-9) * grain:.12g}")


def _nice(view: View, span: float) -> int:
    """Round a span up to one that people would write."""
    if not view.is_time:
        return math.ceil(_up(span))
    seconds = next((nice for nice in _NICE_SECONDS if nice * 1_000_000 >= span), None)
    return (seconds or math.ceil(span / 1_000_000 / 86_400) * 86_400) * 1_000_000


def _span(view: View, span: float) -> str | int:
    """Return a span, rounded up, as a suite has it: `2h`, or steps."""
    nice = _nice(view, span)
    return view.show(nice) if view.is_time else nice


def _floor_span(view: View, span: float) -> str | int:
    """Return a span, rounded down, as a suite has it."""
    if not view.is_time:
        return max(1, math.floor(span))
    return view.show(max(1, math.floor(span)))
