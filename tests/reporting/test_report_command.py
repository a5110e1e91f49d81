"""`datadriver report` on a use case that was really trained, scored and monitored."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from datadriver.errors import ConfigError, DatadriverError, UnavailableError
from datadriver.project import Project
from datadriver.tracking.task_failures import TaskFailure, record_failures


def text_of(page: Path) -> str:
    return re.sub(r"<script.*?</script>|<style.*?</style>", "", page.read_text("utf-8"), flags=re.DOTALL)


def test_the_command_says_what_it_wrote_and_where(monitored: Any) -> None:
    done = monitored.run("report", "--json", "--workers", "1")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    folder = monitored.root / ".datadriver" / "report"
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert document["url"] == (folder / "index.html").as_uri()
    assert document["pages"] == len(files) == 5
    assert document["bytes"] == sum(path.stat().st_size for path in files)
    assert sum(document["states"].values()) == 3
    assert document["states"]["alarm"] >= 2
    assert document["old"] in text_of(folder / "index.html")
    assert "days ago (2026-03-21)" in document["old"]
    assert document["notes"] == []


def test_there_is_a_page_for_the_fleet_each_asset_and_each_model(reported: Path) -> None:
    files = {str(path.relative_to(reported)) for path in reported.rglob("*") if path.is_file()}
    assets = {"assets/P-1.html", "assets/P-2.html", "assets/15-9-F-1-C-525d4a6b.html"}
    assert files == {"index.html", "models/temperature.html"} | assets


def test_the_worst_pumps_come_with_reason_owner_and_runbook(reported: Path) -> None:
    page = text_of(reported / "index.html")
    assert page.index('>P-1</a><span class="attributes">') < page.index('>15/9-F-1 C</a><span class="attributes">')
    assert "newest reading is 3 d 1 h old" in page
    assert "ops@example.com" in page
    assert 'href="https://wiki.example.com/pumps"' in page


def test_every_link_between_pages_leads_to_a_page(reported: Path) -> None:
    found = 0
    for page in reported.rglob("*.html"):
        for target in re.findall(r'href="([^"#]+\.html)', text_of(page)):
            assert (page.parent / target).resolve().is_file(), f"{page.name} leads to {target}"
            found += 1
    assert found > 10


def test_nothing_on_any_page_is_loaded_from_elsewhere(reported: Path) -> None:
    for page in reported.rglob("*.html"):
        text = page.read_text("utf-8")
        assert re.search(r"<(?:script|img|iframe)[^>]*\ssrc=", text) is None
        assert re.findall(r"<link[^>]*>", text) == ['<link rel="icon" href="data:,">']
        assert "default-src 'none'" in text


def test_until_shows_how_things_stood(monitored: Any) -> None:
    result = Project.open(monitored.root).report(until="2026-03-17T00:00:00Z", days=3, workers=1)
    assert result.end == "2026-03-17 00:00"
    page = text_of(result.path)
    assert "newest reading is 3 d" not in page
    assert "3 assets" in page


def test_a_new_report_replaces_the_old_one_whole(monitored: Any) -> None:
    folder = monitored.root / "pages"
    project = Project.open(monitored.root)
    project.report(out=folder, workers=1)
    (folder / "assets" / "gone.html").write_text("of a pump that is no more")
    project.report(out=folder, workers=1)
    assert not (folder / "assets" / "gone.html").exists()
    assert (folder / "index.html").exists()
    assert [path.name for path in monitored.root.iterdir() if path.name.startswith(".pages")] == []


def test_a_folder_with_other_files_is_left_alone(monitored: Any) -> None:
    (monitored.root / "papers").mkdir()
    precious = monitored.root / "papers" / "thesis.tex"
    precious.write_text("years of work")
    done = monitored.run("report", "--out", "papers")
    assert done.returncode == 2
    assert "holds 'thesis.tex', which is no part of a report" in done.stderr
    assert precious.read_text() == "years of work"


def test_a_failure_leaves_the_old_report(monitored: Any) -> None:
    project = Project.open(monitored.root)
    page = project.report(workers=1).path
    before = page.read_text("utf-8")
    for file in (monitored.root / ".datadriver" / "monitor" / "facts").rglob("*.parquet"):
        file.write_bytes(b"not Parquet")
    with pytest.raises(DatadriverError):
        project.report(workers=1)
    assert page.read_text("utf-8") == before
    assert [path.name for path in page.parents[1].iterdir() if path.name.startswith(".report")] == []


def test_the_page_of_a_pump_says_which_task_failed_and_links_to_its_log(monitored: Any) -> None:
    failure = TaskFailure(
        "tiny__P-2__score", "r", "score", 1, "score", "P-2", "killed", ("P-2",), url="https://airflow.example/log"
    )
    record_failures(Project.open(monitored.root).ledger, [failure])
    assert monitored.run("report").returncode == 0
    page = (monitored.root / ".datadriver" / "report" / "assets" / "P-2.html").read_text("utf-8")
    assert "scoring failed: killed" in page
    assert '<a href="https://airflow.example/log"' in page


def test_without_monitoring_there_is_no_report_but_advice(tiny: Any) -> None:
    with pytest.raises(ConfigError, match="run datadriver monitor first"):
        Project.open(tiny.root).report(workers=1)
    assert not (tiny.root / ".datadriver" / "report").exists()


def test_a_place_that_cannot_be_written_is_named(monitored: Any) -> None:
    (monitored.root / "file").write_text("no folder")
    with pytest.raises(UnavailableError, match="the report cannot be written to "):
        Project.open(monitored.root).report(out=monitored.root / "file" / "report", workers=1)


def test_where_mlflow_does_not_answer_the_report_is_there_all_the_same(monitored: Any) -> None:
    monitored.edit("tracking: {plots: false}", "tracking: {uri: 'http://127.0.0.1:1'}")
    result = Project.open(monitored.root).report(workers=1)
    assert result.path.exists()
    assert len(result.notes) == 1
    assert result.notes[0].startswith("The page is not in MLflow yet: ")


def test_the_fleet_page_is_kept_in_mlflow(monitored: Any) -> None:
    project = Project.open(monitored.root)
    assert project.report(workers=1).notes == ()
    client, experiment = project.tracker.client, project.tracker.experiment_id
    runs = client.search_runs([experiment], "tags.`datadriver.kind` = 'monitoring'")
    kept = client.list_artifacts(runs[0].info.run_id, "reports/2026-03-21")
    assert "reports/2026-03-21/fleet.html" in [file.path for file in kept]
