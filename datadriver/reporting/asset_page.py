"""The page of one asset: how it stands and why, and everything that led there, on one time axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from datadriver.reporting.check_plots import check_plot, feature_plot, health_plots
from datadriver.reporting.facts import AssetFacts, AssetLine, Change, InstanceLine
from datadriver.reporting.figures import link, measured, number
from datadriver.reporting.pages import render
from datadriver.reporting.plots import Placed, Sheet
from datadriver.reporting.score_plots import score_plots
from datadriver.reporting.sensor_plots import sensor_plots
from datadriver.tracking.monitor_records import Alarm, CheckState
from datadriver.tracking.records import instant_order

_DRIFTING = ("drift", "score_drift")
_OPEN = ("alarm", "pending", "silenced")


@dataclass(frozen=True)
class ModelPart:
    """What the page shows of one model: its plots, or why there are none, and how its champion came about."""

    line: InstanceLine
    scores: Sequence[Placed]
    checks: Sequence[Placed]

    @property
    def changes(self) -> list[Change]:
        """What happened to its champion, but for the requests that are still open: those are shown by themselves."""
        still = {request.reason for request in self.line.requests}
        return [one for one in self.line.changes if one.kind != "request" or one.reason not in still]


def render_asset(facts: AssetFacts) -> str:
    """Return the page of one asset as one HTML file that needs nothing else."""
    line = facts.line
    sheet = Sheet(facts.heading, facts.start, facts.end, facts.events, _silenced(facts))
    models = [_part(instance, facts, sheet) for instance in line.instances]
    return render(
        "asset.html",
        heading=facts.heading,
        home="../",
        facts=facts,
        line=line,
        pressing=[check for check in line.checks if check.state in _OPEN],
        alarms=sorted(line.alarms, key=lambda alarm: instant_order(alarm.opened), reverse=True),
        opening=lambda check: _opening(check, line),
        models=models,
        sensors=sheet.place(sensor_plots(facts)),
        health=sheet.place(health_plots(facts.checks, facts.heading)),
        sheet=sheet.data(),
        day=86400 if facts.heading.index == "time" else None,
        link=link,
        measured=measured,
        number=number,
        run_link=lambda run: run_link(facts.heading.mlflow, run),
    )


def run_link(mlflow: str, run_id: str) -> str:
    """Return the address of a run in MLflow's pages, empty without a server.

    >>> run_link("https://mlflow.example/", "a1"), run_link("mlflow ui", "a1")
    ('https://mlflow.example/#/runs/a1', '')
    """
    return f"{mlflow.rstrip('/')}/#/runs/{run_id}" if link(mlflow) and run_id else ""


def _part(line: InstanceLine, facts: AssetFacts, sheet: Sheet) -> ModelPart:
    scores = [one for one in facts.scores if (one.unit, one.model) == (line.unit, line.model) and len(one.at)]
    checks = [one for one in facts.checks if (one.unit, one.model) == (line.unit, line.model)]
    return ModelPart(
        line,
        [placed for curve in scores for placed in sheet.place(score_plots(curve, facts))],
        sheet.place(
            feature_plot(curve, facts.heading) if curve.check in _DRIFTING else check_plot(curve, facts.heading)
            for curve in checks
        ),
    )


def _opening(check: CheckState, line: AssetLine) -> Alarm | None:
    """Return the open alarm of a check: what it opened for is worth more than that nobody can judge it any more."""
    same = (check.unit, check.model, check.check)
    return next((one for one in line.alarms if one.closed is None and (one.unit, one.model, one.check) == same), None)


def _silenced(facts: AssetFacts) -> list[list[int]]:
    """Return the stretches in which known work silenced a check."""
    found: set[tuple[int, int]] = set()
    for curve in facts.checks:
        found |= {
            (int(start), int(end))
            for start, end, state in zip(curve.start, curve.at, curve.state, strict=True)
            if state == "silenced"
        }
    return [list(one) for one in sorted(found)]
