"""CeleryExecutor with Redis and two workers: one is lost at work, everything is done, and nothing twice."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from types import ModuleType
from typing import Any

import psutil
import pytest
from stack import free_port
from stack_settings import FAST_DETECTION

from datadriver.project import Project
from datadriver.tracking import queries
from datadriver.tracking.records import Key

pytestmark = [
    pytest.mark.airflow,
    pytest.mark.postgres,
    pytest.mark.redis,
    pytest.mark.timeout(900),
    pytest.mark.xdist_group("airflow"),
]

BY_HAND = """
schedule: {train: null, score: null, release: null, monitor: null, retries: {times: 3, wait: 1s, longest: 5s}}
scores:"""
WORKER = ("celery", "worker", "--skip-serve-logs", "--without-gossip", "--without-mingle", "--concurrency", "2")

WAITING = """
import os
import time
from pathlib import Path

import pandas as pd

def load(frame: pd.DataFrame) -> pd.DataFrame:
    at_work = Path(os.environ["AT_WORK"])
    (at_work / str(os.getpid())).touch()
    while (at_work / "wait").exists():
        time.sleep(0.1)
    return frame[["current", "flow"]].assign(flow_before=frame["flow"].shift(1)).bfill()
"""


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[str]:
    """A Redis of its own, as URL."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("needs redis-server")
    port = free_port()
    command = [program, "--bind", "127.0.0.1", "--port", str(port), "--save", "", "--dir", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        yield f"redis://127.0.0.1:{port}"
        server.terminate()


@pytest.fixture
def stack(
    airflow: ModuleType, airflow_database: Callable[[], str], broker: str, tiny: Any, tmp_path: Path
) -> Iterator[Any]:
    """Airflow with two workers, each with two processes, and an asset more than one of them can train at a time."""
    tiny.edit("\nscores:", BY_HAND)
    (tiny.root / "src" / "tiny" / "features.py").write_text(WAITING, "utf-8")
    assert tiny.run("dags", "build").returncode == 0
    at_work = tmp_path / "at-work"
    at_work.mkdir()
    (at_work / "wait").touch()
    settings = {
        **FAST_DETECTION,
        "CORE__EXECUTOR": "CeleryExecutor",
        "CELERY__BROKER_URL": f"{broker}/0",
        "CELERY__RESULT_BACKEND": f"{broker}/1",
    }
    workers = {name: (*WORKER, "--celery-hostname", f"{name}@local") for name in ("north", "south")}
    with airflow.Stack(
        tmp_path / "airflow",
        airflow_database(),
        {"tiny": tiny.root / "dags"},
        settings=settings,
        variables={"AT_WORK": str(at_work)},
        servers={**airflow.SERVERS, **workers},
    ) as running:
        yield running


def trainers(stack: Any, worker: str) -> list[psutil.Process]:
    """Return the commands that a worker is at work on."""
    below = psutil.Process(stack.processes[worker].pid).children(recursive=True)
    marks = {one.name for one in Path(stack.environment["AT_WORK"]).iterdir()}
    return [one for one in below if str(one.pid) in marks]


def lose(stack: Any, worker: str) -> None:
    """Lose a worker as when its machine goes: all its processes at once."""
    below = psutil.Process(stack.processes[worker].pid).children(recursive=True)
    stack.kill(worker)
    for one in below:
        with suppress(psutil.NoSuchProcess):
            one.kill()


def test_a_worker_is_lost_at_work_and_everything_is_done_once(stack: Any, tiny: Any) -> None:
    dags = {
        f"tiny__{name}__train": asset
        for name, asset in zip(("P-1", "P-2", "15-9-F-1-C-525d4a6b"), tiny.assets, strict=True)
    }
    stack.wait_for_dags(dags)
    runs = [(dag_id, stack.trigger(dag_id)) for dag_id in dags]
    stack.until(lambda: all(trainers(stack, one) for one in ("north", "south")), "both workers train", 120)
    lost = len(trainers(stack, "north"))
    lose(stack, "north")
    (Path(stack.environment["AT_WORK"]) / "wait").unlink()
    assert set(stack.wait(runs, seconds=300).values()) == {"success"}, stack.tasks()
    again = [one for one in stack.tasks() if one.tries > 1]
    assert len(again) >= lost > 0
    with closing(Project.open(tiny.root).ledger) as ledger:
        for asset in dags.values():
            assert len(queries.versions(ledger, Key(asset, "temperature"))) == 1
