"""How pages write figures: short, with their unit, shares as percent and seconds as hours or days."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

_LENGTHS = ((2 * 86400, 86400, "d"), (2 * 3600, 3600, "h"), (120, 60, "min"))
_LINKS = ("http://", "https://", "mailto:")


class Scale(NamedTuple):
    """What a figure is divided by to be written in `unit`."""

    divisor: float
    unit: str


def number(value: float | None, *, digits: int = 4) -> str:
    """Write a number in so many significant digits; nothing as a dash.

    >>> number(61.20000001), number(14400.0), number(0.00000123), number(None)
    ('61.2', '14,400', '1.23e-06', '—')
    """
    if value is None or not math.isfinite(value):
        return "—"
    if value == 0:
        return "0"
    size = math.floor(math.log10(abs(value))) + 1
    if size >= digits and size < 16:
        return f"{value:,.0f}"
    return f"{value:,.{digits}g}"


def scale_of(measure: str, values: Iterable[float]) -> Scale:
    """Return how figures of a measure are best written, all in the same unit.

    >>> scale_of("s", [3600.0, 90000.0]), scale_of("share", [0.3]), scale_of("PSI", [0.1])
    (Scale(divisor=3600, unit='h'), Scale(divisor=0.01, unit='%'), Scale(divisor=1.0, unit='PSI'))
    """
    if measure == "share":
        return Scale(0.01, "%")
    if measure == "s":
        largest = max((abs(value) for value in values if math.isfinite(value)), default=0.0)
        return next((Scale(divisor, unit) for least, divisor, unit in _LENGTHS if largest >= least), Scale(1.0, "s"))
    return Scale(1.0, measure)


def measured(value: float | None, measure: str) -> str:
    """Write one figure with its unit.

    >>> measured(0.925, "share"), measured(23400.0, "s"), measured(1.0, "breaches"), measured(None, "PSI")
    ('92.5%', '6.5 h', '1 breach', '—')
    """
    if value is None or not math.isfinite(value):
        return "—"
    scale = scale_of(measure, [value])
    text = number(value / scale.divisor, digits=3)
    unit = "breach" if (text, scale.unit) == ("1", "breaches") else scale.unit
    return f"{text}%" if unit == "%" else f"{text} {unit}".strip()


def link(address: str | None) -> str:
    """Return an address that a page may link to, and nothing for any other text.

    >>> link("https://wiki/pumps"), link("javascript:alert(1)"), link("see the red folder")
    ('https://wiki/pumps', '', '')
    """
    text = (address or "").strip()
    return text if text.lower().startswith(_LINKS) else ""
