"""Plots of what monitoring found about an asset, window by window: drift by feature, performance, data health."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from datadriver.monitoring.facts import DATA_CHECKS
from datadriver.reporting.facts import CheckCurve, Heading, Instants
from datadriver.reporting.figures import measured, scale_of
from datadriver.reporting.plots import Limit, Line, Plot
from datadriver.reporting.series import Floats, Grid, fit_grid, put_on, usual_spacing

WORST = 4
"""So many features are drawn, those that were furthest from the training part lately."""


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
    return _plot(curve, {"": curve.value}, heading)


def feature_plot(curve: CheckCurve, heading: Heading) -> Plot:
    """Return the plot of a drift check: a line for each of the features that drift most."""
    of_measure = _of_measure(curve)
    named = _worst(of_measure)
    if not named:
        return check_plot(curve, heading)
    plot = _plot(curve, {name: of_measure[name] for name in named}, heading)
    others = len(of_measure) > len(named)
    text = f"{plot.text} The {len(named)} of {len(of_measure)} features that drift most." if others else plot.text
    return replace(plot, text=text)


def _plot(curve: CheckCurve, values: Mapping[str, Floats], heading: Heading) -> Plot:
    title = check_title(curve.check)
    known = np.isfinite(curve.value)
    if not known.any():
        reason = next((text for text in reversed(curve.reason) if text), "no window has what it takes to judge")
        return Plot(title, "", f"Nothing to draw: {reason.rstrip('.')}.", of=curve.model)
    scale = scale_of(curve.measure, [*curve.value[known].tolist(), *_limits(curve)])
    grid = windows(curve.start, curve.at)
    lines = [
        Line(name, put_on(grid, curve.start, one / scale.divisor), tone=tone)
        for tone, (name, one) in enumerate(values.items())
    ]
    side, limits = side_of(curve.value, curve.limit, curve.outcome), []
    if len(_limits(curve)) == 1:
        limits = [Limit(_limits(curve)[0] / scale.divisor, side, "limit")]
    elif _limits(curve):
        lines.append(
            Line(
                "limit" if len(values) == 1 else "limit of the worst",
                put_on(grid, curve.start, curve.limit / scale.divisor),
                limit=True,
            )
        )
    return Plot(
        title,
        scale.unit,
        _text(curve, side, heading),
        centred(grid),
        tuple(lines),
        tuple(limits),
        stepped=True,
        zero=side == "above" and _from_zero(curve.value),
        of=curve.model,
    )


def windows(start: Instants, end: Instants) -> Grid:
    """Return the grid whose steps are the windows."""
    length = int(end[0] - start[0]) if len(start) else 1
    spacing = min(length, usual_spacing(start)) if len(start) > 1 else length
    return fit_grid(int(start[0]), int(end[-1]), spacing)


def centred(grid: Grid) -> Grid:
    """Return the grid on which a window's figure stands in the middle of the window."""
    return replace(grid, start=grid.start + grid.step // 2)


def side_of(values: Floats, limits: Floats, outcomes: Sequence[str]) -> Literal["above", "below"]:
    """Tell on which side of their limit figures breach, by the windows that did, or else by those that did not.

    >>> side_of(np.array([0.5, 0.95]), np.array([0.9, 0.9]), ["breach", "ok"])
    'below'
    """
    distance, said = values - limits, np.array(outcomes)
    breach, held = (distance[(said == outcome) & np.isfinite(distance)] for outcome in ("breach", "ok"))
    if len(breach):
        return "above" if np.median(breach) > 0 else "below"
    return "below" if len(held) and np.median(held) > 0 else "above"


def _limits(curve: CheckCurve) -> list[float]:
    """Return the different limits that the windows had."""
    return [float(one) for one in np.unique(curve.limit[np.isfinite(curve.limit)])]


def _text(curve: CheckCurve, side: str, heading: Heading) -> str:
    breaches, unknown = curve.outcome.count("breach"), curve.outcome.count("unknown")
    last = int(np.flatnonzero(np.isfinite(curve.value))[-1])
    about = f" ({curve.about[last]})" if curve.about[last] not in ("", curve.measure) else ""
    newest = measured(float(curve.value[last]), curve.measure)
    parts = [f"{newest}{about} in the window to {heading.when(int(curve.at[last]))}"]
    if np.isfinite(curve.limit[last]):
        limit = measured(float(curve.limit[last]), curve.measure)
        parts.append(f"limit: {'at most' if side == 'above' else 'at least'} {limit}")
    judged = len(curve.outcome) - unknown
    parts.append(f"{breaches} of {judged} windows beyond it" if breaches else f"held in {judged} windows")
    return "; ".join(parts + ([f"{unknown} without enough data"] if unknown else [])) + "."


def _of_measure(curve: CheckCurve) -> dict[str, Floats]:
    """Return the figures of every feature that are of the kind that is judged: `<feature>: PSI` for a value in PSI."""
    ending = f": {curve.measure}"
    return {name.removesuffix(ending): values for name, values in curve.details.items() if name.endswith(ending)}


def _worst(figures: Mapping[str, Floats]) -> list[str]:
    """Return the features with the largest figures of the last windows, the largest first."""
    lately: dict[str, float] = {}
    for name, values in figures.items():
        known = values[np.isfinite(values)][-5:]
        if len(known):
            lately[name] = float(known.max())
    return sorted(lately, key=lambda name: -lately[name])[:WORST]


def _from_zero(values: Floats) -> bool:
    known = values[np.isfinite(values)]
    return bool(len(known)) and bool(known.min() >= 0)
