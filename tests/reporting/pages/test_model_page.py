from __future__ import annotations

import html
import json
import re
from dataclasses import replace

import pytest

from datadriver.reporting.model_page import ranks, render_model
from datadriver.reporting.model_rows import gain, groups, rows, spreads


def data(page: str) -> dict:
    found = re.search(r'<script type="application/json" id="plots">(.*?)</script>', page, re.DOTALL)
    assert found
    return json.loads(found[1])


def text(page: str) -> str:
    body = page[page.index("<body>") : page.index('<script type="application/json"')]
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", body)))


def test_the_page_says_who_beats_the_baseline(model_facts):
    facts = model_facts(30)
    said = text(render_model(facts))
    better = sum(row.gain > 0 for row in rows(facts))
    assert f"On the holdout {better} of 30 beat their baseline; the median gain in mae is" in said
    assert "judged by mae , lower is better" in said


@pytest.mark.parametrize(("greater", "sign"), [(True, -1), (False, 1)])
def test_gain_is_positive_for_the_better_figure(greater, sign):
    assert gain(0.5, 2.0, greater) == sign * 0.75


def test_nobody_can_say_the_gain_where_the_direction_is_unknown(model_facts):
    facts = model_facts(5, greater_is_better=None)
    lines = tuple(replace(line, greater_is_better=None) for line in facts.lines)
    page = render_model(replace(facts, lines=lines))
    assert "is better" not in text(page).split("Beside")[0]
    assert data(page)["ranks"][0]["gain"] == [None] * 5


def test_instances_are_ranked_by_gain_and_lead_to_their_asset(model_facts):
    drawn = data(render_model(model_facts(12)))["ranks"][0]
    assert drawn["gain"] == sorted(drawn["gain"], reverse=True)
    assert set(drawn["pages"]) == {f"../assets/PL-{number:03d}.html" for number in range(1, 13)}


def test_figures_that_differ_by_orders_are_drawn_on_a_logarithmic_axis(model_facts):
    facts = model_facts(6)
    assert not ranks(rows(facts), facts)["log"]
    first = facts.lines[0]
    huge = replace(first.champion, metrics={"model": {"mae": 900.0}, "baseline": {"mae": 1.0}})
    facts = replace(facts, lines=(replace(first, champion=huge), *facts.lines[1:]))
    assert ranks(rows(facts), facts)["log"]


def test_reasons_that_differ_in_names_and_figures_only_are_one_group(model_facts):
    facts = model_facts(30)
    (group,) = groups(rows(facts), ("failed", "rejected"))
    assert len(group.rows) == 2
    said = text(render_model(facts))
    assert "2 instances, for example: PL-004: 60% nulls PL-004 , PL-005" in said


def test_where_the_baseline_serves_is_said_with_the_reason(model_facts):
    said = text(render_model(model_facts(30)))
    assert "Where the baseline serves" in said
    assert re.search(r"\d+ instances?(, for example)?: mae [\d.]+ against the baseline's [\d.]+", said)


def test_metrics_over_the_fleet_are_those_of_versions_in_service(model_facts):
    facts = model_facts(11)
    (spread,) = spreads(rows(facts), "mae")
    served = sorted(line.status.metrics["mae"] for line in facts.lines)
    assert spread.middle == pytest.approx(served[5])
    assert spread.count == 11


def test_ages_of_versions_are_counted(model_facts):
    assert "up to 30 days 11" in text(render_model(model_facts(11)))


def test_drift_over_the_fleet_is_drawn_with_its_limit(model_facts):
    plots = {one["label"]: one for one in data(render_model(model_facts(30)))["plots"]}
    assert plots["Drift"]["limits"][0]["at"] == pytest.approx(0.2)
    assert len(plots["Drift"]["data"]) == 3
    assert [line["label"] for line in plots["Assets in breach"]["lines"]] == ["Drift"]


def test_a_pooled_instance_lists_its_assets(model_facts):
    facts = model_facts(2)
    pooled = replace(
        facts.lines[0], status=replace(facts.lines[0].status, unit="type=ESP"), assets=("PL-001", "PL-002", "gone")
    )
    page = render_model(replace(facts, lines=(pooled,)))
    assert 'href="../assets/PL-001.html"' in page
    assert "type=ESP PL-001 , PL-002" in text(page)


def test_a_model_that_was_never_trained_has_a_page_that_says_so(model_facts):
    facts = model_facts(2, trends=(), checks=())
    bare = tuple(
        replace(
            line,
            champion=None,
            versions=(),
            status=replace(line.status, state="new", reason="never trained", champion_version=None, metrics={}),
        )
        for line in facts.lines
    )
    said = text(render_model(replace(facts, lines=bare)))
    assert "0 by the baseline, 2 by nothing yet" in said
    assert "Nothing to draw: no version has a figure of mae yet." in said
    assert "This model was not monitored in this period." in said


def test_names_and_reasons_are_escaped(model_facts):
    hostile = "</script><script>alert(1)</script><img src=x onerror=alert(1)>"
    facts = model_facts(2)
    lines = tuple(replace(line, status=replace(line.status, unit=hostile, reason=hostile)) for line in facts.lines)
    page = render_model(replace(facts, name=hostile, lines=lines))
    assert "<script>alert" not in page
    assert "<img src=x" not in page
    assert data(page)["ranks"][0]["names"] == [hostile, hostile]
