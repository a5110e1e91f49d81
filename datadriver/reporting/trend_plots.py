"""Plots of the checks of a model over the fleet, window by window."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from datadriver.reporting.check_plots import centred, check_title, windows
from datadriver.reporting.facts import Heading, Trend
from datadriver.reporting.figures import measured, scale_of
from datadriver.reporting.plots import Limit, Line, Plot
from datadriver.reporting.series import Curve, fit_grid, put_on


def trend_plot(trend: Trend, heading: Heading) -> Plot:
    """Return the plot of one check over the fleet: the median asset, and the band that holds 80% of them."""
    title = check_title(trend.check)
    known = np.isfinite(trend.middle)
    if not known.any():
        return Plot(title, "", "Nothing to draw: no window of any asset has what it takes to judge.")
    scale = scale_of(trend.measure, trend.high[known].tolist())
    grid = windows(trend.start, trend.at)
    middle, low, high = (
        put_on(grid, trend.start, one / scale.divisor).mean for one in (trend.middle, trend.low, trend.high)
    )
    limit = trend.limit[np.isfinite(trend.limit)]
    limits = [Limit(float(limit[-1]) / scale.divisor, trend.side, "limit")] if len(limit) else []
    return Plot(
        title,
        f"{scale.unit} of its limit" if trend.relative else scale.unit,
        _text(trend, int(np.flatnonzero(known)[-1]), heading),
        centred(grid),
        (Line("median", Curve(middle, low, high)),),
        tuple(limits),
        stepped=True,
        band="eight of ten assets",
    )


def _text(trend: Trend, last: int, heading: Heading) -> str:
    middle, low, high = (measured(float(one[last]), trend.measure) for one in (trend.middle, trend.low, trend.high))
    of = " of its limit" if trend.relative else ""
    return (
        f"In the window to {heading.when(int(trend.at[last]))} the median asset is at {middle}{of}, eight of ten are "
        f"between {low} and {high}; {int(trend.breaches[last]):,} of {int(trend.judged[last]):,} breach, "
        f"{int(trend.unknown[last]):,} unknown."
    )


def breach_plot(trends: Sequence[Trend], heading: Heading) -> Plot:
    """Return the plot that counts the assets in breach, a line for each check of a model."""
    title = "Assets in breach"
    counted = [trend for trend in trends if len(trend.at)]
    if not counted:
        return Plot(title, "", "Nothing to draw: nothing was monitored in this period.")
    first, last = min(int(trend.start[0]) for trend in counted), max(int(trend.at[-1]) for trend in counted)
    longest = max(counted, key=lambda trend: len(trend.at))
    grid = fit_grid(first, last, int(longest.at[0] - longest.start[0]))
    lines = tuple(
        Line(check_title(trend.check), put_on(grid, trend.start, trend.breaches.astype("float64")), tone=tone)
        for tone, trend in enumerate(counted)
    )
    newest = ", ".join(f"{trend.check.replace('_', ' ')} {int(trend.breaches[-1]):,}" for trend in counted)
    text = f"In the newest window, to {heading.when(last)}: {newest}."
    return Plot(title, "assets", text, centred(grid), lines, stepped=True, zero=True)
