"""Scores that wait in a folder, and scores that are written again: once, and the newest wins."""

from __future__ import annotations

import json
import shutil
import signal
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from datadriver.errors import DataError
from datadriver.fleet.selection import Selection
from datadriver.project import Project
from datadriver.tracking import queries
from datadriver.tracking.records import Key

START, END = "2026-03-08T00:00Z", "2026-03-08T06:00Z"
ONE = Selection(assets=("P-1",))
KEY = Key("P-1", "temperature")


def recorded(root: Path) -> list[dict[str, object]]:
    """Return what the ledger says of the scores of P-1, but for when it was said."""
    with closing(Project.open(root).ledger) as ledger:
        return [{**asdict(one), "at": ""} for one in queries.scores(ledger, KEY, "P-1")]


def files(root: Path) -> dict[str, object]:
    """Return the scores by file, but for the time of writing."""
    stored = root / ".datadriver" / "scores"
    return {
        str(path.relative_to(stored)): pq.read_table(path).drop_columns("written_at").to_pylist()
        for path in sorted(stored.rglob("*.parquet"))
    }


@pytest.fixture
def pair(served, tmp_path):
    """The same fleet twice."""
    return served.root, Path(shutil.copytree(served.root, tmp_path / "other" / "tiny"))


def test_scores_that_waited_in_a_folder_are_those_that_were_written_at_once(pair, tmp_path):
    mine, other = pair
    staged = tmp_path / "staged" / "run"
    before = files(mine), recorded(mine)
    report = Project.open(mine).score(ONE, start=START, end=END, workers=1, out=str(staged))
    assert report.rows == 6
    assert (files(mine), recorded(mine)) == before

    assert Project.open(mine).publish(str(staged.parent)).rows == 6
    Project.open(other).score(ONE, start=START, end=END, workers=1)
    assert files(mine) == files(other) != before[0]
    assert recorded(mine) == recorded(other) != before[1]
    assert not staged.exists()
    assert Project.open(mine).publish(str(staged)).written == ()


def test_a_window_without_a_score_is_on_record_after_publication_too(pair, tmp_path):
    mine, other = pair
    window = {"start": "2027-01-01", "end": "2027-01-02"}
    outcomes = []
    for root, out in ((mine, str(tmp_path / "staged")), (other, None)):
        outcomes.append(str(Project.open(root).score(ONE, **window, workers=1, out=out).failure))
    Project.open(mine).publish(str(tmp_path / "staged"))
    assert outcomes[0] == outcomes[1]
    assert recorded(mine) == recorded(other)


def test_publication_that_was_killed_is_finished_by_the_next(served, tmp_path):
    Project.open(served.root).score(ONE, start=START, end=END, workers=1, out=str(tmp_path / "staged"))
    before = len(recorded(served.root))
    killed = served.run("publish", str(tmp_path / "staged"), environment={"DATADRIVER_FAILPOINT": "scores-written"})
    assert killed.returncode == -signal.SIGKILL
    assert len(recorded(served.root)) == before
    again = served.run("publish", str(tmp_path / "staged"))
    assert "6 scores of 1 asset" in again.stdout
    assert len(recorded(served.root)) == before + 1
    assert "nothing is staged" in served.run("publish", str(tmp_path / "staged")).stdout


def test_scores_that_were_changed_in_the_folder_are_not_published(served, tmp_path):
    project = Project.open(served.root)
    project.score(ONE, start=START, end=END, workers=1, out=str(tmp_path / "staged"))
    (file,) = (tmp_path / "staged").glob("*/*.parquet")
    rows = pd.read_parquet(file)
    rows.assign(score=rows["score"] + 1).to_parquet(file, index=False)
    before = recorded(served.root)
    with pytest.raises(DataError, match="P-1/temperature on P-1 are not those that were staged"):
        project.publish(str(tmp_path / "staged"))
    assert recorded(served.root) == before


def test_what_was_staged_for_another_use_case_is_refused(served, tmp_path):
    project = Project.open(served.root)
    project.score(ONE, start=START, end=END, workers=1, out=str(tmp_path))
    (listed,) = tmp_path.glob("*.staged.json")
    listed.write_text(json.dumps({**json.loads(listed.read_text()), "usecase": "other"}))
    with pytest.raises(DataError, match="was staged for 'other' in format 1, and this is 'tiny'"):
        project.publish(str(tmp_path))


def test_the_same_window_twice_is_one_record_and_the_same_files(served):
    project = Project.open(served.root)
    project.score(ONE, start=START, end=END, workers=1)
    stamps = {path: path.stat().st_mtime_ns for path in served.root.rglob("scores-*.parquet")}
    before = recorded(served.root)
    assert project.score(ONE, start=START, end=END, workers=1).rows == 6
    assert recorded(served.root) == before
    assert {path: path.stat().st_mtime_ns for path in served.root.rglob("scores-*.parquet")} == stamps


def test_scoring_again_after_a_rollback_makes_the_old_champions_scores_the_newest(served):
    served.edit("alpha=1.0", "alpha=100.0", "src/tiny/models.py")
    project = Project.open(served.root)
    window = {"start": START, "end": END}

    def versions() -> set[int]:
        found: pd.DataFrame = project.scores(ONE, **window)
        return {*found["version"]}

    project.score(ONE, **window, workers=1)
    assert project.train(ONE, workers=1).failure is None
    project.promote(ONE, force=True, reason="try it")
    project.score(ONE, **window, workers=1)
    assert versions() == {2}
    project.rollback(ONE, reason="alarms at night")
    project.score(ONE, **window, workers=1)
    assert versions() == {1}
    assert [one["version"] for one in recorded(served.root)][-3:] == [1, 2, 1]
