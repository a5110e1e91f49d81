"""What our own expectations measure; `expectations` lends it to Great Expectations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, get_args

from datadriver.config.values import parse_duration
from datadriver.data.contract.compiled.given import Check, Given, Uncompiled
from datadriver.data.contract.engine import EXAMPLES, Outcome
from datadriver.data.contract.measures import frozen_runs, gaps, interval, longest_gap
from datadriver.data.contract.view import View
from datadriver.data.frame import IssueKind

Span = str | int


def frozen(
    view: View, *, column: str, max_duration: Span, tolerance: float = 0.0, except_values: tuple[float, ...] = ()
) -> Outcome:
    """Find the runs of equal values that last too long; examples are their first rows, the longest first."""
    judged = view.column(column)
    runs = frozen_runs(
        view.at,
        judged.codes,
        longer_than=view.span(max_duration, of="max_duration"),
        tolerance=tolerance,
        allowed=except_values,
    )
    rows, total = sum(run.rows for run in runs), judged.count
    worst = sorted(runs, key=lambda run: -run.span)[:EXAMPLES]
    result = {
        "observed_value": view.show(worst[0].span) if worst else "no longer run",
        "element_count": total,
        "unexpected_count": rows,
        "unexpected_percent": 100 * rows / total if total else None,
        "partial_unexpected_list": [judged.series.iloc[run.first] for run in worst],
        "partial_unexpected_index_list": [view.label(run.first) for run in worst],
        "runs": len(runs),
    }
    return Outcome(not runs, result)


def gaps_at_most(view: View, *, max_gap: Span, column: str | None = None) -> Outcome:
    """Find the gaps that are too long; examples are their lengths and the rows in which they begin."""
    limit, present = view.span(max_gap, of="max_gap"), view.present(column)
    if not present.any():
        return _NO_VALUES
    wide = sorted(gaps(view.at, present, longer_than=limit), key=lambda gap: -gap.span)
    rows = view.at.searchsorted([gap.start for gap in wide[:EXAMPLES]])
    result = {
        "observed_value": view.show(longest_gap(view.at, present)),
        "element_count": int(present.sum()),
        "unexpected_count": len(wide),
        "partial_unexpected_list": [view.show(gap.span) for gap in wide[:EXAMPLES]],
        "partial_unexpected_index_list": [view.label(row) for row in rows],
    }
    return Outcome(not wide, result)


def fresh(view: View, *, max_age: Span, column: str | None = None) -> Outcome:
    """Compare the age of the last value; the example is its row."""
    limit, present, now = view.span(max_age, of="max_age"), view.present(column), view.now()
    if now is None:
        raise ValueError("an index of steps has no present; freshness needs a window with an end")
    if not present.any():
        return _NO_VALUES
    last = int(present.nonzero()[0][-1])
    age = now - int(view.at[last])
    result = {
        "observed_value": view.show(max(age, 0)),
        "element_count": int(present.sum()),
        "partial_unexpected_list": [view.show(age)] if age > limit else [],
        "partial_unexpected_index_list": [view.label(last)] if age > limit else [],
    }
    return Outcome(age <= limit, result)


def sampling_rate(
    view: View, *, min_interval: Span | None = None, max_interval: Span | None = None, column: str | None = None
) -> Outcome:
    """Compare the median distance between neighbouring values."""
    present = view.present(column)
    seen = interval(view.at, present)
    if seen is None:
        return Outcome(False, {"observed_value": "fewer than two values", "element_count": 0})
    low = 0 if min_interval is None else view.span(min_interval, of="min_interval")
    high = seen if max_interval is None else view.span(max_interval, of="max_interval")
    return Outcome(low <= seen <= high, {"observed_value": view.show(seen), "element_count": int(present.sum())})


def read_issues(  # noqa: PLR0913 - the keywords of the expectation
    view: View,
    *,
    kind: str,
    max_count: int | None = None,
    max_share: float | None = None,
    source: str | None = None,
    tag: str | None = None,
) -> Outcome:
    """Count the faults of one kind; examples are what reading kept of them."""
    if view.reading is None:
        raise ValueError("only a frame that datadriver read knows its read issues")
    rows_read = view.reading.rows_read
    issues = [
        issue
        for issue in view.reading.issues
        if issue.kind == kind and source in (None, issue.source) and tag in (None, issue.tag)
    ]
    count = sum(issue.count for issue in issues)
    share = max((_share(issue.count, rows_read.get(issue.source, 0)) for issue in issues), default=0.0)
    result = {
        "observed_value": f"{count} ({share:.2%})",
        "element_count": sum(number for name, number in rows_read.items() if source in (None, name)),
        "unexpected_count": count,
        "unexpected_percent": 100 * share,
        "examples": [example for issue in issues for example in issue.examples][:EXAMPLES],
    }
    few = max_count is None or count <= max_count
    small = max_share is None or share <= max_share
    return Outcome(few and small, result)


def _share(count: int, rows: int) -> float:
    return min(count / rows, 1.0) if rows else float(count > 0)


_NO_VALUES = Outcome(False, {"observed_value": "no values", "element_count": 0})


def _make(measure: Callable[..., Outcome], take: Callable[[Given], dict[str, Any]]) -> Callable[[Given], Check]:
    """Return the maker of a check by one of the measures above; what it refuses is told as an exception."""

    def maker(given: Given) -> Check:
        kwargs = take(given)

        def check(view: View) -> Outcome:
            try:
                return measure(view, **kwargs)
            except ValueError as error:
                return Outcome(False, exception=str(error))

        return check

    return maker


def _frozen_kwargs(given: Given) -> dict[str, Any]:
    return {
        "column": given.text("column"),
        "max_duration": _span(given, "max_duration"),
        "tolerance": given.number("tolerance", default=0.0),
        "except_values": tuple(given.numbers("except_values", default=[])),
    }


def _limited(key: str) -> Callable[[Given], dict[str, Any]]:
    return lambda given: {key: _span(given, key), "column": given.optional_text("column")}


def _rate_kwargs(given: Given) -> dict[str, Any]:
    spans = {key: _span(given, key) for key in ("min_interval", "max_interval") if given.has(key)}
    return {**spans, "column": given.optional_text("column")}


def _issue_kwargs(given: Given) -> dict[str, Any]:
    kwargs = {
        "kind": given.choice("kind", get_args(IssueKind)),
        "max_count": given.optional_integer("max_count"),
        "max_share": given.optional_number("max_share"),
        "source": given.optional_text("source"),
        "tag": given.optional_text("tag"),
    }
    if kwargs["max_count"] is None and kwargs["max_share"] is None:
        raise Uncompiled("max_count")
    return kwargs


def _span(given: Given, key: str) -> Span:
    value = given.text_or_integer(key)
    try:
        positive = (value if isinstance(value, int) else parse_duration(value).total_seconds()) > 0
    except ValueError as error:
        raise Uncompiled(key) from error
    if not positive:
        raise Uncompiled(key)
    return value


MAKERS: Mapping[str, Callable[[Given], Check]] = {
    "expect_column_values_to_not_be_frozen": _make(frozen, _frozen_kwargs),
    "expect_column_gaps_to_be_at_most": _make(gaps_at_most, _limited("max_gap")),
    "expect_data_to_be_fresh": _make(fresh, _limited("max_age")),
    "expect_sampling_rate_to_be_between": _make(sampling_rate, _rate_kwargs),
    "expect_read_issues_to_be_at_most": _make(read_issues, _issue_kwargs),
}
