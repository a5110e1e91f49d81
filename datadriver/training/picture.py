"""One picture as SVG text: panels with axes, on which there are dots, lines and steps.

matplotlib takes 90 ms for such a picture, more than all other work on a small model; this takes 2 ms. The text of a
picture depends on nothing but what is drawn.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

import numpy as np
import numpy.typing as npt
import pandas as pd

INK, PALE, WARM, GRID = "#1f4e79", "#a8bfd4", "#c8501e", "#dddddd"
_WIDTH, _HEIGHT = 7600, 5200
"""In tenths of a pixel, so that whole numbers are enough."""

_TIMES = ((86400.0, "%Y-%m-%d"), (3600.0, "%d %b %H:%M"), (60.0, "%H:%M"), (1.0, "%H:%M:%S"))
_STYLE = (
    "text{font:85px sans-serif;fill:#222}.h{font-size:100px}.t{font-size:120px;font-weight:bold}.w{fill:#c8501e}"
    ".a,.r{fill:none;stroke:#222;stroke-width:8}.r{stroke:#c8501e;stroke-dasharray:40 25}"
)
_MARGIN = 0.04

Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Box:
    """A rectangle, in tenths of a pixel from the upper left corner of the picture."""

    left: float
    top: float
    width: float
    height: float


@dataclass
class Panel:
    """Axes that fit what is put on them.

    Attributes:
        title: stands above on the left.
        x_label: below the axis.
        y_label: beside the axis.
        x_range: ends of the axis; default: those of what is shown.
        y_range: the same.
        in_time: whether x are seconds since 1970.
        note: stands above on the right.
    """

    title: str = ""
    x_label: str = ""
    y_label: str = ""
    x_range: tuple[float, float] | None = None
    y_range: tuple[float, float] | None = None
    in_time: bool = False
    note: str = ""
    _marks: list[tuple[Numbers, Numbers, str, bool]] = field(default_factory=list)
    _rules: list[tuple[float, bool]] = field(default_factory=list)

    def dots(self, x: npt.ArrayLike, y: npt.ArrayLike, colour: str, *, size: int = 26) -> None:
        """Put a dot at each point."""
        style = f'fill="none" stroke="{colour}" stroke-width="{size}" stroke-linecap="round"'
        self._mark(x, y, f'<path {style} d="%s"/>', dots=True)

    def line(self, x: npt.ArrayLike, y: npt.ArrayLike, colour: str, *, width: int = 12) -> None:
        """Draw through the points in their order."""
        self._mark(x, y, f'<path fill="none" stroke="{colour}" stroke-width="{width}" d="%s"/>')

    def steps(self, counts: npt.ArrayLike, edges: npt.ArrayLike, colour: str, *, fill: bool = False) -> None:
        """Draw a histogram as one outline that begins and ends at zero."""
        x, y = np.repeat(np.asarray(edges), 2), np.repeat(np.asarray(counts, dtype="float64"), 2)
        style = f'fill="{colour}"' if fill else f'fill="none" stroke="{colour}" stroke-width="12"'
        self._mark(x, np.concatenate([[0.0], y, [0.0]]), f'<path {style} d="%s"/>')

    def rule(self, value: float, *, upright: bool = False) -> None:
        """Draw a dashed line across the panel, which the axes need not fit."""
        self._rules.append((value, upright))

    def svg(self, box: Box) -> str:
        """Return the panel as SVG."""
        x_low, x_high = self.x_range or self._extent(0)
        y_low, y_high = self.y_range or self._extent(1, [value for value, upright in self._rules if not upright])
        x_scale, y_scale = box.width / (x_high - x_low), -box.height / (y_high - y_low)
        bottom, right = box.top + box.height, box.left + box.width

        def across(values: npt.ArrayLike) -> list[int]:
            return _whole(box.left + (np.asarray(values) - x_low) * x_scale)

        def down(values: npt.ArrayLike) -> list[int]:
            return _whole(bottom + (np.asarray(values) - y_low) * y_scale)

        parts = [_path(shape, across(x), down(y), dots=dots) for x, y, shape, dots in self._marks]
        for value, upright in self._rules:
            at = (across if upright else down)([value])[0]
            if upright and box.left <= at <= right:
                parts.append(f'<path class="r" d="M{at} {box.top:.0f}V{bottom:.0f}"/>')
            elif not upright and box.top <= at <= bottom:
                parts.append(f'<path class="r" d="M{box.left:.0f} {at}H{right:.0f}"/>')
        parts.append(f'<path class="a" d="M{box.left:.0f} {box.top:.0f}V{bottom:.0f}H{right:.0f}"/>')
        many = max(3, int(box.width / 1000))
        x_ticks = time_ticks(x_low, x_high) if self.in_time else round_ticks(x_low, x_high, many)
        y_ticks = round_ticks(y_low, y_high, 4)
        places = zip(across(list(x_ticks)), x_ticks.values(), strict=True)
        parts += [_text(at, bottom + 130, text, "middle") for at, text in places]
        places = zip(down(list(y_ticks)), y_ticks.values(), strict=True)
        parts += [_text(box.left - 40, at + 30, text, "end") for at, text in places]
        parts.append(_text(box.left, box.top - 70, self.title, "start", "h"))
        parts.append(_text(right, box.top - 70, f"- - {self.note}" if self.note else "", "end", "h w"))
        parts.append(_text(box.left + box.width / 2, bottom + 270, self.x_label, "middle"))
        turned = f'transform="translate({box.left - 470:.0f} {box.top + box.height / 2:.0f}) rotate(-90)"'
        parts.append(f'<text {turned} text-anchor="middle">{_plain(self.y_label)}</text>')
        return "".join(parts)

    def _mark(self, x: npt.ArrayLike, y: npt.ArrayLike, shape: str, *, dots: bool = False) -> None:
        at, values = np.asarray(x, dtype="float64"), np.asarray(y, dtype="float64")
        known = np.isfinite(at) & np.isfinite(values)
        if known.any():
            self._marks.append((at[known], values[known], shape, dots))

    def _extent(self, axis: int, more: Sequence[float] = ()) -> tuple[float, float]:
        """Return ends of an axis that leave a little room around all that is shown."""
        ends = [float(end(mark[axis])) for mark in self._marks for end in (np.min, np.max)] + list(more)
        low, high = min(ends, default=0.0), max(ends, default=1.0)
        room = _MARGIN * (high - low) or 0.5 * (abs(high) or 1.0)
        return low - room, high + room


def picture(title: str, above: Panel, *below: Panel) -> bytes:
    """Return one panel over the whole width and others beside each other below it, as an SVG file."""
    gap, left, width = 800, 640, _WIDTH - 640 - 160
    each = (width - gap * (len(below) - 1)) / max(len(below), 1)
    size = f'viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH // 10}" height="{_HEIGHT // 10}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size}><style>{_STYLE}</style>',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#fff"/>',
        _text(90, 200, title, "start", "t"),
        above.svg(Box(left, 530, width, 1750)),
        *(panel.svg(Box(left + place * (each + gap), 2980, each, 1750)) for place, panel in enumerate(below)),
        "</svg>\n",
    ]
    return "".join(parts).encode()


def round_ticks(low: float, high: float, about: int) -> dict[float, str]:
    """Return about so many round numbers between two, and how to write them.

    >>> round_ticks(0.0, 1.04, 4)
    {0.0: '0', 0.2: '0.2', 0.4: '0.4', 0.6: '0.6', 0.8: '0.8', 1.0: '1'}
    """
    raw = (high - low) / about
    size = 10.0 ** math.floor(math.log10(raw))
    step = size * next(factor for factor in (1, 2, 5, 10) if factor * size >= raw * 0.75)
    numbers = np.arange(math.ceil(low / step), math.floor(high / step) + 1)
    return {float(f"{number * step:.12g}"): f"{number * step:.6g}" for number in numbers.tolist()}


def time_ticks(low: float, high: float) -> dict[float, str]:
    """Return about four round instants (seconds since 1970, UTC) between two, and how to write them.

    >>> time_ticks(0.0, 10 * 86400.0).values()
    dict_values(['1970-01-01', '1970-01-04', '1970-01-07', '1970-01-10'])
    """
    unit, style = next((one for one in _TIMES if high - low >= 3 * one[0]), _TIMES[-1])
    step = unit * max(1, round((high - low) / 4 / unit + 0.49))
    ticks = np.arange(np.ceil(low / unit) * unit, high + 1, step)
    return {tick: pd.Timestamp(tick, unit="s").strftime(style) for tick in ticks.tolist()}


def _whole(values: Numbers) -> list[int]:
    found: list[int] = np.rint(values).astype(int).tolist()
    return found


def _path(shape: str, x: Sequence[int], y: Sequence[int], *, dots: bool) -> str:
    points = map(("M%d %dh0" if dots else "L%d %d").__mod__, zip(x, y, strict=True))
    return shape % ("".join(points) if dots else "M" + "".join(points)[1:])


def _text(x: float, y: float, text: str, anchor: str, style: str = "") -> str:
    if not text:
        return ""
    kind = f' class="{style}"' if style else ""
    return f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}"{kind}>{_plain(text)}</text>'


def _plain(text: str) -> str:
    """Return text as XML has it, which knows no control characters."""
    return escape("".join(character if character.isprintable() else "\ufffd" for character in text))
