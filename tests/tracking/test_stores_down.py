"""A tracking store that does not answer is given up within seconds, in a sentence without credentials."""

from __future__ import annotations

import http.server
import shutil
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from datadriver.config.fleet import Instance
from datadriver.config.locations import rooted_uri
from datadriver.config.sections import UseCase
from datadriver.errors import ConfigError, UnavailableError
from datadriver.tracking import mlflow_store
from datadriver.tracking.database import without_credentials
from datadriver.tracking.mlflow_runs import Tracker
from datadriver.tracking.model_files import write_model
from datadriver.tracking.records import Batch
from datadriver.training.results import TrainResult

UseCaseOf = Callable[..., UseCase]
BATCH = Batch("b1", "train", "2026-01-05T03:00:00+00:00", "2026-01-05T03:00:00+00:00", "running", "ada", "box", 1)


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def broken_server() -> Iterator[int]:
    """An HTTP server that is up and has nothing but errors."""

    class Broken(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(503)

        def log_message(self, *args: object) -> None:
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Broken)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("template", ["http://ada:secret@127.0.0.1:{}", "postgresql://ada:secret@127.0.0.1:{}/mlflow"])
def test_a_server_that_refuses_the_connection(
    make_usecase: UseCaseOf, tmp_path: Path, closed_port: int, template: str
) -> None:
    usecase = make_usecase(tracking={"uri": template.format(closed_port)})
    with pytest.raises(UnavailableError, match=rf"the tracking store at .*127\.0\.0\.1:{closed_port}") as caught:
        Tracker.open(usecase, tmp_path)
    assert "secret" not in caught.value.message
    assert caught.value.exit_code == 5


def test_a_server_that_answers_with_errors(make_usecase: UseCaseOf, tmp_path: Path, broken_server: int) -> None:
    usecase = make_usecase(tracking={"uri": f"http://127.0.0.1:{broken_server}"})
    with pytest.raises(UnavailableError, match="answers with error 503"):
        Tracker.open(usecase, tmp_path)


def test_a_database_below_something_that_is_no_directory(make_usecase: UseCaseOf, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UnavailableError, match=r"file/mlflow\.db or its artefacts cannot be reached or written"):
        Tracker.open(make_usecase(tracking={"uri": "sqlite:///file/mlflow.db"}), tmp_path)


def test_a_file_that_is_no_database(make_usecase: UseCaseOf, tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_text("not a database, only a text that is long enough" * 50)
    with pytest.raises(UnavailableError, match="not a database"):
        Tracker.open(make_usecase(tracking={"uri": "sqlite:///mlflow.db"}), tmp_path)


def test_a_locked_database(tracker: Tracker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mlflow_store, "BUSY_SECONDS", 0.1)
    other = sqlite3.connect(tracker.root / ".datadriver" / "mlflow.db")
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(UnavailableError, match="database is locked"):
        Tracker.open(tracker.usecase, tracker.root)
    other.close()


def test_a_database_that_is_gone_in_the_middle_of_a_batch(tracker: Tracker) -> None:
    (tracker.root / ".datadriver" / "mlflow.db").write_text("overwritten" * 5000)
    with pytest.raises(UnavailableError, match=r"mlflow\.db is not available: .*(not a database|malformed)"):
        tracker.start_batch(BATCH)


def test_artefacts_that_cannot_be_written(
    tracker: Tracker, instance: Instance, make_result: Callable[..., TrainResult]
) -> None:
    parent = tracker.start_batch(BATCH)
    result = make_result(instance)
    files = write_model(tracker.root / "staged", result, instance, code_digest="c")
    shutil.rmtree(tracker.root / ".datadriver" / "artifacts", ignore_errors=True)
    (tracker.root / ".datadriver" / "artifacts").write_text("in the way")
    with pytest.raises(UnavailableError, match="cannot be reached or written"):
        tracker.record(parent, instance, result, files, code_digest="c")


@pytest.mark.parametrize("uri", ["mlruns", "file:///tmp/mlruns", "redis://host"])
def test_a_uri_without_a_model_registry_is_a_mistake_in_the_config(
    make_usecase: UseCaseOf, tmp_path: Path, uri: str
) -> None:
    with pytest.raises(ConfigError, match=r"tracking\.uri: .*sqlite:///"):
        Tracker.open(make_usecase(tracking={"uri": uri}), tmp_path)


@pytest.mark.parametrize(
    ("uri", "printed"),
    [
        ("postgresql://ada:p%40ss@db:5432/x", "postgresql://ada@db:5432/x"),
        ("https://ada:secret@mlflow.example.com/api", "https://mlflow.example.com/api"),
        ("https://token@mlflow.example.com", "https://mlflow.example.com"),
        (
            "postgresql://db/x?user=ada&password=secret&sslmode=require",
            "postgresql://db/x?user=ada&password=***&sslmode=require",
        ),
        ("sqlite:////data/a:b@c.db", "sqlite:////data/a:b@c.db"),
    ],
)
def test_credentials_are_never_printed(uri: str, printed: str) -> None:
    assert without_credentials(uri) == printed


def test_relative_databases_lie_in_the_use_case(tmp_path: Path) -> None:
    assert rooted_uri("sqlite:///x/y.db?timeout=1", tmp_path) == f"sqlite:///{tmp_path}/x/y.db?timeout=1"
    assert rooted_uri("sqlite:////x/y.db", tmp_path) == "sqlite:////x/y.db"
    assert rooted_uri("postgresql://h/x", tmp_path) == "postgresql://h/x"


def test_a_new_sqlite_store_is_there_whole_or_not_at_all(make_usecase: UseCaseOf, tmp_path: Path) -> None:
    usecase = make_usecase()
    code = (
        "import sys; from pathlib import Path; from datadriver.config.sections import Tracking; "
        "from datadriver.tracking.mlflow_store import connect; connect(Tracking(), Path(sys.argv[1]))"
    )
    place = tmp_path / ".datadriver"
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)]) as process:
        until = time.monotonic() + 60
        while not (place.is_dir() and any(file.stat().st_size > 8192 for file in place.rglob("*.db"))):
            assert process.poll() is None
            assert time.monotonic() < until, "waited too long"
            time.sleep(0.01)
        process.kill()  # in the middle of MLflow's migrations
    assert not (place / "mlflow.db").exists()
    assert Tracker.open(usecase, tmp_path).experiment_id
    assert (place / "mlflow.db").exists()
