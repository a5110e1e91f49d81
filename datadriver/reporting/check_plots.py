"""Plots of what monitoring found, window by window: drift by feature, data health, and checks over the fleet."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from datadriver.monitoring.facts import DATA_CHECKS
from datadriver.reporting.facts import CheckCurve, Heading, Instants, Trend
from datadriver.reporting.figures import Scale, number, scale_of
from datadriver.reporting.plots import Limit, Line, Plot
from datadriver.reporting.series import Curve, Floats, Grid, fit_grid, put_on, usual_spacing

WORST = 4
"""So many features are drawn, those that were furthest from the training part lately."""

_AT_LEAST = ("completeness",)


def check_title(check: str) -> str:
    """Name a check as people read it.

    >>> check_title("out_of_range")
    'Out of range'
    """
    return check.replace("_", " ").capitalize()


def health_plots(curves: Iterable[CheckCurve], heading: Heading) -> Iterator[Plot]:
    """Yield a plot of each check of an asset's data, in the order in which reports show them."""
    mine = {curve.check: curve for curve in curves if not curve.model}
    for check in (*DATA_CHECKS, *(name for name in mine if name not in DATA_CHECKS)):
        if check in mine:
            yield check_plot(mine[check], heading)


def check_plot(curve: CheckCurve, heading: Heading) -> Plot:
    """Return the plot of one check: its figure in each window beside the limit."""
    title = check_title(curve.check)
    known = np.isfinite(curve.value)
    if not known.any():
        reason = next((text for text in reversed(curve.reason) if text), "no window has what it takes to judge")
        return Plot(title, "", f"Nothing to draw: {reason.rstrip('.')}.", of=curve.model)
    scale = scale_of(curve.measure, [*curve.value[known].tolist(), *_last_limit(curve)])
    grid = _windows(curve.start, curve.at)
    line = Line("", put_on(grid, curve.start, curve.value / scale.divisor))
    zero = _side(curve) == "above" and _from_zero(curve.value)
    limits = tuple(_limit(curve, scale))
    text = _text(curve, scale, heading)
    return Plot(title, scale.unit, text, _centred(grid), (line,), limits, stepped=True, zero=zero, of=curve.model)


def feature_plot(curve: CheckCurve, heading: Heading) -> Plot:
    """Return the plot of a drift check: a line for each of the features that drift most."""
    named = _worst(curve)
    if not named:
        return check_plot(curve, heading)
    scale = scale_of(curve.measure, ())
    grid = _windows(curve.start, curve.at)
    lines = tuple(
        Line(name, put_on(grid, curve.start, curve.details[name] / scale.divisor), tone=tone)
        for tone, name in enumerate(named)
    )
    others = len(curve.details) - len(named)
    more = f" The {len(named)} of {len(curve.details)} features that drift most." if others > 0 else ""
    text = _text(curve, scale, heading) + more
    return Plot(
        check_title(curve.check),
        scale.unit,
        text,
        _centred(grid),
        lines,
        tuple(_limit(curve, scale)),
        stepped=True,
        zero=True,
        of=curve.model,
    )


def trend_plot(trend: Trend, heading: Heading) -> Plot:
    """Return the plot of one check over the fleet: the median asset, and the band that holds 80% of them."""
    title = check_title(trend.check)
    known = np.isfinite(trend.middle)
    if not known.any():
        return Plot(title, "", "Nothing to draw: no window of any asset has what it takes to judge.")
    scale = scale_of(trend.measure, trend.middle[known].tolist())
    grid = _windows(trend.start, trend.at)
    middle, low, high = (
        put_on(grid, trend.start, one / scale.divisor).mean for one in (trend.middle, trend.low, trend.high)
    )
    limit = trend.limit[np.isfinite(trend.limit)]
    limits = [Limit(float(limit[-1]) / scale.divisor, "above", "limit")] if len(limit) else []
    last = int(np.flatnonzero(known)[-1])
    unit = f" {scale.unit}" if scale.unit else ""
    text = (
        f"In the window to {heading.when(int(trend.at[last]))} the median asset is at "
        f"{number(float(trend.middle[last]) / scale.divisor)}{unit}, eight of ten are between "
        f"{number(float(trend.low[last]) / scale.divisor)} and {number(float(trend.high[last]) / scale.divisor)}; "
        f"{int(trend.breaches[last]):,} of {int(trend.judged[last]):,} breach, {int(trend.unknown[last]):,} unknown."
    )
    lines = (Line("median", Curve(middle, low, high)),)
    return Plot(title, scale.unit, text, _centred(grid), lines, tuple(limits), stepped=True, band="eight of ten assets")


def breach_plot(trends: Sequence[Trend], heading: Heading) -> Plot:
    """Return the plot that counts the assets in breach, a line for each check of a model."""
    title = "Assets in breach"
    counted = [trend for trend in trends if len(trend.at)]
    if not counted:
        return Plot(title, "", "Nothing to draw: nothing was monitored in this period.")
    first = min(int(trend.start[0]) for trend in counted)
    longest = max(counted, key=lambda trend: len(trend.at))
    spacing = int(longest.at[0] - longest.start[0])
    grid = fit_grid(first, max(int(trend.at[-1]) for trend in counted), spacing)
    lines = tuple(
        Line(check_title(trend.check), put_on(grid, trend.start, trend.breaches.astype("float64")), tone=tone)
        for tone, trend in enumerate(counted)
    )
    now = ", ".join(f"{trend.check.replace('_', ' ')} {int(trend.breaches[-1]):,}" for trend in counted)
    text = f"In the newest window, to {heading.when(int(longest.at[-1]))}: {now}."
    return Plot(title, "assets", text, _centred(grid), lines, stepped=True, zero=True)


def _windows(start: Instants, end: Instants) -> Grid:
    length = int(end[0] - start[0]) if len(start) else 1
    spacing = min(length, usual_spacing(start)) if len(start) > 1 else length
    return fit_grid(int(start[0]), int(end[-1]), spacing)


def _centred(grid: Grid) -> Grid:
    """Return the grid on which a window's figure stands in the middle of the window."""
    return replace(grid, start=grid.start + grid.step // 2)


def _limit(curve: CheckCurve, scale: Scale) -> Iterator[Limit]:
    for limit in _last_limit(curve):
        at = limit / scale.divisor
        side = _side(curve)
        unit = "%" if scale.unit == "%" else f" {scale.unit}" if scale.unit else ""
        yield Limit(at, side, f"limit: {'at most' if side == 'above' else 'at least'} {number(at)}{unit}")


def _side(curve: CheckCurve) -> Literal["above", "below"]:
    """Tell on which side of its limit a check breaches: what the windows that did say, or else the check."""
    breach = np.array([outcome == "breach" for outcome in curve.outcome]) & np.isfinite(curve.value - curve.limit)
    if breach.any():
        return "above" if np.median((curve.value - curve.limit)[breach]) > 0 else "below"
    held = np.array([outcome == "ok" for outcome in curve.outcome]) & np.isfinite(curve.value - curve.limit)
    if held.any() and curve.check not in _AT_LEAST:
        return "above" if np.median((curve.limit - curve.value)[held]) >= 0 else "below"
    return "below" if curve.check in _AT_LEAST else "above"


def _last_limit(curve: CheckCurve) -> list[float]:
    known = curve.limit[np.isfinite(curve.limit)]
    return [float(known[-1])] if len(known) else []


def _text(curve: CheckCurve, scale: Scale, heading: Heading) -> str:
    breaches, unknown = curve.outcome.count("breach"), curve.outcome.count("unknown")
    last = int(np.flatnonzero(np.isfinite(curve.value))[-1])
    unit = "%" if scale.unit == "%" else f" {scale.unit}" if scale.unit else ""
    about = f" ({curve.about[last]})" if curve.about[last] else ""
    limits = [limit.text for limit in _limit(curve, scale)]
    newest = number(float(curve.value[last]) / scale.divisor, digits=3)
    parts = [
        f"Last {newest}{unit}{about}, window to {heading.when(int(curve.at[last]))}",
        *limits,
        f"{breaches} of {len(curve.outcome)} windows beyond it"
        if breaches
        else f"held in {len(curve.outcome) - unknown} windows",
    ]
    return "; ".join(parts + ([f"{unknown} without enough data"] if unknown else [])) + "."


def _worst(curve: CheckCurve) -> list[str]:
    """Return the features with the largest figures of the last windows, the largest first."""
    lately: dict[str, float] = {}
    for name, values in curve.details.items():
        known = values[np.isfinite(values)][-5:]
        if len(known):
            lately[name] = float(known.max())
    return sorted(lately, key=lambda name: -lately[name])[:WORST]


def _from_zero(values: Floats) -> bool:
    known = values[np.isfinite(values)]
    return bool(len(known)) and bool(known.min() >= 0)
