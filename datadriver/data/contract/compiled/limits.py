"""A range with its two bounds, either of which may be missing, or not be allowed itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from datadriver.data.contract.compiled.given import Bound, Given, Uncompiled


@dataclass(frozen=True)
class Limits:
    """What lies from `low` to `high`; both are numbers or both are times."""

    low: Bound | None
    high: Bound | None
    strict_low: bool
    strict_high: bool

    @classmethod
    def take(cls, given: Given, *, whole: bool = False, times: bool = False, needed: bool = False) -> Limits:
        """Take the range from `min_value`, `max_value`, `strict_min` and `strict_max`.

        Args:
            given: The keywords.
            whole: Bounds must be whole numbers.
            times: Bounds may be ISO times with offset.
            needed: There must be a bound.
        """
        read = given.optional_integer if whole else given.instant_or_number if times else given.optional_number
        low, high = read("min_value"), read("max_value")
        if low is None and high is None and needed:
            raise Uncompiled("min_value")
        if low is not None and high is not None and (type(low) is not type(high) or low > high):  # type: ignore[operator]
            raise Uncompiled("min_value")
        return cls(low, high, given.flag("strict_min", default=False), given.flag("strict_max", default=False))

    @property
    def numeric(self) -> bool:
        """Whether the bounds are numbers."""
        return all(bound is None or isinstance(bound, (int, float)) for bound in (self.low, self.high))

    @property
    def endless(self) -> bool:
        """Whether there is no bound."""
        return self.low is None and self.high is None

    def hold(self, value: Any) -> Any:
        """Say whether a value, or each of an array, is within the range; with neither bound, True."""
        above: Any = True
        below: Any = True
        if self.low is not None:
            above = value > self.low if self.strict_low else value >= self.low
        if self.high is not None:
            below = value < self.high if self.strict_high else value <= self.high
        return above & below
