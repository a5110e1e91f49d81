"""Plots of what a model said of an asset: scores with their threshold, predictions beside measurements, residuals."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from datadriver.reporting.facts import AssetFacts, Heading, ScoreCurve
from datadriver.reporting.figures import number
from datadriver.reporting.plots import Limit, Line, Plot, extent, is_near
from datadriver.reporting.series import Floats, Grid, fit_grid, put_on, runs, usual_spacing


def score_plots(curve: ScoreCurve, facts: AssetFacts) -> Iterator[Plot]:
    """Yield the plots of one instance: its scores, or prediction beside measurement and their residual."""
    spacing = usual_spacing(curve.at)
    frame = _Frame(fit_grid(facts.start, facts.end, spacing), runs(curve.alarm, curve.at, spacing), facts.heading)
    if np.isfinite(curve.residual).any():
        yield _compared(curve, frame)
        yield _watched(curve, "residual", curve.residual, frame)
    else:
        yield _watched(curve, "score", curve.score, frame)


class _Frame(NamedTuple):
    """What the plots of one instance share."""

    grid: Grid
    alarms: list[list[int]]
    heading: Heading


def _compared(curve: ScoreCurve, frame: _Frame) -> Plot:
    grid, alarms, heading = frame
    measured, predicted = put_on(grid, curve.at, curve.actual), put_on(grid, curve.at, curve.score)
    both = np.isfinite(curve.residual)
    error = float(np.mean(np.abs(curve.residual[both])))
    size = extent(measured, predicted) or (0.0, 0.0)
    unit = f" {curve.measure}" if curve.measure else ""
    text = (
        f"From {number(size[0])} to {number(size[1])}{unit}; measured and predicted differ by {number(error)}{unit} "
        f"on average, over {np.count_nonzero(both):,} scores to {heading.when(int(curve.at[-1]))}."
    )
    limits = tuple(_limits(curve, "score", size))
    lines = (Line("measured", measured), Line("predicted", predicted, tone=1))
    return Plot("Measured and predicted", curve.measure, text, grid, lines, limits, alarms, of=curve.model)


def _watched(curve: ScoreCurve, kind: str, values: Floats, frame: _Frame) -> Plot:
    grid, alarms, heading = frame
    title, unit = kind.capitalize(), curve.measure if kind == "residual" else ""
    drawn = put_on(grid, curve.at, values)
    size = extent(drawn)
    if size is None:
        return Plot(title, unit, "Nothing to draw: not one score of this period is a number.", of=curve.model)
    limits = tuple(_limits(curve, kind, size))
    text = f"{_range(curve, values, size, unit, heading)} {_alarmed(curve, limits, alarms, heading)}"
    zero = kind == "score" and size[0] >= 0
    return Plot(title, unit, text, grid, (Line(kind, drawn),), limits, alarms, zero=zero, of=curve.model)


def _limits(curve: ScoreCurve, kind: str, size: tuple[float, float]) -> Iterator[Limit]:
    if curve.limit is None or curve.on != kind:
        return
    text = f"threshold {number(curve.limit)}"
    yield Limit(curve.limit, "above", text, near=is_near(curve.limit, *size))
    if kind == "residual":
        yield Limit(-curve.limit, "below", text, near=is_near(-curve.limit, *size))


def _range(curve: ScoreCurve, values: Floats, size: tuple[float, float], unit: str, heading: Heading) -> str:
    last = np.flatnonzero(np.isfinite(values))[-1]
    unit = f" {unit}" if unit else ""
    return (
        f"From {number(size[0])} to {number(size[1])}{unit}; last {number(float(values[last]))}{unit} "
        f"at {heading.when(int(curve.at[last]))}."
    )


def _alarmed(curve: ScoreCurve, limits: tuple[Limit, ...], alarms: list[list[int]], heading: Heading) -> str:
    if curve.on is None:
        return "This model raises no alarms."
    threshold = f" (threshold {number(curve.limit)})" if limits and curve.limit is not None else ""
    if not alarms:
        return f"No alarm in this period{threshold}."
    share = 100 * np.count_nonzero(curve.alarm) / len(curve.alarm)
    times = "once" if len(alarms) == 1 else f"{len(alarms)} times"
    return (
        f"In alarm {times}, {number(share, digits=2)}% of the scores{threshold}; lastly from "
        f"{heading.when(alarms[-1][0])} to {heading.when(alarms[-1][1])}."
    )
