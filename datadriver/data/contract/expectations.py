"""Expectations that Great Expectations lacks: frozen sensors, gaps, freshness, sampling rate, faults in the reading.

Importing this module registers them, and a suite then names them in snake case like any other:
`{"type": "expect_column_values_to_not_be_frozen", "kwargs": {"column": "flow", "max_duration": "2h"}}`.

They look at the whole frame, because Great Expectations hands a column over without its nulls and without the index.
They work on any pandas batch with a `time` or `step` column; only the read issues need a frame that datadriver read.
"""

from __future__ import annotations

from typing import Any, ClassVar

from great_expectations.compatibility import pydantic

from datadriver.data.contract.compiled import sensor
from datadriver.data.contract.sensor_expectation import (
    Amount,
    Count,
    Measure,
    Numbers,
    SensorExpectation,
    Span,
    check_span,
)
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
    measure: ClassVar[Measure] = staticmethod(sensor.frozen)

    _spans = pydantic.validator("max_duration", pre=True, allow_reuse=True)(check_span)

    @classmethod
    def sentence(cls, given: dict[str, Any]) -> str:
        """Say what is expected."""
        except_ = f", except at {', '.join(map(str, given['except_values']))}" if given["except_values"] else ""
        within = f" within {given['tolerance']}" if given["tolerance"] else ""
        return f"{given['column']} must not hold one value{within} for longer than {given['max_duration']}{except_}."


class ExpectColumnGapsToBeAtMost(SensorExpectation):
    """Expect neighbouring values of a column, or neighbouring rows with any value, no further apart than `max_gap`.

    The stretches before the first value and after the last, within the frame, are gaps too.
    """

    max_gap: Span
    column: str | None = None

    success_keys: ClassVar[tuple[str, ...]] = ("column", "max_gap")
    measure: ClassVar[Measure] = staticmethod(sensor.gaps_at_most)

    _spans = pydantic.validator("max_gap", pre=True, allow_reuse=True)(check_span)

    @classmethod
    def sentence(cls, given: dict[str, Any]) -> str:
        """Say what is expected."""
        return f"Values of {given['column'] or 'the whole frame'} must be at most {given['max_gap']} apart."


class ExpectDataToBeFresh(SensorExpectation):
    """Expect the last value of a column, or the last row with any value, no older than `max_age`.

    Age is counted up to the end of the window; without one, up to the instant of judging.
    """

    max_age: Span
    column: str | None = None

    success_keys: ClassVar[tuple[str, ...]] = ("column", "max_age")
    measure: ClassVar[Measure] = staticmethod(sensor.fresh)

    _spans = pydantic.validator("max_age", pre=True, allow_reuse=True)(check_span)

    @classmethod
    def sentence(cls, given: dict[str, Any]) -> str:
        """Say what is expected."""
        return f"The last value of {given['column'] or 'the whole frame'} must be at most {given['max_age']} old."


class ExpectSamplingRateToBeBetween(SensorExpectation):
    """Expect the median distance between neighbouring values between `min_interval` and `max_interval`.

    Meant for `resolution: native`; on aligned frames the distance is the resolution.
    """

    min_interval: Span | None = None
    max_interval: Span | None = None
    column: str | None = None

    success_keys: ClassVar[tuple[str, ...]] = ("column", "min_interval", "max_interval")
    measure: ClassVar[Measure] = staticmethod(sensor.sampling_rate)

    _spans = pydantic.validator("min_interval", "max_interval", pre=True, allow_reuse=True)(check_span)

    @classmethod
    def sentence(cls, given: dict[str, Any]) -> str:
        """Say what is expected."""
        low, high = given["min_interval"], given["max_interval"]
        wanted = " and ".join(([f"at least {low}"] if low else []) + ([f"at most {high}"] if high else []))
        return f"Values of {given['column'] or 'the whole frame'} must be {wanted or 'any distance'} apart (median)."


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
    measure: ClassVar[Measure] = staticmethod(sensor.read_issues)

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
