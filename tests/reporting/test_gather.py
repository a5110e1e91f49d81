"""What is gathered from a really monitored use case: how assets stand, news, and how it stood before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from datadriver.config.sections import UseCase
from datadriver.data.window import Window
from datadriver.errors import ConfigError
from datadriver.monitoring.standing import state_of
from datadriver.project import Project
from datadriver.reporting.facts import AssetLine, FleetFacts
from datadriver.reporting.gather import Fleet, gather
from datadriver.reporting.heading import make_heading
from datadriver.reporting.order import beyond, by_gravity
from datadriver.reporting.past import states_at
from datadriver.tracking import schema
from datadriver.tracking.history import newly_failing
from datadriver.tracking.monitor_records import HEALTHS, CheckState
from datadriver.tracking.records import Outcome, instant_text
from datadriver.tracking.task_failures import TaskFailure, close_failures, record_failures


def gathered(project: Project, **options: Any) -> FleetFacts:
    fleet = Fleet(project.usecase, project.root, project.assets, project.instances)
    return gather(fleet, project.ledger, **options)


def by_id(facts: FleetFacts) -> Mapping[str, AssetLine]:
    return {line.id: line for line in facts.assets}


def state(check: str = "freshness", state: str = "ok", **values: Any) -> CheckState:
    outcome = {"ok": "ok", "unknown": "unknown"}.get(state, "breach")
    given = {"asset": "P-1", "unit": "", "model": "", "severity": "warning", **values}
    return CheckState(check=check, state=state, outcome=outcome, window_start="", window_end="", **given)  # type: ignore[arg-type]


def test_the_silent_and_the_hot_pump_are_in_alarm_with_their_reasons(monitored: Any) -> None:
    lines = by_id(gathered(Project.open(monitored.root)))
    assert lines["P-1"].state == "alarm"
    assert lines["P-1"].severity == "critical"
    assert "newest reading is 3 d 1 h old" in lines["P-1"].reason
    assert {check.check for check in lines["P-2"].checks if check.state == "alarm"} >= {"alarms", "performance"}
    assert lines["P-2"].attributes == {"country": "GB"}
    assert [one.model for one in lines["P-2"].instances] == ["temperature"]
    assert lines["P-2"].alarms[0].closed is None


def test_until_shows_checks_and_alarms_as_they_were(monitored: Any) -> None:
    project = Project.open(monitored.root)
    then = gathered(project, until=pd.Timestamp("2026-03-17", tz="UTC"))
    assert then.heading.end == "2026-03-17T00:00:00.000000+00:00"
    fresh = {check.check: check.state for check in by_id(then)["P-1"].checks}
    assert fresh["freshness"] == "ok"
    assert all(alarm.opened <= then.heading.end for line in then.assets for alarm in line.alarms)
    with pytest.raises(ConfigError, match="no window that ended by 2026-01-01"):
        gathered(project, until=pd.Timestamp("2026-01-01", tz="UTC"))


def test_days_say_how_far_back_pages_look(monitored: Any) -> None:
    project = Project.open(monitored.root)
    end = pd.Timestamp("2026-03-21", tz="UTC")
    assert gathered(project, days=3).period == Window(end - pd.Timedelta(days=3), end)
    assert gathered(project).period == Window(end - pd.Timedelta(days=14), end)


def test_a_pump_that_left_is_news_and_not_in_the_list(monitored: Any) -> None:
    monitored.edit("P-2,GB\n", "", "fleet.csv")
    facts = gathered(Project.open(monitored.root))
    assert "P-2" not in by_id(facts)
    gone = [item for item in facts.news if item.kind == "gone"]
    assert [item.asset for item in gone] == ["P-2"]
    assert "open alarm" in gone[0].text
    assert not any(item.asset == "P-2" for item in facts.news if item.kind in ("opened", "closed"))


def test_a_pump_that_came_is_unknown_until_it_is_monitored(monitored: Any) -> None:
    monitored.edit("P-2,GB\n", "P-2,GB\nP-9,GB\n", "fleet.csv")
    line = by_id(gathered(Project.open(monitored.root)))["P-9"]
    assert (line.state, line.checks) == ("unknown", ())
    assert line.reason


def test_a_check_that_is_switched_off_is_not_shown_any_more(monitored: Any) -> None:
    monitored.edit("monitor:\n", "monitor:\n  checks: {freshness: null}\n")
    facts = gathered(Project.open(monitored.root))
    assert not any(check.check == "freshness" for line in facts.assets for check in line.checks)


def test_what_was_released_and_asked_for_today_is_news(monitored: Any) -> None:
    kinds = {item.kind for item in gathered(Project.open(monitored.root)).news}
    assert kinds >= {"champion", "request"}


def test_a_first_report_has_no_yesterday(monitored: Any) -> None:
    project = Project.open(monitored.root)
    assert gathered(project).first
    with project.ledger.writing() as connection:
        before = instant_text(datetime.now(UTC) - timedelta(days=3))
        connection.execute(schema.monitored.update().where(schema.monitored.c.asset != "P-1").values(first_at=before))
    facts = gathered(project)
    assert not facts.first
    assert [item.asset for item in facts.news if item.kind == "new"] == ["P-1"]


def test_the_second_day_has_a_yesterday_although_the_first_run_ended_later_in_the_day(monitored: Any) -> None:
    project = Project.open(monitored.root)
    with project.ledger.writing() as connection:
        before = instant_text(datetime.now(UTC) - timedelta(hours=23, minutes=50))
        connection.execute(schema.monitored.update().values(first_at=before))
    facts = gathered(project)
    assert not facts.first
    assert not [item for item in facts.news if item.kind == "new"]


def test_a_time_before_the_first_fact_of_a_stepped_fleet_has_no_states(tmp_path: Path) -> None:
    usecase = UseCase.model_validate(
        {
            "name": "tests",
            "fleet": {"assets": "fleet.csv"},
            "data": {"index": "step", "sources": {"rig": {"path": "rig.parquet", "index": "cycle"}}},
            "models": {"wear": {"problem": "anomaly", "estimator": "tests.models:a", "baseline": "tests.models:b"}},
        }
    )
    assert states_at(usecase, tmp_path, {}, 60_000) == {}


def test_trainings_that_failed_before_are_no_news(monitored: Any) -> None:
    ledger = Project.open(monitored.root).ledger
    batches = [ledger.start_batch("train").id for _ in range(3)]
    for place, (unit, outcome) in enumerate([("P-1", "failed"), ("P-1", "rejected"), ("P-2", "failed")]):
        at = f"2026-11-2{place}T00:00:00.000000+00:00"
        ledger.record_result(Outcome(batches[place], unit, "wear", outcome, "why", at=at))  # type: ignore[arg-type]
    failing = newly_failing(ledger, "2026-11-20T12:00:00.000000+00:00")
    assert [outcome.unit for outcome in failing] == ["P-2"]


def selects(project: Project) -> int:
    asked: list[str] = []

    @sa.event.listens_for(project.ledger.engine, "before_cursor_execute")
    def _count(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        asked.append(statement)

    gathered(project)
    return sum(statement.startswith("SELECT") for statement in asked)


def test_the_number_of_statements_does_not_grow_with_the_fleet(monitored: Any) -> None:
    before = selects(Project.open(monitored.root))
    monitored.edit("P-2,GB\n", "P-2,GB\nP-9,GB\nP-10,NO\n", "fleet.csv")
    assert selects(Project.open(monitored.root)) == before
    assert before <= 20


def test_a_task_of_the_scheduler_that_failed_is_said_with_its_assets_until_it_succeeds(monitored: Any) -> None:
    project = Project.open(monitored.root)
    failure = TaskFailure("tiny__P-2__score", "r", "score", 1, "score", "P-2", "killed", ("P-2",))
    record_failures(project.ledger, [failure])
    lines = by_id(gathered(project))
    assert lines["P-2"].reason.endswith("; scoring failed: killed")
    assert [one.reason for one in lines["P-2"].failures] == ["killed"]
    assert not lines["P-1"].failures
    close_failures(project.ledger, "tiny__P-2__score", ["score"])
    assert not by_id(gathered(project))["P-2"].failures


def test_a_long_silent_fleet_is_said_to_be_old(monitored: Any) -> None:
    usecase = Project.open(monitored.root).usecase
    end, now = "2026-03-01T00:00:00.000000+00:00", datetime(2026, 3, 3, 12, tzinfo=UTC)
    assert make_heading(usecase, end, now=now).old == ""
    assert "ended 41 days ago (2026-03-01)" in make_heading(usecase, end, now=now + timedelta(days=39)).old


def test_a_check_without_labels_does_not_make_a_pump_unknown() -> None:
    waiting = state("performance", "unknown", unit="P-1", model="m")
    assert state_of([state(), waiting, state("alarms", unit="P-1", model="m")]) == "ok"
    assert state_of([state(), waiting]) == "unknown"
    assert state_of([state(state="unknown"), state("completeness")]) == "ok"
    assert state_of([]) == "unknown"


@given(st.lists(st.sampled_from(HEALTHS), min_size=1))
def test_one_alarm_is_enough_and_no_worse_check_makes_an_asset_better(states: list[Any]) -> None:
    checks = [state(f"c{place}", one) for place, one in enumerate(states)]
    found = state_of(checks)
    assert (found == "alarm") == ("alarm" in states)
    worse = state_of([*checks, state("another", "alarm")])
    assert worse == "alarm"


def test_checks_are_sorted_by_state_severity_distance_and_age() -> None:
    ordered = [
        state("a", "alarm", severity="critical", value=3.0, limit=1.0),
        state("b", "alarm", severity="critical", value=2.0, limit=1.0, since="2026-01-01T00:00:00+00:00"),
        state("c", "alarm", severity="critical", value=2.0, limit=1.0, since="2026-01-02T00:00:00+00:00"),
        state("d", "alarm", value=9.0, limit=1.0),
        state("e", "pending"),
        state("f", "unknown"),
        state("g", "silenced"),
        state("h"),
    ]
    assert sorted([*ordered[4:], *ordered[:4]], key=by_gravity) == ordered


def test_how_far_beyond_a_limit_does_not_depend_on_its_direction() -> None:
    above, below = state("a", "alarm", value=1.5, limit=1.0), state("b", "alarm", value=0.5, limit=1.0)
    assert beyond(above) == beyond(below) == 0.5
    assert beyond(replace(above, limit=0.0)) == 1.5
    assert beyond(replace(above, value=None)) == 0.0
    assert beyond(state()) == 0.0
