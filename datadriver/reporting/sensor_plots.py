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
    text = f"{_text(tag, curve, size, limits, heading)} {_allowed(tag, limits)}".rstrip()
    return Plot(tag.tag, tag.unit, text, grid, (Line("mean", curve),), limits)


def _limits(tag: TagCurve, low: float, high: float) -> Iterator[Limit]:
    for bound in tag.bounds:
        yield Limit(bound.at, bound.side, bound.text(tag.unit), near=is_near(bound.at, low, high))
    least, most = tag.limits
    if least is not None:
        yield Limit(least, "below", "impossible", soft=True, near=is_near(least, low, high))
    if most is not None:
        yield Limit(most, "above", "impossible", soft=True, near=is_near(most, low, high))


def _text(tag: TagCurve, curve: Curve, size: tuple[float, float], limits: tuple[Limit, ...], heading: Heading) -> str:
    unit = f" {tag.unit}" if tag.unit else ""
    last = np.flatnonzero(np.isfinite(tag.mean))[-1]
    newest = f"last {number(float(tag.mean[last]))}{unit} at {heading.when(int(tag.at[last]))}"
    parts = [f"From {number(size[0])} to {number(size[1])}{unit}; {newest}"]
    for limit in limits:
        times = _beyond(tag, limit, heading)
        parts += [times] if times else []
    missing = 1 - np.count_nonzero(np.isfinite(curve.mean)) * curve.joined / max(1, len(curve.mean))
    if missing >= 0.005:
        parts.append(f"no readings in {number(100 * missing, digits=2)}% of the period")
    return "; ".join(parts) + "."


def _allowed(tag: TagCurve, limits: tuple[Limit, ...]) -> str:
    """Say what the contract wants and physics allow; limits too far away to be drawn say so."""
    unit = f" {tag.unit}" if tag.unit else ""
    wanted = [limit.text + ("" if limit.near else ", far from here") for limit in limits if not limit.soft]
    said = f"Contract: {'; '.join(wanted)}." if wanted else ""
    least, most = tag.limits
    if least is None and most is None:
        return said
    ends = [f"from {number(least)}"] if least is not None else []
    ends += [f"to {number(most)}"] if most is not None else []
    return f"{said} Possible: {' '.join(ends)}{unit}.".lstrip()


def _beyond(tag: TagCurve, limit: Limit, heading: Heading) -> str:
    """Say for how much of its time a tag was beyond a limit, and when lastly."""
    flags = tag.high > limit.at if limit.side == "above" else tag.low < limit.at
    places = np.flatnonzero(flags & np.isfinite(tag.mean))
    if not len(places):
        return ""
    share = 100 * len(places) / np.count_nonzero(np.isfinite(tag.mean))
    lastly = heading.when(int(tag.at[places[-1]]))
    return f"{limit.side} {number(limit.at)} in {number(share, digits=2)}% of the time, lastly {lastly}"
