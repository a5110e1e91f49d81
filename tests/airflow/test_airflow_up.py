"""`datadriver airflow up`: a scored asset by one command, an end that leaves no process, errors before any start."""

from __future__ import annotations

import json
import os
import queue
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from datadriver.cli.boundary import run
from datadriver.errors import MissingExtraError
from datadriver.orchestration.local import Place, home_of, only_one, require_airflow, settings

WINDOW = ("--start", "2026-03-04", "--end", "2026-03-05")
SELDOM = """
schedule: {score: "@yearly"}
scores:"""
"""No run becomes due while a test is at work."""


class Up:
    """A running `datadriver airflow up`; what it starts is found again by a mark in the environment."""

    def __init__(self, root: Path, *arguments: str) -> None:
        self.mark = uuid.uuid4().hex
        variables = {"DATADRIVER_TEST_STACK": self.mark, "SPT_NOENV": "1"}  # titles leave the environment readable
        self.process = subprocess.Popen(
            [sys.executable, "-m", "datadriver", "airflow", "up", *arguments],
            cwd=root,
            env={**os.environ, **variables, "AIRFLOW__CORE__LOAD_EXAMPLES": "True"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.lines: list[str] = []
        self._new: queue.Queue[str | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._new.put(line.rstrip())
        self._new.put(None)

    def until(self, start: str) -> str:
        """Return the next line that starts so."""
        while True:
            line = self._new.get(timeout=150)
            assert line is not None, self.lines
            self.lines.append(line)
            if line.startswith(start):
                return line

    def close(self) -> None:
        """End everything that is left of it."""
        for one in self.processes():
            with suppress(psutil.Error):
                one.kill()
        self.process.wait(30)
        self._reader.join(30)
        assert self.process.stdout is not None
        self.process.stdout.close()

    def rest(self) -> list[str]:
        """Return what it says to its end."""
        self._reader.join(60)
        while (line := self._new.get(timeout=1)) is not None:
            self.lines.append(line)
        return self.lines

    def processes(self) -> list[psutil.Process]:
        found = []
        for one in psutil.process_iter():
            with suppress(psutil.Error):
                if one.environ().get("DATADRIVER_TEST_STACK") == self.mark and one.status() != "zombie":
                    found.append(one)
        return found

    def gone_within(self, seconds: float) -> list[str]:
        """Wait for the last process to go; return those that stay."""
        limit = time.monotonic() + seconds
        while (left := self.processes()) and time.monotonic() < limit:
            time.sleep(0.5)
        return [" ".join(one.cmdline()) for one in left]


@contextmanager
def up(root: Path, *arguments: str) -> Iterator[Up]:
    started = Up(root, *arguments)
    try:
        yield started
    finally:
        started.close()


def ask(url: str, path: str) -> Any:
    with urllib.request.urlopen(f"{url}/api/v2/{path}", timeout=60) as answer:
        return json.load(answer)


@pytest.mark.airflow
@pytest.mark.timeout(600)
@pytest.mark.xdist_group("airflow")
def test_one_command_scores_an_asset_and_ends_without_a_trace_but_its_history(served: Any) -> None:
    served.edit("\nscores:", SELDOM)
    with up(served.root, "--score", "P-1", *WINDOW) as first:
        url = first.until("Airflow: ").split()[1]
        assert "success" in first.until("scored P-1: ")
        dags = {one["dag_id"]: one["is_paused"] for one in ask(url, "dags?limit=100")["dags"]}
        assert {one.partition("__")[0] for one in dags} == {"tiny"}  # no examples, whatever the environment says
        assert [one for one, paused in dags.items() if not paused] == ["tiny__P-1__score"]
        listening = [
            at.laddr.ip for one in first.processes() for at in one.net_connections("tcp") if at.status == "LISTEN"
        ]
        assert set(listening) == {"127.0.0.1"}
        assert run(["airflow", "up", "--project", str(served.root)]) == 2  # a second one on the same history
        first.process.send_signal(signal.SIGINT)
        assert first.process.wait(60) == 0
        assert first.gone_within(0) == []
        assert first.rest()[-1].startswith("ended; the history stays in ")
    with up(served.root, "--port", url.rpartition(":")[2]) as again:
        assert again.until("Airflow: ").split()[1] == url
        runs = ask(url, "dags/tiny__P-1__score/dagRuns")["dag_runs"]
        assert [one["state"] for one in runs] == ["success"]
        again.process.kill()
        assert again.gone_within(60) == []


SLOW = """
import time
from pathlib import Path

import pandas as pd

def load(frame: pd.DataFrame) -> pd.DataFrame:
    Path(__file__).with_name("began").touch()
    time.sleep(300)
    return frame
"""


@pytest.mark.airflow
@pytest.mark.timeout(600)
@pytest.mark.xdist_group("airflow")
def test_sigterm_while_a_task_is_at_work_ends_that_too(served: Any) -> None:
    served.edit("\nscores:", SELDOM)
    (served.root / "src" / "tiny" / "features.py").write_text(SLOW, "utf-8")
    with up(served.root, "--score", "P-1", *WINDOW) as started:
        started.until("scoring P-1: ")
        limit = time.monotonic() + 60
        while not (served.root / "src" / "tiny" / "began").exists():
            assert time.monotonic() < limit
            time.sleep(0.2)
        started.process.terminate()
        assert started.process.wait(90) == 0
        assert started.gone_within(0) == []


def test_without_airflow_the_error_names_the_extra(
    monkeypatch: pytest.MonkeyPatch, tiny: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "airflow", None)  # as where it is not installed
    with pytest.raises(MissingExtraError, match=r"datadriver\[airflow\]"):
        require_airflow()
    assert run(["airflow", "up", "--project", str(tiny.root)]) == 2
    assert "datadriver[airflow]" in capsys.readouterr().err


def test_a_taken_port_is_said_before_anything_starts(tiny: Any, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        assert run(["airflow", "up", "--project", str(tiny.root), "--port", port]) == 2
    assert f"port {port} of 127.0.0.1 is taken; choose another" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--score", "P-3"), "there is no asset 'P-3'; did you mean"),
        (("--score", "P-1", "--start", "2026-03-04"), "--score takes both --start and --end or none"),
    ],
)
def test_mistakes_are_said_before_anything_starts(
    tiny: Any, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], said: str
) -> None:
    assert run(["airflow", "up", "--project", str(tiny.root), *arguments]) == 2
    assert said in capsys.readouterr().err


def test_a_plan_that_cannot_be_built_starts_nothing(tiny: Any, capsys: pytest.CaptureFixture[str]) -> None:
    tiny.edit("\nscores:", "\nschedule: {group: contry}\nscores:")
    assert run(["airflow", "up", "--project", str(tiny.root)]) == 2
    told = capsys.readouterr().err
    assert "contry" in told
    assert "did you mean 'country'?" in told
    assert not (tiny.root / ".datadriver" / "airflow" / "logs").exists()


def test_two_on_one_history_are_one_too_many(tiny: Any, capsys: pytest.CaptureFixture[str]) -> None:
    with only_one(home_of(tiny.root)) as tell:
        tell("http://127.0.0.1:8099")
        assert run(["airflow", "up", "--project", str(tiny.root)]) == 2
    assert "Airflow runs here already: http://127.0.0.1:8099" in capsys.readouterr().err


def test_settings_of_another_airflow_stay_out_and_secrets_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "postgresql://production/airflow")
    monkeypatch.setenv("AIRFLOW_HOME", "/elsewhere")
    monkeypatch.setenv("AIRFLOW_CONFIG", "/elsewhere/airflow.cfg")
    monkeypatch.setenv("AIRFLOW_CONN_PLANT", "postgresql://plant/history")
    monkeypatch.setenv("NO_PROXY", "example.com")
    place = Place(tmp_path, 8080)
    environment = settings(place)
    assert "production" not in str(environment)
    assert "elsewhere" not in str(environment)
    assert environment["AIRFLOW_CONN_PLANT"] == "postgresql://plant/history"
    assert environment["no_proxy"] == "example.com,127.0.0.1"
    assert settings(place) == environment
    for secret in (place.home / "secrets").iterdir():
        assert stat.S_IMODE(secret.stat().st_mode) == 0o600
