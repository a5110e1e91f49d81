"""The page of one model: how it does over the fleet, beside its baselines, and where it does not serve and why."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from datadriver.reporting import model_rows
from datadriver.reporting.asset_page import run_link
from datadriver.reporting.facts import ModelFacts
from datadriver.reporting.figures import link, measured, number
from datadriver.reporting.model_rows import Row, judged_by
from datadriver.reporting.pages import render
from datadriver.reporting.plots import Plot, Sheet
from datadriver.reporting.trend_plots import breach_plot, trend_plot

_WIDE = 10  # a metric whose largest figure is so many times the smallest is drawn on a logarithmic axis


def render_model(facts: ModelFacts) -> str:
    """Return the page of one model as one HTML file that needs nothing else."""
    rows = model_rows.rows(facts)
    starts = [int(trend.start[0]) for trend in facts.trends if len(trend.at)]
    ends = [int(trend.at[-1]) for trend in facts.trends if len(trend.at)]
    sheet = Sheet(facts.heading, min(starts, default=0), max(ends, default=1))
    trends = sheet.place(_trend_plots(facts))
    ranked = ranks(rows, facts)
    return render(
        "model.html",
        heading=facts.heading,
        home="../",
        facts=facts,
        judged_by=judged_by(facts),
        rows=rows,
        counts=model_rows.counts(rows),
        summary=model_rows.summary(rows, facts),
        spreads=model_rows.spreads(rows, facts.primary),
        ages=model_rows.ages(rows, facts.heading.made_at),
        out=model_rows.groups(rows, ("failed", "rejected")),
        plain=model_rows.groups(rows, ("baseline",)),
        trends=trends,
        ranked=ranked,
        sheet=sheet.data() | {"ranks": [ranked] if ranked else []},
        day=86400 if facts.heading.index == "time" else None,
        link=link,
        measured=measured,
        number=number,
        run_link=lambda run: run_link(facts.heading.mlflow, run),
    )


def _trend_plots(facts: ModelFacts) -> Iterator[Plot]:
    if facts.trends:
        yield breach_plot(facts.trends, facts.heading)
    for trend in facts.trends:
        yield trend_plot(trend, facts.heading)


def ranks(rows: Sequence[Row], facts: ModelFacts) -> dict[str, Any]:
    """Return what the plot of models beside their baselines is drawn from: best gain first; empty without figures."""
    drawn = [row for row in rows if row.model is not None or row.baseline is not None]
    drawn.sort(key=lambda row: (row.gain is None, -(row.gain or 0.0), row.model or 0.0))
    figures = [one for row in drawn for one in (row.model, row.baseline) if one is not None]
    if not figures:
        return {}
    wide = min(figures) > 0 and max(figures) > _WIDE * min(figures)
    return {
        "id": "ranks",
        "label": f"{judged_by(facts)}: the model beside its baseline",
        "unit": judged_by(facts),
        "greater": facts.greater_is_better,
        "log": wide,
        "names": [row.line.unit for row in drawn],
        "pages": [f"../assets/{row.links[0][1]}" if len(row.links) == 1 else "" for row in drawn],
        "model": [_short(row.model) for row in drawn],
        "baseline": [_short(row.baseline) for row in drawn],
        "gain": [_short(row.gain) for row in drawn],
    }


def _short(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.4g}")
