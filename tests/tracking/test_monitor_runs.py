"""What monitoring leaves in a real MLflow store: figures by window, the fleet's run, facts and report as artefacts."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from datadriver.config.sections import UseCase
from datadriver.monitoring.facts import DATA_CHECKS
from datadriver.monitoring.standing import state_of
from datadriver.tracking.ledger import Ledger
from datadriver.tracking.mlflow_runs import Tracker
from datadriver.tracking.monitor_figures import fleet_figures
from datadriver.tracking.monitor_records import HEALTHS, CheckState
from datadriver.tracking.monitor_runs import MonitorRuns, record_monitor_runs, record_report
from datadriver.tracking.records import Outcome, Version

DAY = timedelta(days=1)
FIRST = pd.Timestamp("2026-03-01", tz="UTC")
ORDINAL = (FIRST - pd.Timestamp(0, tz="UTC")).days
Made = Callable[..., str]


def rows(*checks: dict[str, Any], days: int = 1, start: int = 0, written: int = 1) -> pd.DataFrame:
    """Make facts as `read_facts` gives them: each check in so many windows, written on a day of April."""
    given = {"asset_id": "P-101", "unit": "", "model": "", "outcome": "ok", "state": "ok", "severity": "warning"}
    given |= {"value": 0.1, "limit": 0.2, "measure": "share", "about": "", "rows": 24, "reason": "", "details": "{}"}
    starts = [FIRST + DAY * (start + day) for day in range(days)]
    found = pd.DataFrame(
        [
            {**given, "version": 1 if check.get("model") else None, "window_start": at, "window_end": at + DAY, **check}
            for at in starts
            for check in checks
        ]
    )
    found = found.assign(written_at=pd.Timestamp(f"2026-04-{written:02}", tz="UTC")).astype({"version": "Int64"})
    stamps = [name for name in ("window_start", "window_end", "written_at") if found[name].dtype != "int64"]
    return found.astype(dict.fromkeys(stamps, "datetime64[us, UTC]"))


def model(check: str, measure: str, **changes: Any) -> dict[str, Any]:
    return {"unit": "P-101", "model": "load", "check": check, "measure": measure, **changes}


DRIFT = model("drift", "PSI", about="flow", value=0.31, outcome="breach", state="alarm", severity="critical")


@pytest.fixture
def book(usecase: UseCase, root: Path) -> Iterator[Ledger]:
    opened = Ledger.open(usecase, root)
    yield opened
    opened.close()


@pytest.fixture
def champion(tracker: Tracker, book: Ledger) -> Made:
    return lambda *key: _champion(tracker, book, *key)


def _champion(tracker: Tracker, book: Ledger, unit: str = "P-101", model: str = "load") -> str:
    """Make the run of a training and tell the ledger of it."""
    run_id = str(tracker.client.create_run(tracker.experiment_id, run_name=f"{unit}/{model}").info.run_id)
    tracker.client.set_terminated(run_id)
    batch = book.start_batch("train").id
    version = Version(unit, model, 1, run_id, "", "", "", f"{unit}{model}", "model", "predict")
    book.record_result(Outcome(batch, unit, model, "trained"), version=version)
    return run_id


def history(tracker: Tracker, run_id: str, name: str) -> list[tuple[int, float]]:
    return [(metric.step, metric.value) for metric in tracker.client.get_metric_history(run_id, name)]


def test_a_champions_run_gets_a_figure_for_each_check_and_window(
    tracker: Tracker, book: Ledger, champion: Made
) -> None:
    run_id = champion()
    facts = rows(
        DRIFT,
        model("score_drift", "KS", value=0.07),
        model("performance", "mae", about="mae", value=1.5),
        model("alarms", "share", value=0.0),
        {"check": "freshness", "measure": "s", "value": 600.0},
        days=2,
    )
    done = record_monitor_runs(tracker, book, facts=[facts], window=DAY)
    assert (done.windows, done.instances, done.gone) == (2, 1, ())
    metrics = tracker.client.get_run(run_id).data.metrics
    assert metrics == {
        "monitor.drift.psi": 0.31,
        "monitor.score_drift.ks": 0.07,
        "monitor.performance.mae": 1.5,
        "monitor.alarms.share": 0.0,
    }
    assert history(tracker, run_id, "monitor.drift.psi") == [(ORDINAL, 0.31), (ORDINAL + 1, 0.31)]
    [first, _] = tracker.client.get_metric_history(run_id, "monitor.drift.psi")
    assert pd.Timestamp(first.timestamp, unit="ms", tz="UTC") == FIRST + DAY


def test_the_same_windows_again_add_nothing(tracker: Tracker, book: Ledger, champion: Made) -> None:
    run_id = champion()
    facts = rows(DRIFT, days=3)
    first = record_monitor_runs(tracker, book, facts=[facts], window=DAY)
    assert record_monitor_runs(tracker, book, facts=[facts], window=DAY) == MonitorRuns(first.run_id)
    # Killed before it could say how far it had come, it does everything once more.
    tracker.client.set_tag(first.run_id, "datadriver.monitoring.written_at", "2026-01-01T00:00:00+00:00")
    assert record_monitor_runs(tracker, book, facts=[facts], window=DAY).windows == 3
    assert len(history(tracker, run_id, "monitor.drift.psi")) == 3
    assert len(history(tracker, first.run_id, "assets.alarm")) == 3


def test_what_could_not_be_recorded_is_recorded_with_the_next_run(
    tracker: Tracker, book: Ledger, champion: Made
) -> None:
    run_id = champion()
    record_monitor_runs(tracker, book, facts=[rows(DRIFT)], window=DAY)
    missed, newest = rows(DRIFT, start=1, written=2), rows(DRIFT, start=2, written=3)
    done = record_monitor_runs(tracker, book, facts=[pd.concat([rows(DRIFT), missed, newest])], window=DAY)
    assert done.windows == 2
    assert [step - ORDINAL for step, _ in history(tracker, run_id, "monitor.drift.psi")] == [0, 1, 2]


def test_a_window_that_is_judged_again_is_recorded_again_and_alone(
    tracker: Tracker, book: Ledger, champion: Made
) -> None:
    run_id = champion()
    record_monitor_runs(tracker, book, facts=[rows(DRIFT, days=2)], window=DAY)
    late = rows({**DRIFT, "value": 0.5}, start=1, written=2)
    assert record_monitor_runs(tracker, book, facts=[pd.concat([rows(DRIFT), late])], window=DAY).windows == 1
    found = history(tracker, run_id, "monitor.drift.psi")
    assert sorted(found) == [(ORDINAL, 0.31), (ORDINAL + 1, 0.31), (ORDINAL + 1, 0.5)]


def test_the_fleet_has_one_run_that_is_found_again_and_always_finished(
    tracker: Tracker, book: Ledger, champion: Made
) -> None:
    champion()
    first = record_monitor_runs(
        tracker, book, facts=[rows(DRIFT, {"check": "gaps"}, {"check": "gaps", "asset_id": "P-2"})], window=DAY
    )
    second = record_monitor_runs(tracker, book, facts=[rows({"check": "gaps"}, start=1, written=2)], window=DAY)
    assert first.run_id == second.run_id
    run = tracker.client.get_run(first.run_id)
    assert (run.info.run_name, run.info.status) == ("monitoring", "FINISHED")
    assert run.data.tags["datadriver.kind"] == "monitoring"
    assert history(tracker, first.run_id, "assets.alarm") == [(ORDINAL, 1.0), (ORDINAL + 1, 0.0)]
    assert history(tracker, first.run_id, "assets.ok") == [(ORDINAL, 1.0), (ORDINAL + 1, 1.0)]
    assert history(tracker, first.run_id, "alarms.critical") == [(ORDINAL, 1.0), (ORDINAL + 1, 0.0)]
    assert history(tracker, first.run_id, "instances.alarm") == [(ORDINAL, 1.0), (ORDINAL + 1, 0.0)]
    assert {value for _, value in history(tracker, first.run_id, "checks.unknown_share")} == {0.0}


def test_each_windows_facts_and_the_report_are_artefacts(tracker: Tracker, book: Ledger, tmp_path: Path) -> None:
    page = tmp_path / "index.html"
    page.write_text("<html>the fleet</html>")
    facts = rows({"check": "gaps", "reason": 'valve "15/9-F-1 C" < 3 bar'}, days=2)
    run_id = record_monitor_runs(tracker, book, facts=[facts], window=DAY, report=page).run_id
    assert [one.path for one in tracker.client.list_artifacts(run_id, "reports")] == [
        "reports/2026-03-02",
        "reports/2026-03-03",
    ]
    names = [one.path for one in tracker.client.list_artifacts(run_id, "reports/2026-03-03")]
    assert names == ["reports/2026-03-03/facts.parquet", "reports/2026-03-03/fleet.html"]
    kept = pd.read_parquet(tracker.client.download_artifacts(run_id, names[0], str(tmp_path)))
    pd.testing.assert_frame_equal(kept, facts[1:].reset_index(drop=True))


def test_a_report_that_is_written_later_is_put_beside_its_window(
    tracker: Tracker, book: Ledger, tmp_path: Path
) -> None:
    page = tmp_path / "index.html"
    page.write_text("<html>the fleet</html>")
    record_report(tracker, page, FIRST + pd.Timedelta(hours=30))
    run_id = record_monitor_runs(tracker, book, facts=[rows({"check": "gaps"})], window=DAY).run_id
    [kept] = tracker.client.list_artifacts(run_id, "reports/2026-03-02T06-00")
    assert Path(tracker.client.download_artifacts(run_id, kept.path, str(tmp_path))).read_text() == page.read_text()


def test_a_run_that_someone_deleted_or_a_version_nobody_knows_stops_nothing(
    tracker: Tracker, book: Ledger, champion: Made
) -> None:
    deleted, kept = champion("P-1"), champion("P-2")
    tracker.client.delete_run(deleted)
    of = [{**DRIFT, "asset_id": unit, "unit": unit} for unit in ("P-1", "P-2", "P-3")]
    done = record_monitor_runs(tracker, book, facts=[rows(*of)], window=DAY)
    assert (done.instances, done.gone) == (1, ("P-1/load version 1", "P-3/load version 1"))
    assert history(tracker, kept, "monitor.drift.psi") == [(ORDINAL, 0.31)]


def test_a_unit_of_several_assets_has_their_mean_and_the_share_that_breaches(
    tracker: Tracker, book: Ledger, champion: Made
) -> None:
    run_id = champion("type=ESP")
    pooled = {**DRIFT, "unit": "type=ESP"}
    record_monitor_runs(
        tracker,
        book,
        facts=[rows(pooled, {**pooled, "asset_id": "P-102", "value": 0.11, "outcome": "ok", "state": "ok"})],
        window=DAY,
    )
    metrics = tracker.client.get_run(run_id).data.metrics
    assert metrics == {"monitor.drift.psi": pytest.approx(0.21), "monitor.drift.breaching": 0.5}


def test_figures_that_are_none_are_left_out_and_odd_names_are_made_to_fit(
    tracker: Tracker, book: Ledger, champion: Made
) -> None:
    run_id = champion()
    metric = "pumps.metrics:days_of_warning"
    facts = rows({**DRIFT, "value": None, "outcome": "unknown"}, model("performance", metric, about=metric, value=2.0))
    record_monitor_runs(tracker, book, facts=[facts], window=DAY)
    assert tracker.client.get_run(run_id).data.metrics == {"monitor.performance.pumps.metrics.days_of_warning": 2.0}


def test_windows_of_steps_have_ordinals_too(tracker: Tracker, book: Ledger, champion: Made) -> None:
    run_id = champion()
    facts = rows({**DRIFT, "window_start": 200, "window_end": 300})
    fleet = record_monitor_runs(tracker, book, facts=[facts], window=100).run_id
    assert history(tracker, run_id, "monitor.drift.psi") == [(2, 0.31)]
    assert [one.path for one in tracker.client.list_artifacts(fleet, "reports")] == ["reports/step-300"]


def test_nothing_monitored_records_nothing(tracker: Tracker, book: Ledger) -> None:
    assert record_monitor_runs(tracker, book, facts=[rows({"check": "gaps"})[:0]], window=DAY).windows == 0


def test_training_does_not_take_the_fleets_run_for_one_of_its_own(tracker: Tracker, book: Ledger) -> None:
    run_id = record_monitor_runs(tracker, book, facts=[rows({"check": "gaps"})], window=DAY).run_id
    tracker.discard_unfinished([book.start_batch("train").id])
    assert tracker.client.get_run(run_id).info.status == "FINISHED"


# Other stores ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def server(migrated_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An MLflow server on a free port."""
    home = tmp_path_factory.mktemp("mlflow-server")
    shutil.copy(migrated_store, home / "mlflow.db")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{home}/mlflow.db", "--artifacts-destination", str(home / "files")]
    environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    with (home / "log").open("w") as log:
        process = subprocess.Popen(command, cwd=home, env=environment, stdout=log, stderr=log)
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(600):
            try:
                urllib.request.urlopen(f"{address}/health", timeout=5).close()
                break
            except OSError:
                assert process.poll() is None, (home / "log").read_text()
                time.sleep(0.1)
        yield address
    finally:
        process.terminate()
        process.wait(timeout=30)


@pytest.fixture(params=["http", pytest.param("postgresql", marks=pytest.mark.postgres)])
def elsewhere(request: pytest.FixtureRequest, make_usecase: Callable[..., UseCase], tmp_path: Path) -> Tracker:
    if request.param == "http":
        return Tracker.open(make_usecase(tracking={"uri": request.getfixturevalue("server")}), tmp_path)
    address: str = request.getfixturevalue("postgres")
    engine = sa.create_engine(f"{address.replace('://', '+psycopg://')}/postgres", isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql("DROP DATABASE IF EXISTS monitoring")
        connection.exec_driver_sql("CREATE DATABASE monitoring")
    engine.dispose()
    return Tracker.open(make_usecase(tracking={"uri": f"{address}/monitoring"}), tmp_path)


def test_a_server_and_postgresql_record_the_same(elsewhere: Tracker, tmp_path: Path) -> None:
    book = Ledger.open(elsewhere.usecase, tmp_path)
    run_id = _champion(elsewhere, book)
    for _ in range(2):
        done = record_monitor_runs(elsewhere, book, facts=[rows(DRIFT, days=2)], window=DAY)
    book.close()
    assert history(elsewhere, run_id, "monitor.drift.psi") == [(ORDINAL, 0.31), (ORDINAL + 1, 0.31)]
    assert history(elsewhere, done.run_id, "assets.alarm") == [(ORDINAL, 1.0), (ORDINAL + 1, 1.0)]
    assert elsewhere.client.get_run(done.run_id).info.status == "FINISHED"
    assert [one.path for one in elsewhere.client.list_artifacts(done.run_id, "reports/2026-03-02")] == [
        "reports/2026-03-02/facts.parquet"
    ]


# Counting -------------------------------------------------------------------------------------------------------------

CHECKS = st.sampled_from([("freshness", ""), ("gaps", ""), ("drift", "load"), ("alarms", "load"), ("drift", "wear")])


@given(st.dictionaries(st.tuples(st.sampled_from(["P-1", "P-2", "P-3"]), CHECKS), st.sampled_from(HEALTHS), min_size=1))
def test_assets_are_counted_as_the_report_counts_them(healths: dict[tuple[str, tuple[str, str]], Any]) -> None:
    facts, states = [], dict[str, list[CheckState]]()
    for (asset, (check, name)), health in healths.items():
        unit = asset if name else ""
        facts.append({"asset_id": asset, "unit": unit, "model": name, "check": check, "state": health})
        states.setdefault(asset, []).append(CheckState(asset, unit, name, check, health, "", "warning", "", ""))
        assert (check in DATA_CHECKS) == (name == "")
    figures = fleet_figures(rows(*facts)).set_index("name")["value"]
    for health in HEALTHS:
        assert figures[f"assets.{health}"] == sum(state_of(own) == health for own in states.values())
    assert sum(figures[f"assets.{health}"] for health in HEALTHS) == len(states)
