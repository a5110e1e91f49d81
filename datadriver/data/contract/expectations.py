"""Expectations that Great Expectations lacks: frozen sensors, gaps, freshness, sampling rate, faults in the reading.

Importing this module registers them, and a suite then names them in snake case like any other:
`{"type": "expect_column_values_to_not_be_frozen", "kwargs": {"column": "flow", "max_duration": "2h"}}`.

They look at the whole frame, because Great Expectations hands a column over without its nulls and without the index.
They work on any pandas batch with a `time` or `step` column; only the read issues need a frame that datadriver read.
"""

from __future__ import annotations

from typing import Any, ClassVar

from great_expectations.compatibility import pydantic

from datadriver.data.contract.batch import View
from datadriver.data.contract.engine import EXAMPLES
from datadriver.data.contract.measures import Run, as_values, frozen_runs, gaps, interval, longest_gap
from datadriver.data.contract.sensor_expectation import Amount, Count, Numbers, SensorExpectation, Span, check_span
from datadriver.data.frame import IssueKind


class ExpectColumnValuesToNotBeFrozen(SensorExpectation):
    """Expect no run of equal values that lasts longer than `max_duration`.

    Nulls end a run, and so does a pause between rows longer than `max_duration`. Values within `tolerance` of the
    run's first are equal to it. Runs at one of `except_values` (0 for a machine at rest) are not frozen.
    """

    column: str
    max_duration: Span
    tolerance: Amount = 0.0
    except_values: Numbers = ()

    success_keys: ClassVar[tuple[str, ...]] = ("column", "max_duration", "tolerance", "except_values")

    _spans = pydantic.validator("max_duration", pre=True, allow_reuse=True)(check_span)

    @classmethod
    def sentence(cls, given: dict[str, Any]) -> str:
        """Say what is expected."""
        except_ = f", except at {', '.join(map(str, given['except_values']))}" if given["except_values"] else ""
        within = f" within {given['tolerance']}" if given["tolerance"] else ""
        return f"{given['column']} must not hold one value{within} for longer than {given['max_duration']}{except_}."

    def measure(self, view: View) -> dict[str, Any]:
        """Find the frozen runs; examples are their first rows."""
        series = view.column(self.column)
        runs = frozen_runs(
            view.at,
            as_values(series),
            longer_than=view.span(self.max_duration, of="max_duration"),
            tolerance=self.tolerance,
            allowed=self.except_values,
        )
        frozen, total = sum(run.rows for run in runs), int(series.notna().sum())
        worst = max(runs, key=lambda run: run.span, default=None)
        shown = _worst_first(runs)
        result = {
            "observed_value": view.show(worst.span) if worst else "no longer run",
            "element_count": total,
            "unexpected_count": frozen,
            "unexpected_percent": 100 * frozen / total if total else None,
            "partial_unexpected_list": [series.iloc[run.first] for run in shown],
            "partial_unexpected_index_list": [series.index[run.first] for run in shown],
            "runs": len(runs),
        }
        return {"success": not runs, "result": result}


def _worst_first(runs: list[Run]) -> list[Run]:
    return sorted(runs, key=lambda run: -run.span)[:EXAMPLES]


class ExpectColumnGapsToBeAtMost(SensorExpectation):
    """Expect neighbouring values of a column, or neighbouring rows with any value, no further apart than `max_gap`.

    The stretches before the first value and after the last, within the frame, are gaps too.
    """

    max_gap: Span
    column: str | None = None

    success_keys: ClassVar[tuple[str, ...]] = ("column", "max_gap")

    _spans = pydantic.validator("max_gap", pre=True, allow_reuse=True)(check_span)

    @classmethod
    def sentence(cls, given: dict[str, Any]) -> str:
        """Say what is expected."""
        return f"Values of {given['column'] or 'the whole frame'} must be at most {given['max_gap']} apart."

    def measure(self, view: View) -> dict[str, Any]:
        """Find the gaps; examples are their lengths and the rows in which they begin."""
        limit, present = view.span(self.max_gap, of="max_gap"), view.present(self.column)
        if not present.any():
            return {"success": False, "result": {"observed_value": "no values", "element_count": 0}}
        wide = sorted(gaps(view.at, present, longer_than=limit), key=lambda gap: -gap.span)
        rows = view.at.searchsorted([gap.start for gap in wide[:EXAMPLES]])
        result = {
            "observed_value": view.show(longest_gap(view.at, present)),
            "element_count": int(present.sum()),
            "unexpected_count": len(wide),
            "partial_unexpected_list": [view.show(gap.span) for gap in wide[:EXAMPLES]],
            "partial_unexpected_index_list": [view.frame.index[row] for row in rows],
        }
        return {"success": not wide, "result": result}


class ExpectDataToBeFresh(SensorExpectation):
    """Expect the last value of a column, or the last row with any value, no older than `max_age`.

    Age is counted up to the end of the window; without one, up to the instant of judging.
    """

    max_age: Span
    column: str | None = None

    success_keys: ClassVar[tuple[str, ...]] = ("column", "max_age")

    _spans = pydantic.validator("max_age", pre=True, allow_reuse=True)(check_span)

    @classmethod
    def sentence(cls, given: dict[str, Any]) -> str:
        """Say what is expected."""
        return f"The last value of {given['column'] or 'the whole frame'} must be at most {given['max_age']} old."

    def measure(self, view: View) -> dict[str, Any]:
        """Compare the age of the last value; the example is its row."""
        limit, present, now = view.span(self.max_age, of="max_age"), view.present(self.column), view.now()
        if now is None:
            raise ValueError("an index of steps has no present; freshness needs a window with an end")
        if not present.any():
            return {"success": False, "result": {"observed_value": "no values", "element_count": 0}}
        last = int(present.nonzero()[0][-1])
        age = now - int(view.at[last])
        result = {
            "observed_value": view.show(max(age, 0)),
            "element_count": int(present.sum()),
            "partial_unexpected_list": [view.show(age)] if age > limit else [],
            "partial_unexpected_index_list": [view.frame.index[last]] if age > limit else [],
        }
        return {"success": age <= limit, "result": result}


class ExpectSamplingRateToBeBetween(SensorExpectation):
    """Expect the median distance between neighbouring values between `min_interval` and `max_interval`.

    Meant for `resolution: native`; on aligned frames the distance is the resolution.
    """

    min_interval: Span | None = None
    max_interval: Span | None = None
    column: str | None = None

    success_keys: ClassVar[tuple[str, ...]] = ("column", "min_interval", "max_interval")

    _spans = pydantic.validator("min_interval", "max_interval", pre=True, allow_reuse=True)(check_span)

    @classmethod
    def sentence(cls, given: dict[str, Any]) -> str:
        """Say what is expected."""
        low, high = given["min_interval"], given["max_interval"]
        wanted = " and ".join(([f"at least {low}"] if low else []) + ([f"at most {high}"] if high else []))
        return f"Values of {given['column'] or 'the whole frame'} must be {wanted or 'any distance'} apart (median)."

    def measure(self, view: View) -> dict[str, Any]:
        """Compare the median distance."""
        present = view.present(self.column)
        seen = interval(view.at, present)
        if seen is None:
            return {"success": False, "result": {"observed_value": "fewer than two values", "element_count": 0}}
        low = 0 if self.min_interval is None else view.span(self.min_interval, of="min_interval")
        high = seen if self.max_interval is None else view.span(self.max_interval, of="max_interval")
        result = {"observed_value": view.show(seen), "element_count": int(present.sum())}
        return {"success": low <= seen <= high, "result": result}


class ExpectReadIssuesToBeAtMost(SensorExpectation):
    """Expect reading to have run into no more than so many faults of one kind: duplicates, text among numbers...

    `max_count` limits their number over all sources and tags; `max_share` the share of the rows read, of the source
    and tag that has most. `source` and `tag` narrow what is counted.
    """

    kind: IssueKind
    max_count: Count | None = None
    max_share: Amount | None = None
    source: str | None = None
    tag: str | None = None

    success_keys: ClassVar[tuple[str, ...]] = ("kind", "max_count", "max_share", "source", "tag")

    @pydantic.root_validator(skip_on_failure=True)
    def _one_limit(cls, values: dict[str, Any]) -> dict[str, Any]:  # noqa: N805 - pydantic makes it a class method
        if values.get("max_count") is None and values.get("max_share") is None:
            raise ValueError("give max_count, max_share or both")
        return values

    @classmethod
    def sentence(cls, given: dict[str, Any]) -> str:
        """Say what is expected."""
        where = ".".join(given[key] for key in ("source", "tag") if given[key])
        limits = [] if given["max_count"] is None else [f"{given['max_count']} times"]
        limits += [] if given["max_share"] is None else [f"in a share of {given['max_share']} of the rows"]
        return f"Reading{f' {where}' if where else ''} may meet {given['kind']} at most {' and '.join(limits)}."

    def measure(self, view: View) -> dict[str, Any]:
        """Count the issues; examples are what reading kept of them."""
        if view.reading is None:
            raise ValueError("only a frame that datadriver read knows its read issues")
        issues = [
            issue
            for issue in view.reading.issues
            if issue.kind == self.kind and self.source in (None, issue.source) and self.tag in (None, issue.tag)
        ]
        count = sum(issue.count for issue in issues)
        share = max((_share(issue.count, view.reading.rows_read.get(issue.source, 0)) for issue in issues), default=0.0)
        rows = sum(number for source, number in view.reading.rows_read.items() if self.source in (None, source))
        result = {
            "observed_value": f"{count} ({share:.2%})",
            "element_count": rows,
            "unexpected_count": count,
            "unexpected_percent": 100 * share,
            "examples": [example for issue in issues for example in issue.examples][:EXAMPLES],
        }
        few = self.max_count is None or count <= self.max_count
        small = self.max_share is None or share <= self.max_share
        return {"success": few and small, "result": result}


def _share(count: int, rows: int) -> float:
    return min(count / rows, 1.0) if rows else float(count > 0)
