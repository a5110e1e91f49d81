"""The plots of a page as data for `templates/plots.js`, each with its text for those who do not see it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from datadriver.reporting.facts import Heading, Mark
from datadriver.reporting.series import Curve, Floats, Grid, pack

NEAR = 0.75
"""A limit so far beyond the values, in their range, is still drawn; one further away is only told."""


@dataclass(frozen=True)
class Line:
    """One line of a plot; `tone` chooses colour and dashes, a `limit` has those of limits."""

    label: str
    curve: Curve
    tone: int = 0
    limit: bool = False


@dataclass(frozen=True)
class Limit:
    """A horizontal line; values beyond it, `above` or `below`, are not as they should be.

    `text` says it in words. A `soft` limit is no alarm, only what is possible; `near` ones widen the axis.
    """

    at: float
    side: Literal["above", "below"]
    text: str
    soft: bool = False
    near: bool = True


@dataclass(frozen=True)
class Plot:
    """One plot.

    Attributes:
        title: what is drawn; `unit` of the values.
        text: one or two sentences that say what can be seen.
        of: the model that it is about, where its title alone does not tell.
        band: what the band around a line is.
        lines: on `grid`; none if there is nothing to draw, and `text` then says why.
        alarms: stretches `[first, end)`.
        stepped: one value per monitoring window, drawn with points.
        zero: the axis starts at 0.
    """

    title: str
    unit: str
    text: str
    grid: Grid | None = None
    lines: tuple[Line, ...] = ()
    limits: tuple[Limit, ...] = ()
    alarms: Sequence[Sequence[int]] = ()
    stepped: bool = False
    zero: bool = False
    of: str = ""
    band: str = "smallest to largest"

    @property
    def name(self) -> str:
        """The title, with the model that it is about."""
        return f"{self.of}: {self.title}" if self.of else self.title

    @property
    def banded(self) -> bool:
        """Whether a line has a band from the smallest to the largest value around it."""
        return any(line.curve.low is not None for line in self.lines)


@dataclass(frozen=True)
class Placed:
    """A plot with its place on the page."""

    id: str
    plot: Plot

    @property
    def drawn(self) -> bool:
        """Whether there is something to draw."""
        return bool(self.plot.lines)


@dataclass
class Sheet:
    """The plots of one page: they share their grids, one axis from `start` to `end`, and the marks of events."""

    heading: Heading
    start: int
    end: int
    events: Sequence[Mark] = ()
    silent: Sequence[Sequence[int]] = ()
    placed: list[Placed] = field(default_factory=list)

    def place(self, plots: Iterable[Plot]) -> list[Placed]:
        """Take plots onto the page, in order."""
        taken = [Placed(f"plot-{len(self.placed) + position}", plot) for position, plot in enumerate(plots)]
        self.placed += taken
        return taken

    def data(self) -> dict[str, Any]:
        """Return what `plots.js` draws from."""
        drawn = [one for one in self.placed if one.drawn]
        grids = list(dict.fromkeys(one.plot.grid for one in drawn if one.plot.grid is not None))
        return {
            "index": self.heading.index,
            "zone": self.heading.timezone,
            "range": [self._axis(self.start), self._axis(self.end)],
            "grids": [self._grid(grid) for grid in grids],
            "plots": [self._plot(one, grids) for one in drawn],
            "events": [
                {"at": self._axis(mark.at), "text": f"{mark.source}: {mark.text}".rstrip(": "), "grave": mark.grave}
                for mark in self.events
            ],
            "silent": self._stretches(self.silent),
        }

    def _axis(self, number: float) -> float:
        """Return an instant as the page's axis has it: seconds since 1970, or steps."""
        return number / 1e6 if self.heading.index == "time" else number

    def _stretches(self, stretches: Sequence[Sequence[int]]) -> list[list[float]]:
        return [[self._axis(first), self._axis(end)] for first, end in stretches]

    def _grid(self, grid: Grid) -> dict[str, float]:
        return {"start": self._axis(grid.start), "step": self._axis(grid.step), "size": grid.size}

    def _plot(self, placed: Placed, grids: list[Grid]) -> dict[str, Any]:
        plot, columns, lines = placed.plot, [], []
        for line in plot.lines:
            curve = line.curve
            columns.append(pack(curve.mean, joined=curve.joined))
            told: dict[str, Any] = {"label": line.label, "tone": line.tone, "column": len(columns)}
            if line.limit:
                told["limit"] = True
            if curve.low is not None and curve.high is not None:
                columns += [pack(curve.low, joined=curve.joined), pack(curve.high, joined=curve.joined)]
                told |= {"low": len(columns) - 1, "high": len(columns)}
            lines.append(told)
        return {
            "id": placed.id,
            "label": plot.name,
            "unit": plot.unit,
            "grid": grids.index(plot.grid),  # type: ignore[arg-type]
            "data": columns,
            "lines": lines,
            "limits": [{"at": one.at, "side": one.side, "soft": one.soft, "near": one.near} for one in plot.limits],
            "alarms": self._stretches(plot.alarms),
            "stepped": plot.stepped,
            "zero": plot.zero,
        }


def is_near(at: float, low: float, high: float) -> bool:
    """Tell whether a limit is close enough to values in `[low, high]` to be drawn beside them.

    >>> is_near(110, 50, 100), is_near(400, 50, 100)
    (True, False)
    """
    room = NEAR * max(high - low, 0.02 * max(abs(low), abs(high)))
    return low - room <= at <= high + room


def extent(*curves: Curve) -> tuple[float, float] | None:
    """Return the smallest and the largest value of some curves, None if there is none."""
    parts: list[Floats] = [one for curve in curves for one in (curve.mean, curve.low, curve.high) if one is not None]
    known = np.concatenate([part[np.isfinite(part)] for part in parts]) if parts else np.empty(0)
    return (float(known.min()), float(known.max())) if len(known) else None
