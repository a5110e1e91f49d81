from __future__ import annotations

import html
import json
import re
from dataclasses import replace

import numpy as np
import pytest

from datadriver.reporting.asset_page import render_asset
from datadriver.reporting.bands import Bound
from datadriver.reporting.facts import Mark

HOSTILE = "</script><script>alert('x')</script>\"'<img src=x onerror=alert(1)>&amp;"


def data(page: str) -> dict:
    found = re.search(r'<script type="application/json" id="plots">(.*?)</script>', page, re.DOTALL)
    assert found
    return json.loads(found[1])


def text(page: str) -> str:
    body = page[page.index("<body>") : page.index('<script type="application/json"')]
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", body)))


def test_the_worst_reason_stands_on_top_with_owner_runbook_and_since(asset_facts):
    page = render_asset(asset_facts())
    said = text(page)
    assert "92% of 24 scores are alarms: residual above 6 degC since 2025-04-28 00:00 owner rotating@field" in said
    assert 'href="https://wiki.example/hot-motor"' in page
    assert said.index("92% of 24 scores") < said.index("Sensors")


def test_what_the_fleet_table_says_of_the_asset_is_shown(asset_facts):
    assert "country NO depth_m 2410" in text(render_asset(asset_facts()))


def test_a_page_needs_nothing_from_outside(asset_facts):
    page = render_asset(asset_facts())
    outside = re.findall(r'(?:src|href)="([^"]*)"', page[: page.index('<script type="application/json"')])
    allowed = ("#", "../", "PL-0", "data:,", "https://wiki.example/")
    assert all(address.startswith(allowed) for address in outside), outside
    assert "default-src 'none'" in page


def test_a_page_is_small(asset_facts):
    assert len(render_asset(asset_facts()).encode()) < 150_000


@pytest.mark.parametrize("where", ["name", "reason", "tag", "event", "attribute", "owner"])
def test_text_from_outside_is_escaped_wherever_it_stands(asset_facts, where):
    facts = asset_facts()
    line, worst = facts.line, facts.line.checks[0]
    changed = {
        "name": replace(facts, line=replace(line, id=HOSTILE)),
        "reason": replace(facts, line=replace(line, checks=(replace(worst, reason=HOSTILE),))),
        "tag": replace(facts, tags=(replace(facts.tags[0], tag=HOSTILE, unit=HOSTILE),)),
        "event": replace(facts, events=(Mark(facts.start, HOSTILE, HOSTILE),)),
        "attribute": replace(facts, line=replace(line, attributes={HOSTILE: HOSTILE})),
        "owner": replace(facts, line=replace(line, checks=(replace(worst, owner=HOSTILE),))),
    }[where]
    page = render_asset(changed)
    assert "<script>alert" not in page
    assert "<img src=x" not in page
    data(page)


def test_a_runbook_that_is_no_web_address_is_no_link(asset_facts):
    facts = asset_facts()
    worst = replace(facts.line.checks[0], runbook="javascript:alert(1)")
    page = render_asset(replace(facts, line=replace(facts.line, checks=(worst,))))
    assert 'href="javascript' not in page
    assert "runbook: javascript:alert(1)" in text(page)


def test_a_sensor_beyond_the_contract_says_for_how_long(asset_facts):
    facts = asset_facts()
    said = text(render_asset(facts))
    share = 100 * (facts.tags[0].high > 110).mean()
    assert f"above 110 in {share:.2g}% of the time, lastly 2025-04-30 23:00" in said
    assert "Contract: at most 110 degC for 99.5% of the values (warning)." in said


def test_a_limit_far_away_is_told_and_does_not_squeeze_the_plot(asset_facts, tag_curve):
    far = tag_curve("pressure", "bar", np.linspace(60, 61, 336), bounds=(Bound(400.0, "above", "critical"),))
    page = render_asset(asset_facts(tags=(far,)))
    assert "Contract: at most 400 bar (critical), far from here." in text(page)
    plot = next(one for one in data(page)["plots"] if one["label"] == "pressure")
    assert plot["limits"] == [{"at": 400.0, "side": "above", "soft": False, "near": False}]


def test_readings_that_are_missing_are_told(asset_facts):
    assert "no readings in 6% of the period" in text(render_asset(asset_facts()))


def test_a_plot_without_data_says_why(asset_facts, tag_curve):
    silent = tag_curve("flow", "m3/d", np.full(336, np.nan))
    page = render_asset(asset_facts(tags=(silent,)))
    assert "Nothing to draw: no reading in this period." in text(page)
    assert "flow" not in [one["label"] for one in data(page)["plots"]]


def test_a_regression_shows_measured_beside_predicted_and_the_residual_with_its_threshold(asset_facts):
    plots = {one["label"]: one for one in data(render_asset(asset_facts()))["plots"]}
    compared = plots["motor_temperature: Measured and predicted"]
    assert [line["label"] for line in compared["lines"]] == ["measured", "predicted"]
    residual = plots["motor_temperature: Residual"]
    assert [(limit["at"], limit["side"]) for limit in residual["limits"]] == [(6.0, "above"), (-6.0, "below")]
    assert residual["alarms"]


def test_alarms_are_told_in_words_too(asset_facts):
    said = text(render_asset(asset_facts()))
    assert re.search(r"In alarm \d+ times, \d+% of the scores \(threshold 6\); lastly from 2025-04-\d\d", said)
    assert "No alarm in this period (threshold 0.3)." in said


def test_drift_is_drawn_by_feature_worst_first(asset_facts):
    plots = {one["label"]: one for one in data(render_asset(asset_facts()))["plots"]}
    drift = plots["motor_temperature: Drift"]
    assert [line["label"] for line in drift["lines"]] == ["flow", "load"]
    assert drift["limits"][0]["at"] == pytest.approx(0.2)


def test_a_limit_that_changes_from_window_to_window_is_a_line(asset_facts):
    facts = asset_facts()
    drift = next(one for one in facts.checks if one.check == "drift")
    moving = replace(drift, limit=np.linspace(0.2, 0.4, 14))
    plots = {one["label"]: one for one in data(render_asset(replace(facts, checks=(moving,))))["plots"]}
    plot = plots["motor_temperature: Drift"]
    assert [line["label"] for line in plot["lines"]] == ["flow", "load", "limit of the worst"]
    assert plot["limits"] == []


def test_an_alarm_that_nobody_can_judge_any_more_says_what_it_opened_for(asset_facts):
    facts = asset_facts()
    silent = replace(facts.line.checks[0], outcome="unknown", reason="no scores (20 are needed); the alarm stays open")
    said = text(render_asset(replace(facts, line=replace(facts.line, checks=(silent,)))))
    assert "56% of 24 scores are alarms Now: no scores (20 are needed); the alarm stays open" in said


def test_completeness_breaches_below_its_limit(asset_facts):
    plots = {one["label"]: one for one in data(render_asset(asset_facts()))["plots"]}
    limit = plots["Completeness"]["limits"][0]
    assert (limit["at"], limit["side"]) == (pytest.approx(90.0), "below")
    assert "limit: at least 90%; 1 of 14 windows beyond it" in text(render_asset(asset_facts()))


def test_a_check_that_never_had_enough_data_says_why(asset_facts):
    facts = asset_facts()
    never = replace(
        facts.checks[-1],
        value=np.full(14, np.nan),
        outcome=("unknown",) * 14,
        reason=("3 rows, at least 20 needed",) * 14,
    )
    page = render_asset(replace(facts, checks=(never,)))
    assert "Nothing to draw: 3 rows, at least 20 needed." in text(page)


def test_events_are_marks_on_the_plots_and_lines_in_a_list(asset_facts):
    page = render_asset(asset_facts())
    assert [event["grave"] for event in data(page)["events"]] == [False, True]
    said = text(page)
    assert "2025-04-29 00:00 ▼ failures mode: bearing" in said
    assert "2025-04-22 00:00 ◆ maintenance kind: inspection" in said


def test_windows_silenced_by_known_work_are_marked(asset_facts):
    facts = asset_facts()
    (stretch,) = data(render_asset(facts))["silent"]
    assert stretch[1] - stretch[0] == 86400


def test_all_plots_share_one_axis(asset_facts):
    facts = asset_facts()
    found = data(render_asset(facts))
    assert found["range"] == [facts.start / 1e6, facts.end / 1e6]
    assert all(grid["start"] >= found["range"][0] for grid in found["grids"])


def test_steps_are_not_shown_as_times(asset_facts, heading):
    facts = asset_facts()
    steps = replace(heading, index="step", end="336", window="24 steps")
    tag = replace(facts.tags[0], at=np.arange(336))
    page = render_asset(replace(facts, heading=steps, start=0, end=336, tags=(tag,), scores=(), checks=(), events=()))
    assert data(page)["range"] == [0, 336]
    assert "at step 335" in text(page)


def test_the_champions_history_shows_who_when_and_the_figures(asset_facts):
    said = text(render_asset(asset_facts()))
    assert "promoted version 2 after version 1 in release 7 by ana: run" in said
    assert "Asked to train again 2025-05-01 00:00: flow is unlike the training part" in said
    assert "model 0.645 1.82" in said


def test_runs_link_to_a_server_and_else_the_command_is_told(asset_facts, heading):
    facts = asset_facts()
    assert "mlflow ui --backend-store-uri sqlite:///.datadriver/mlflow.db" in text(render_asset(facts))
    served = replace(facts, heading=replace(heading, mlflow="https://mlflow.example"))
    assert f'href="https://mlflow.example/#/runs/{"f3c0" * 8}"' in render_asset(served)


def test_neighbours_and_models_are_linked(asset_facts):
    page = render_asset(asset_facts())
    for address in ("../index.html", "PL-014.html", "PL-016.html", "../models/motor_temperature.html"):
        assert f'href="{address}"' in page


def test_an_asset_of_which_nothing_is_known_still_has_a_page(asset_facts):
    facts = asset_facts(tags=(), scores=(), checks=(), events=(), before=None, after=None, models={})
    bare = replace(facts.line, state="unknown", reason="never monitored", checks=(), instances=(), alarms=())
    page = render_asset(replace(facts, line=bare))
    said = text(page)
    assert "never monitored" in said
    assert "Nothing was monitored yet." in said
    assert data(page)["plots"] == []


def test_what_could_not_be_read_is_noted(asset_facts):
    said = text(render_asset(asset_facts(notes=("Events of 'failures' are not shown: no such file",))))
    assert "Events of 'failures' are not shown: no such file" in said
