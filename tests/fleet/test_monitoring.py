"""Monitoring a fleet: judged once, judged again, killed, late, broken, silenced; and what follows from an alarm."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pandas as pd
import pytest

from datadriver.fleet.monitor_plan import retired_checks
from datadriver.fleet.selection import Selection
from datadriver.project import Project
from datadriver.tracking import queries
from datadriver.tracking.monitoring import alarms, check_states, open_requests
from datadriver.tracking.records import Key

P1 = Selection(assets=("P-1",))
WINDOWS = 8  # whole days of the tiny case


def standing(project):
    """How all checks stand, without who found out and when."""
    return {tuple(key): replace(state, batch="", at="") for key, state in check_states(project.ledger).items()}


def alarm_list(project):
    return [(one.asset, one.check, one.opened[:10], (one.closed or "")[:10]) for one in alarms(project.ledger)]


def files(case):
    return {path: path.read_bytes() for path in (case.root / ".datadriver" / "monitor").rglob("*.parquet")}


def state(project, check, asset="P-1", model=""):
    unit = asset if model else ""
    return check_states(project.ledger)[asset, unit, model, check]


def monitor(case, text):
    case.edit("tracking: {plots: false}", f"tracking: {{plots: false}}\nmonitor: {text}")


def without(case, asset, start, end):
    """Take the readings of one asset between two times out of the data."""
    data = case.data()
    lost = (data["pump"] == asset) & (data["ts"] >= start) & (data["ts"] < end)
    case.write(data[~lost])


def test_a_run_ends_with_every_check_judged_and_written_down(served):
    project = Project.open(served.root)
    found = standing(project)
    assert {key[3] for key in found if key[0] == "P-1"} >= {
        *("freshness", "completeness", "out_of_range", "drift", "score_drift", "performance", "alarms"),
    }
    assert {one.window_end for one in found.values()} == {"2026-03-09T00:00:00.000000+00:00"}
    assert all(one.reason for one in found.values())
    assert {one.version for key, one in found.items() if key[2]} == {1}
    facts, drawn = project.facts(), project.series(P1)
    assert set(facts["asset_id"]) == set(served.assets)
    assert facts[facts["check"] == "freshness"].groupby("asset_id").size().eq(WINDOWS).all()
    assert set(drawn["tag"]) == {"current", "flow", "temperature"}
    assert len(drawn) == 3 * 24 * WINDOWS
    assert (served.root / ".datadriver" / "metrics.txt").read_text("utf-8").endswith("# EOF\n")


def test_the_same_command_again_writes_nothing_also_when_asked_for_the_same_windows(served):
    project = Project.open(served.root)
    before, on_disk = check_states(project.ledger), files(served)
    again = project.monitor(workers=1)
    asked = project.monitor(start="2026-03-01", workers=1)
    assert (again.written, asked.windows, asked.written) == (0, 3 * WINDOWS, 0)
    assert check_states(project.ledger) == before
    assert files(served) == on_disk
    assert (asked.opened, asked.closed, asked.failure) == ((), (), None)


def test_day_by_day_is_the_same_as_all_days_at_once(served, tmp_path):
    without(served, "P-1", "2026-03-03", "2026-03-07")
    shutil.rmtree(served.root / ".datadriver" / "monitor")
    forget(served)
    shutil.copytree(served.root, tmp_path / "other")
    whole, daily = Project.open(served.root), Project.open(tmp_path / "other")
    whole.monitor(workers=1)
    for day in (3, 5, 6, 9):
        daily.monitor(until=f"2026-03-0{day}", workers=1)
    assert standing(daily) == standing(whole)
    assert alarm_list(daily) == alarm_list(whole) != []
    columns = [name for name in whole.facts().columns if name != "written_at"]
    pd.testing.assert_frame_equal(daily.facts()[columns], whole.facts()[columns])


def forget(case):
    """Leave nothing of monitoring in the ledger."""
    with Project.open(case.root).ledger.writing() as connection:
        for table in ("notices", "alarms", "check_states", "retrain_requests", "monitored"):
            connection.exec_driver_sql(f"DELETE FROM {table}")


def test_late_data_are_judged_again_when_asked_and_states_follow_from_there_on(served, tmp_path):
    complete = served.data()
    without(served, "P-1", "2026-03-03", "2026-03-06")
    shutil.rmtree(served.root / ".datadriver" / "monitor")
    forget(served)
    project = Project.open(served.root)
    project.monitor(workers=1)
    opened = [one for one in alarm_list(project) if one[1] == "completeness"]
    assert opened == [("P-1", "completeness", "2026-03-06", "2026-03-08")]
    other = list(project.facts(Selection(assets=("P-2",)))["digest"])

    served.write(complete)
    assert project.monitor(workers=1).written == 0
    # Only the empty days are asked for, and the one whose features look back at them: the states of those after
    # them follow from what is on record.
    report = project.monitor(start="2026-03-03", until="2026-03-07", workers=1)
    assert 3 <= report.written < 3 * WINDOWS
    assert [(one.check, one.close_reason) for one in report.closed if one.check == "completeness"] == [
        ("completeness", "withdrawn: judged again, its windows make no alarm")
    ]
    assert list(project.facts(Selection(assets=("P-2",)))["digest"]) == other
    seen = project.facts(P1)

    clean = tmp_path / "clean"
    shutil.copytree(served.root, clean)
    shutil.rmtree(clean / ".datadriver" / "monitor")
    (fresh := Project.open(clean)).monitor(P1, start="2026-03-01", workers=1)
    assert list(fresh.facts(P1)["digest"]) == list(seen["digest"])
    assert standing(fresh) == standing(project)


def test_after_kill_minus_9_the_next_run_ends_where_an_uninterrupted_one_does(served, tmp_path):
    served.edit(served.read("src/tiny/features.py"), WAITS_FOR_ONE, "src/tiny/features.py")
    without(served, "P-1", "2026-03-05", "2026-03-09")
    shutil.rmtree(served.root / ".datadriver" / "monitor")
    forget(served)
    shutil.copytree(served.root, tmp_path / "whole")
    (tmp_path / "whole" / "go").touch()
    Project.open(tmp_path / "whole").monitor(workers=1)

    command = [sys.executable, "-m", "datadriver", "monitor", "--workers", "1"]
    process = subprocess.Popen(command, cwd=served.root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    project, until = Project.open(served.root), time.monotonic() + 120
    while not ((served.root / "waiting").exists() and check_states(project.ledger)):
        assert process.poll() is None
        assert time.monotonic() < until, "waited too long"
        time.sleep(0.2)
    process.send_signal(signal.SIGKILL)
    process.wait()
    (served.root / "go").touch()
    assert {key.asset for key in check_states(project.ledger)} == {"P-1"}

    assert project.monitor(workers=1).failure is None
    whole = Project.open(tmp_path / "whole")
    assert standing(project) == standing(whole)
    assert alarm_list(project) == alarm_list(whole) != []
    assert list(project.facts()["digest"]) == list(whole.facts()["digest"])
    assert "killed" in {batch.state for batch in queries.batches(project.ledger)}


WAITS_FOR_ONE = """
import pathlib, time
import pandas as pd

HERE = pathlib.Path(__file__).parents[2]

def load(frame: pd.DataFrame, asset: dict) -> pd.DataFrame:
    if asset["country"] == "GB" and not (HERE / "go").exists():
        (HERE / "waiting").touch()
        time.sleep(120)
    return frame[["current", "flow"]].assign(flow_before=frame["flow"].shift(1)).bfill()
"""


def test_an_asset_that_falls_silent_and_one_that_never_spoke_show_up(served):
    without(served, "P-2", "2026-03-04", "2026-03-10")
    served.edit("P-2,GB\n", "P-2,GB\nP-9,GB\n", "fleet.csv")
    shutil.rmtree(served.root / ".datadriver" / "monitor")
    forget(served)
    project = Project.open(served.root)
    report = project.monitor(workers=1)
    assert [(miss.name, miss.exit_code) for miss in report.misses] == [("P-9", 3)]
    assert report.failure.exit_code == 6
    quiet, never = state(project, "freshness", "P-2"), state(project, "freshness", "P-9")
    assert (quiet.state, quiet.since[:10]) == ("alarm", "2026-03-07")
    assert (never.state, state(project, "completeness", "P-9").state) == ("alarm", "unknown")
    assert "cannot be read" in never.reason
    assert "P-9" in never.reason
    assert state(project, "freshness", "P-1").state == "ok"


def test_an_asset_without_one_reading_in_all_windows_says_how_old_its_newest_is(served):
    without(served, "P-2", "2026-03-02", "2026-03-10")
    monitor(served, "{history: 3}")
    forget(served)
    project = Project.open(served.root)
    report = project.monitor(workers=1)
    assert report.failure is None
    quiet = state(project, "freshness", "P-2")
    assert quiet.state == "alarm"
    assert "newest reading is 7 d 1 h old" in quiet.reason


def test_broken_feature_code_is_a_miss_of_its_instances_and_the_data_are_judged_all_the_same(served):
    served.edit("return frame", 'return frame[["vibration"]]; return frame', "src/tiny/features.py")
    forget(served)
    project = Project.open(served.root)
    report = project.monitor(P1, workers=1)
    assert [(miss.name, miss.exit_code) for miss in report.misses] == [("P-1/temperature", 4)]
    assert report.failure.exit_code == 6
    drift = state(project, "drift", model="temperature")
    assert drift.state == "unknown"
    assert "tiny.features:load raised KeyError" in drift.reason
    assert state(project, "freshness").state == "ok"
    assert state(project, "alarms", model="temperature").outcome != "unknown"


def test_an_open_alarm_closes_when_its_asset_or_check_is_gone(served):
    without(served, "P-1", "2026-03-05", "2026-03-10")
    without(served, "P-2", "2026-03-05", "2026-03-10")
    forget(served)
    project = Project.open(served.root)
    assert {one[:2] for one in alarm_list(project)} == set()
    project.monitor(workers=1)
    still_open = {(one.asset, one.check) for one in alarms(project.ledger, only_open=True)}
    assert {("P-1", "freshness"), ("P-2", "freshness")} <= still_open

    served.edit("P-2,GB\n", "", "fleet.csv")
    monitor(served, "{checks: {freshness: null}}")
    project = Project.open(served.root)
    report = project.monitor(workers=1)
    assert {(one.asset, one.check): one.close_reason for one in report.closed if one.check == "freshness"} == {
        ("P-1", "freshness"): "the check freshness is switched off",
        ("P-2", "freshness"): "P-2 is not in the fleet any more",
    }
    assert {key.asset for key in check_states(project.ledger)} == {"P-1", "15/9-F-1 C"}
    assert project.monitor(workers=1).closed == ()


def test_the_checks_of_a_model_with_another_name_close_with_that_reason(served):
    served.edit("  temperature:\n", "  warmth:\n")
    project = Project.open(served.root)
    keys = set(check_states(project.ledger))
    found = retired_checks(project.ledger, project.usecase, project.assets, project.instances)
    assert set(found.values()) == {"the model temperature serves no asset any more"}
    assert set(found) == {key for key in keys if key.model}


def test_how_old_the_newest_window_is_does_not_depend_on_which_are_judged_again(served):
    forget(served)
    project = Project.open(served.root)
    newest = project.monitor(workers=1).age
    again = project.monitor(P1, start="2026-03-03", until="2026-03-06", workers=1).age
    assert again - newest < pd.Timedelta("1D")


DRIFTED = "{window: 12h, history: 20, checks: {drift: {psi: 1.0, usual: null, min_rows: 5, when: 2 of 3}}}"


@pytest.fixture
def drifted(served):
    """P-1's current is another one since March 7; its champion has not seen that."""
    data = served.data()
    data.loc[(data["pump"] == "P-1") & (data["ts"] >= "2026-03-07"), "current"] += 30
    served.write(data)
    monitor(served, DRIFTED)
    forget(served)
    return served


def test_drift_asks_for_a_training_once_and_any_outcome_answers(drifted):
    project = Project.open(drifted.root)
    report = project.monitor(workers=1)
    asked = [one for one in report.requests if one.check == "drift"]
    assert [(one.key, one.opened[:16]) for one in asked] == [(Key("P-1", "temperature"), "2026-03-08T00:00")]
    assert "current has a median of" in asked[0].reason
    due = {item.instance.unit.key: item.reason for item in project.plan() if item.due}
    assert due["P-1"].startswith("asked by monitoring: drift on P-1: current has a median of")

    assert project.monitor(start="2026-03-01", workers=1).requests == ()
    trained = project.train(P1, workers=1)
    assert [outcome.state for outcome in trained.outcomes] == ["trained"]
    assert Key("P-1", "temperature") not in open_requests(project.ledger)
    assert project.plan(P1)[0].reason == "nothing has changed"


def test_a_request_is_answered_by_a_training_that_fails_too(drifted):
    project = Project.open(drifted.root)
    project.monitor(workers=1)
    drifted.edit("min_rows: 20", "min_rows: 2000")
    project = Project.open(drifted.root)
    assert project.plan(P1)[0].due
    assert [outcome.state for outcome in project.train(P1, workers=1).outcomes] == ["rejected"]
    assert not project.plan(P1)[0].due


def test_a_new_champion_closes_the_alarms_about_the_old_one(drifted):
    project = Project.open(drifted.root)
    project.monitor(workers=1)
    assert state(project, "drift", model="temperature").state == "alarm"
    project.train(P1, workers=1)
    project.promote(P1, force=True)
    drifted.write(pd.concat([drifted.data(), *newer(drifted)]))
    report = Project.open(drifted.root).monitor(workers=1)
    closed = {(one.model, one.check): one.close_reason for one in report.closed}
    assert closed["temperature", "drift"] == "version 2 is champion now"
    assert state(project, "drift", model="temperature").version == 2


def newer(case, hours=24):
    """One more day of each asset."""
    return [case.rows(asset, rows=hours, start="2026-03-09 08:00", seed=1) for asset in case.assets]


def test_monitoring_before_training_judges_the_data_alone_and_the_model_once_it_serves(tiny):
    project = Project.open(tiny.root)
    report = project.monitor(workers=1)
    assert report.failure is None
    assert {key.model for key in check_states(project.ledger)} == {""}
    project.train(workers=1)
    project.promote()
    # No scores yet: the checks of scores say so; they are judged when scoring has come after monitoring.
    project.monitor(workers=1)
    assert state(project, "alarms", model="temperature").reason.startswith("no scores")
    assert state(project, "drift", model="temperature").outcome != ""
    project.score(workers=1)
    late = project.monitor(workers=1)
    assert late.windows > 0
    assert state(project, "alarms", model="temperature").outcome == "ok"


def test_a_champion_without_a_reference_is_said_and_its_scores_are_judged_all_the_same(served):
    forget(served)
    project = Project.open(served.root)
    for version in queries.champions(project.ledger).values():
        manifest = served.root / version.path / "datadriver.json"
        manifest.write_text(json.dumps({**json.loads(manifest.read_text("utf-8")), "reference": {}}), "utf-8")
    assert project.monitor(P1, workers=1).failure is None
    drift = state(project, "drift", model="temperature")
    assert (drift.state, drift.version) == ("unknown", 1)
    assert "without a reference" in drift.reason
    assert state(project, "alarms", model="temperature").outcome == "ok"
    for version in queries.champions(project.ledger).values():
        (served.root / version.path / "datadriver.json").unlink()
    forget(served)
    assert project.monitor(P1, workers=1).failure is None
    assert "without a reference" in state(project, "drift", model="temperature").reason


def test_known_work_silences_what_would_be_an_alarm(served):
    without(served, "P-1", "2026-03-06", "2026-03-10")
    (served.root / "works.csv").write_text("pump,done\nP-1,2026-03-06T08:00Z\n", "utf-8")
    works = "    works: {format: csv, path: works.csv, index: done, asset: pump, join: none}\nmodels:\n"
    served.edit("\nmodels:\n", "\n" + works)
    monitor(served, "{silence: [{source: works, lasting: 10d}]}")
    forget(served)
    project = Project.open(served.root)
    report = project.monitor(workers=1)
    assert not [one for one in report.opened if one.asset == "P-1" and one.check in {"freshness", "completeness"}]
    quiet = state(project, "freshness")
    assert quiet.state == "silenced"
    assert "silenced: works, 2026-03-06 08:00 UTC" in quiet.reason


def test_a_clock_in_the_future_shifts_nobody_elses_windows(served):
    data = served.data()
    ahead = (pd.Timestamp.now("UTC") + pd.Timedelta(days=400)).floor("h").tz_convert("UTC")
    data.loc[data.index[(data["pump"] == "P-1") & (data["ts"] == data["ts"].max())], "ts"] = ahead
    served.write(data)
    forget(served)
    project = Project.open(served.root)
    report = project.monitor(workers=1)
    assert str(report.span.end) == "2026-03-09 00:00:00+00:00"
    wrong = state(project, "freshness")
    assert (wrong.state, wrong.outcome) == ("pending", "breach")
    assert f"in the future ({ahead:%Y-%m-%d %H:%M} UTC)" in wrong.reason
    assert state(project, "freshness", "P-2").state == "ok"


def test_a_pooled_model_is_judged_on_each_of_its_assets_and_asked_for_as_a_whole(tiny):
    tiny.edit("problem: regression", "problem: regression\n    fit: [country]")
    monitor(tiny, DRIFTED)
    project = Project.open(tiny.root)
    project.run(workers=1)
    forget(tiny)
    data = tiny.data()
    data.loc[(data["pump"] == "P-1") & (data["ts"] >= "2026-03-07"), "current"] += 30
    tiny.write(data)
    report = project.monitor(workers=1)
    asked = [one for one in report.requests if one.check == "drift"]
    assert {(one.key, one.asset) for one in asked} == {(Key("country=NO", "temperature"), "P-1")}
    found = check_states(project.ledger)
    assert found["P-1", "country=NO", "temperature", "drift"].state == "alarm"
    assert found["15/9-F-1 C", "country=NO", "temperature", "drift"].state != "alarm"
    health = {line.unit: (line.health, line.health_reason) for line in project.status()}
    assert health["country=NO"][0] == "alarm"
    assert health["country=NO"][1].startswith("P-1, drift: current has a median of")


def test_a_server_that_does_not_answer_loses_no_verdict(served):
    forget(served)
    served.edit("tracking: {plots: false}", "tracking: {uri: 'http://127.0.0.1:9'}")
    project = Project.open(served.root)
    report = project.monitor(P1, workers=1)
    assert report.failure.exit_code == 5
    assert "the verdicts are recorded" in report.failure.message
    assert "127.0.0.1:9" in report.failure.message
    assert state(project, "freshness").state == "ok"
    assert report.metrics.exists()


def test_only_the_chosen_assets_and_models_are_judged(served):
    forget(served)
    project = Project.open(served.root)
    project.monitor(Selection(where='country == "GB"'), workers=1)
    assert {key.asset for key in check_states(project.ledger)} == {"P-2"}


def test_status_shows_health_with_its_reason_and_the_data_by_asset(served):
    without(served, "P-1", "2026-03-05", "2026-03-10")
    forget(served)
    project = Project.open(served.root)
    assert {line.health for line in project.status()} == {None}
    project.monitor(workers=1)
    data = {one.asset: one for one in project.data_status()}
    assert data["P-1"].health == "alarm"
    assert data["P-1"].health_reason.startswith("freshness: ")
    assert data["P-2"].health == "ok"


def test_after_a_rollback_no_version_waits_for_a_promote_that_would_refuse_it(served):
    served.edit("alpha=1.0", "alpha=0.1", "src/tiny/models.py")
    project = Project.open(served.root)
    project.train(P1, workers=1)
    project.promote(P1, force=True)
    project.rollback(P1, reason="alarms at night")
    line = project.status(P1)[0]
    refused = project.diff(P1)[0]
    assert not refused.promotes
    assert line.state == "champion"
    assert "waits for promote" not in line.reason
    assert refused.reason in line.reason


def test_steps_are_monitored_like_times(tiny):
    data = tiny.data()
    data["ts"] = data.groupby("pump").cumcount()
    tiny.write(data)
    tiny.edit("  resolution: 1h", "  index: step\n  resolution: native")
    tiny.edit("lookback: 2h", "lookback: 2")
    tiny.edit("scores: {window: 2d}", "monitor: {window: 50}")
    project = Project.open(tiny.root)
    report = project.run(workers=1)
    assert report.failure is None, report.failure
    assert (report.monitored.span.start, report.monitored.span.end) == (0, 200)
    assert {one.window_end for one in check_states(project.ledger).values()} == {"200"}
    assert len(project.facts(P1).query("check == 'completeness'")) == 4
    assert project.monitor(start=50, workers=1).written == 0


def test_a_place_that_cannot_be_written_is_worth_a_retry_not_a_partial_failure(served):
    forget(served)
    (served.root / "taken").write_text("a file, not a folder", "utf-8")
    monitor(served, "{path: taken/facts}")
    report = Project.open(served.root).monitor(workers=1)
    assert report.failure.exit_code == 5
    assert {miss.name for miss in report.misses} == set(served.assets)
