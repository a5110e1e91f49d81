"""The grid of monitoring: half-open windows that start at multiples of their length, and only whole ones."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from itertools import pairwise

from datadriver.config.sections import UseCase
from datadriver.data.align import label_of
from datadriver.data.spans import bin_size
from datadriver.data.window import Instant, Window, as_number, from_number, span_number

_FIRST_PART = 10


def length_of(usecase: UseCase) -> timedelta | int:
    """Return the length of a monitoring window."""
    return usecase.monitor_window


def whole_windows(usecase: UseCase, start: Instant, end: Instant) -> tuple[Window, ...]:
    """Return the windows that lie inside of `[start, end)`, oldest first.

    Windows start at multiples of their length since 1970-01-01 UTC, or since step 0.
    """
    size, kind = span_number(length_of(usecase)), usecase.data.index
    first, last = label_of(as_number(start), size), as_number(end) // size * size
    edges = [from_number(number, kind) for number in range(first, last + 1, size)]
    return tuple(Window(low, high) for low, high in pairwise(edges))


def back(usecase: UseCase, end: Instant, count: int) -> Instant:
    """Return the start of the first of the last `count` whole windows before an instant."""
    size = span_number(length_of(usecase))
    return from_number((as_number(end) // size - count) * size, usecase.data.index)


def known_until(usecase: UseCase, newest: Instant) -> Instant:
    """Return the first label that is not known yet, given the instant of the newest reading.

    A bin is closed on the right: with a reading of exactly its label it is complete, and the next label is open.
    """
    size = bin_size(usecase)
    number = as_number(newest)
    return from_number(number + 1 if size is None else (number // size + 1) * size, usecase.data.index)


def since_first_reading(usecase: UseCase, windows: Iterable[Window], first: Instant) -> tuple[Window, ...]:
    """Return the windows from an asset's first reading on: what was not yet there cannot be incomplete.

    Of the window in which it comes, it must fall into the first tenth.
    """
    latest = span_number(length_of(usecase)) // _FIRST_PART
    return tuple(one for one in windows if one.start is not None and as_number(one.start) + latest >= as_number(first))


def hull(windows: Iterable[Window]) -> Window | None:
    """Return the window from the first start to the last end of some windows; None for none."""
    some = list(windows)
    starts = [one.start for one in some if one.start is not None]
    ends = [one.end for one in some if one.end is not None]
    return Window(min(starts, key=as_number), max(ends, key=as_number)) if some else None
