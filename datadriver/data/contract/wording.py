"""How figures, shares, ranges, spans and instants are written in the contract's sentences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np


def figure(value: Any) -> str:
    """Write a value for people: six significant digits, thousands separated, text as it is.

    >>> figure(61.20000001), figure(1440), figure(None)
    ('61.2', '1,440', 'null')
    """
    if value is None:
        return "null"
    if isinstance(value, (bool, np.bool_, str)):
        return str(value)
    if isinstance(value, (int, np.integer)):
        return f"{value:,}"
    if isinstance(value, (float, np.floating)):
        number = float(value)
        return f"{number:,.0f}" if 1e6 <= abs(number) < 1e15 else f"{number:,.6g}"
    if isinstance(value, (list, tuple, set)):
        return "(" + ", ".join(figure(item) for item in value) + ")"
    return str(value)


def share(count: int, total: int) -> str:
    """Write a part of a whole, never rounding something to nothing or to all.

    >>> share(312, 1440), share(1, 10**6), share(0, 7)
    ('21.7%', '<0.1%', '0.0%')
    """
    percent = 100 * count / total if total else 0.0
    if 0 < percent < 0.1:
        return "<0.1%"
    return ">99.9%" if 99.9 < percent < 100 else f"{percent:.1f}%"


def bounds(kwargs: Mapping[str, Any], unit: str) -> str:
    """Write the range that an expectation allows, with round brackets where a bound itself is not allowed."""
    low, high = kwargs.get("min_value"), kwargs.get("max_value")
    left, right = "(" if kwargs.get("strict_min") else "[", ")" if kwargs.get("strict_max") else "]"
    if low is None and high is None:
        return "any range"
    if high is None:
        return f"{'above' if left == '(' else 'at least'} {figure(low)}{unit}"
    if low is None:
        return f"{'below' if right == ')' else 'at most'} {figure(high)}{unit}"
    return f"{left}{figure(low)}, {figure(high)}{right}{unit}"


def span(value: Any) -> str:
    """Write a span as a suite gives it: a duration as it is, a number as steps."""
    return plural(value, "step") if isinstance(value, int) else str(value)


def plural(count: int, noun: str) -> str:
    """Write a count with its noun."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def clock(iso: str) -> str:
    """Shorten an ISO time in UTC to what people read: `2024-03-01 10:20 UTC`."""
    day, _, rest = iso.partition("T")
    hours = rest.removesuffix("+00:00")
    return f"{day} {hours.removesuffix(':00') if hours.count(':') == 2 else hours} UTC"
