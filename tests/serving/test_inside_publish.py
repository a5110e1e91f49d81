"""What an image publishes is what `datadriver score` records, and once."""

from __future__ import annotations

import shutil
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from datadriver.fleet.selection import Selection
from datadriver.project import Project
from datadriver.tracking import queries
from datadriver.tracking.records import Key

WINDOW = ("--start", "2026-03-08T00:00Z", "--end", "2026-03-08T06:00Z")
ONE = Selection(assets=("P-1",))


def recorded(root: Path) -> tuple[object, ...]:
    """Return scores, verdict and files of P-1, but for times and ids."""
    with closing(Project.open(root).ledger) as ledger:
        scores = [{**asdict(one), "at": ""} for one in queries.scores(ledger, Key("P-1", "temperature"), "P-1")]
        verdict = replace(queries.last_verdicts(ledger)["P-1", "score"], batch="", at="")
    stored = root / ".datadriver" / "scores"
    files = {
        path.name: pq.read_table(path).drop_columns("written_at").to_pylist() for path in stored.rglob("*.parquet")
    }
    return scores, verdict, files


@pytest.fixture
def mounted(image, served):
    """The image, with the folder of stores and the data of the use case mounted."""
    (image.usecase / ".datadriver").symlink_to(served.root / ".datadriver")
    (image.usecase / "sensors.parquet").symlink_to(served.root / "sensors.parquet")
    return image


def test_an_image_publishes_what_datadriver_score_records_and_once(mounted, served, tmp_path):
    other = Path(shutil.copytree(served.root, tmp_path / "other" / "tiny"))
    Project.open(other).score(ONE, start=WINDOW[1], end=WINDOW[3], workers=1)
    for _ in range(2):
        done = mounted.run("score", "--publish", "--assets", "P-1", *WINDOW)
        assert (done.returncode, done.stdout.splitlines()[0][:21]) == (0, "6 scores of 1 asset i"), done.stderr
        assert recorded(served.root) == recorded(other)


def test_without_a_start_an_image_goes_on_where_the_last_score_is(mounted):
    done = mounted.run("score", "--publish")
    assert done.returncode == 0, done.stderr
    assert "1 up to date" in done.stdout


def test_what_an_image_puts_into_a_folder_is_published_from_there(mounted, served, tmp_path):
    other = Path(shutil.copytree(served.root, tmp_path / "other" / "tiny"))
    Project.open(other).score(ONE, start=WINDOW[1], end=WINDOW[3], workers=1)
    assert mounted.run("score", "--out", str(tmp_path / "staged"), *WINDOW).returncode == 0
    assert Project.open(served.root).publish(str(tmp_path / "staged")).rows == 6
    assert recorded(served.root) == recorded(other)
    assert not (tmp_path / "staged").exists()


def test_a_model_that_is_not_the_champion_publishes_nothing(mounted, served):
    served.edit("alpha=1.0", "alpha=100.0", "src/tiny/models.py")
    project = Project.open(served.root)
    assert project.train(ONE, workers=1).failure is None
    project.promote(ONE, force=True, reason="try it")
    before = recorded(served.root)
    done = mounted.run("score", "--publish", *WINDOW)
    assert done.returncode == 5
    assert "the image has P-1/temperature v1, and the champion is v2 now: nothing was published" in done.stderr
    assert recorded(served.root) == before


def test_publishing_goes_with_no_other_place_and_no_other_rows(mounted):
    done = mounted.run("score", "--publish", "--out", "x")
    assert done.returncode == 2
    assert "leave out --out and --rows" in done.stderr
