"""Plots of an asset's sensors, with what the contract and physics allow."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from datadriver.reporting.facts import AssetFacts, Heading, TagCurve
from datadriver.reporting.figures import number
from datadriver.reporting.plots import Limit, Line, Plot, extent, is_near
from datadriver.reporting.series import Curve, Grid, Within, fit_grid, put_on, usual_spacing


def sensor_plots(facts: AssetFacts) -> Iterator[Plot]:
    """Yield a plot for each tag, all on one grid."""
    known = [tag for tag in facts.tags if len(tag.at)]
    spacing = min((usual_spacing(tag.at) for tag in known), default=1)
    grid = fit_grid(facts.start, facts.end, spacing)
    for tag in facts.tags:
        yield _plot(tag, grid, facts.heading)


def _plot(tag: TagCurve, grid: Grid, heading: Heading) -> Plot:
    curve = put_on(grid, tag.at, tag.mean, Within(tag.low, tag.high, tag.rows))
    size = extent(curve)
    if size is None:
        return Plot(tag.tag, tag.unit, "Nothing to draw: no reading in this period.")
    limits = tuple(_limits(tag, *size))
    return Plot(tag.tag, tag.unit, _text(tag, curve, size, limits, heading), grid, (Line("mean", curve),), limits)


def _limits(tag: TagCurve, low: float, high: float) -> Iterator[Limit]:
    for bound in tag.bounds:
        yield Limit(bound.at, bound.side, f"contract: {bound.text(tag.unit)}", near=is_near(bound.at, low, high))
    least, most = tag.limits
    unit = f" {tag.unit}" if tag.unit else ""
    if least is not None:
        near = is_near(least, low, high)
        yield Limit(least, "below", f"possible: at least {number(least)}{unit}", soft=True, near=near)
    if most is not None:
        near = is_near(most, low, high)
        yield Limit(most, "above", f"possible: at most {number(most)}{unit}", soft=True, near=near)


def _text(tag: TagCurve, curve: Curve, size: tuple[float, float], limits: tuple[Limit, ...], heading: Heading) -> str:
    unit = f" {tag.unit}" if tag.unit else ""
    last = np.flatnonzero(np.isfinite(tag.mean))[-1]
    newest = f"last {number(float(tag.mean[last]))}{unit} at {heading.when(int(tag.at[last]))}"
    parts = [f"From {number(size[0])} to {number(size[1])}{unit}; {newest}"]
    for limit in limits:
        times = _beyond(tag, limit, heading)
        parts += [f"{times} ({limit.text})"] if times else []
    missing = 1 - np.count_nonzero(np.isfinite(curve.mean)) * curve.joined / max(1, len(curve.mean))
    if missing >= 0.005:
        parts.append(f"no readings in {number(100 * missing, digits=2)}% of the period")
    return "; ".join(parts) + "."


def _beyond(tag: TagCurve, limit: Limit, heading: Heading) -> str:
    """Say for how much of its time a tag was beyond a limit, and when lastly."""
    flags = tag.high > limit.at if limit.side == "above" else tag.low < limit.at
    places = np.flatnonzero(flags & np.isfinite(tag.mean))
    if not len(places):
        return ""
    share = 100 * len(places) / np.count_nonzero(np.isfinite(tag.mean))
    lastly = heading.when(int(tag.at[places[-1]]))
    return f"{limit.side} {number(limit.at)} in {number(share, digits=2)}% of the time, lastly {lastly}"
