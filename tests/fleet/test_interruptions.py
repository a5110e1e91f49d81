"""Killed, interrupted, out of disk: the state stays consistent, and the next run does what is missing."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from datadriver.project import Project
from datadriver.tracking import queries

SLOW_FOR_ONE = """
import pathlib, time
import pandas as pd

HERE = pathlib.Path(__file__).parents[2]

def load(frame: pd.DataFrame, asset: dict) -> pd.DataFrame:
    if asset["country"] == "GB" and not (HERE / "go").exists():
        (HERE / "waiting").touch()
        time.sleep(120)
    return frame[["current", "flow"]]
"""


def start(case, *arguments):
    command = [sys.executable, "-m", "datadriver", *arguments]
    return subprocess.Popen(command, cwd=case.root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def wait_for_the_first_result(case, process, seconds=120):
    """Return when the first asset is recorded and the worker is in the middle of the second."""
    until = time.monotonic() + seconds
    while not ((case.root / "waiting").exists() and queries.last_outcomes(Project.open(case.root).ledger)):
        assert process.poll() is None, process.stdout.read()
        assert time.monotonic() < until, "waited too long"
        time.sleep(0.2)


@pytest.fixture
def slow(tiny):
    """The second asset waits for ever, until the file `go` appears."""
    tiny.edit(tiny.read("src/tiny/features.py"), SLOW_FOR_ONE, "src/tiny/features.py")
    return tiny


def test_after_kill_minus_9_the_next_run_trains_only_what_is_missing(slow):
    process = start(slow, "train", "--workers", "1")
    wait_for_the_first_result(slow, process)
    process.kill()
    process.wait()
    process.stdout.close()
    (slow.root / "go").touch()

    project = Project.open(slow.root)
    assert [outcome.unit for outcome in queries.last_outcomes(project.ledger).values()] == ["P-1"]
    assert [item.instance.unit.key for item in project.plan() if item.due] == ["P-2", "15/9-F-1 C"]
    assert list((slow.root / ".datadriver" / "tmp").iterdir())
    report = project.train(workers=1)
    assert not list((slow.root / ".datadriver" / "tmp").iterdir())
    assert [(outcome.unit, outcome.state) for outcome in report.outcomes] == [
        ("P-2", "trained"),
        ("15/9-F-1 C", "trained"),
    ]
    assert {
        key.unit: version.version for key, version in queries.latest_versions(project.ledger).items()
    } == dict.fromkeys(slow.assets, 1)
    states = {batch.id: batch.state for batch in queries.batches(project.ledger)}
    assert sorted(states.values()) == ["done", "killed"]
    client = project.tracker.client
    runs = client.search_runs([project.tracker.experiment_id])
    assert {run.info.status for run in runs} == {"FINISHED", "KILLED"}
    assert len(client.search_registered_models()) == 3


@pytest.mark.parametrize(
    ("number", "code", "words"),
    [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "ended by SIGTERM"), (signal.SIGHUP, 129, "SIGHUP")],
)
def test_ctrl_c_and_its_like_end_cleanly_and_keep_what_was_done(slow, number, code, words):
    process = start(slow, "train", "--workers", "1")
    wait_for_the_first_result(slow, process)
    workers = children(process.pid)
    assert len(workers) == 1
    process.send_signal(number)
    said, _ = process.communicate(timeout=30)
    assert process.returncode == code, said
    assert words in said
    assert "Traceback" not in said
    assert not any(alive(worker) for worker in workers)
    project = Project.open(slow.root)
    assert [outcome.unit for outcome in queries.last_outcomes(project.ledger).values()] == ["P-1"]
    assert [batch.state for batch in queries.batches(project.ledger)] == ["failed"]
    assert not list((slow.root / ".datadriver" / "tmp").iterdir())


def children(pid):
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()] or [
        int(child) for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()
    ]


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_model_that_hangs_costs_its_asset_and_the_run_says_where(slow):
    slow.edit("scores: {window: 2d}", "scores: {window: 2d}\nworkers: {timeout: 6s}")
    told = slow.run("train", "--workers", "1")
    assert told.returncode == 6, told.stdout + told.stderr
    outcomes = {one.unit: one for one in queries.last_outcomes(Project.open(slow.root).ledger).values()}
    assert {unit: one.state for unit, one in outcomes.items()} == {
        "P-1": "trained",
        "P-2": "failed",
        "15/9-F-1 C": "trained",
    }
    assert outcomes["P-2"].exit_code == 4
    assert "was not done after 6s" in outcomes["P-2"].reason
    assert "features.py, line 10, in load" in outcomes["P-2"].reason


@pytest.fixture
def disk(tiny):
    """A small disk of its own for `.datadriver`; gives a function that mounts it again with other options."""
    if os.geteuid() != 0 or not shutil.which("mount"):
        pytest.skip("mounting a small disk needs root")
    place = tiny.root / ".datadriver"
    kept = place.with_name("kept")
    shutil.copytree(place, kept)

    def mount(options):
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)], capture_output=True, check=False
        )
        if done.returncode:
            pytest.skip(f"mounting is not permitted here: {done.stderr.decode().strip()}")
        shutil.copytree(kept, place, dirs_exist_ok=True)

    mount("size=40m")
    yield lambda options: subprocess.run(["mount", "-o", f"remount,{options}", str(place)], check=True)
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_full_disk_is_said_in_a_sentence_and_the_next_run_goes_on(tiny, disk):
    ballast = tiny.root / ".datadriver" / "ballast"
    free = shutil.disk_usage(ballast.parent).free
    ballast.write_bytes(b"\0" * (free - 40_000))
    full = tiny.run("train", "--workers", "1")
    assert full.returncode == 5, full.stdout + full.stderr
    assert "full" in full.stderr or "space" in full.stderr
    assert "Traceback" not in full.stderr
    ballast.unlink()
    assert tiny.run("train", "--workers", "1").returncode == 0
    assert {line.state for line in Project.open(tiny.root).status()} == {"challenger"}


def test_a_full_disk_while_scoring_leaves_no_half_written_file(served, tmp_path):
    scores = tmp_path / "disk"
    scores.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(scores)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"mounting is not permitted here: {mounted.stderr.decode().strip()}")
    try:
        served.edit("scores: {window: 2d}", f"scores: {{window: 2d, path: {scores}}}")
        full = served.run("score", "--start", "2026-03-01", "--workers", "1")
        assert full.returncode == 5, full.stdout + full.stderr
        assert "Traceback" not in full.stderr
        assert not list(scores.rglob("*.part"))
        readable = [pd.read_parquet(path) for path in scores.rglob("*.parquet")]
        assert all(len(part) for part in readable)
    finally:
        subprocess.run(["umount", "-l", str(scores)], check=True)


def test_a_ledger_that_cannot_be_written_is_said_in_a_sentence(tiny, disk):
    assert tiny.run("status").returncode == 0
    disk("ro")
    told = tiny.run("train", "--workers", "1")
    assert told.returncode == 5, told.stdout + told.stderr
    assert "ledger" in told.stderr
    assert "Traceback" not in told.stderr
    disk("rw")


def test_a_tracking_database_that_is_down_is_said_in_seconds_and_nothing_is_recorded(tiny):
    tiny.edit("tracking: {plots: false}", "tracking: {uri: 'postgresql://127.0.0.1:9/mlflow'}")
    told = tiny.run("train", "--workers", "1")
    assert told.returncode == 5, told.stdout + told.stderr
    assert "127.0.0.1:9" in told.stderr
    assert "Traceback" not in told.stderr
    project = Project.open(tiny.root)
    assert not queries.last_outcomes(project.ledger)
    assert all(item.due for item in project.plan())
