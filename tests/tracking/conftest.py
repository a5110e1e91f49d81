"""Real stores for the tests: MLflow on SQLite, the ledger on SQLite and PostgreSQL, a use case that lies on disk."""

from __future__ import annotations

import importlib
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import textwrap
import time
import urllib.request
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from datadriver.config.fleet import Asset, Instance, Unit
from datadriver.config.sections import UseCase
from datadriver.data.window import Window
from datadriver.tracking.ledger import Ledger
from datadriver.tracking.mlflow_runs import Tracker
from datadriver.training.results import Decision, Seen, TrainResult


def _make_usecase(**changes: Any) -> UseCase:
    return UseCase.model_validate(
        {
            "name": "pumps",
            "fleet": {"assets": "fleet.csv"},
            "data": {"sources": {"sensors": {"path": "sensors.parquet", "index": "ts"}}},
            "models": {
                "load": {"problem": "regression", "estimator": "pumps.models:ridge", "baseline": "pumps.models:mean"}
            },
            **changes,
        }
    )


def _make_instance(usecase: UseCase, asset: str = "P-101", model: str = "load") -> Instance:
    unit = Unit(asset, (Asset(asset, {"country": "NO", "depth_m": 1200.5}),))
    return Instance(unit, model, usecase.models["load"], usecase)


def _features(rows: int = 200) -> pd.DataFrame:
    values = np.random.default_rng(0).normal(size=(rows, 3))
    return pd.DataFrame(values, columns=["intake_pressure", "motor temperature", "flow"])


def _make_result(instance: Instance, estimator: Any = None, **changes: Any) -> TrainResult:
    frame = _features()
    if estimator is None:
        estimator = make_pipeline(StandardScaler(), Ridge()).fit(frame, frame.sum(axis=1))
    until = pd.Timestamp("2026-01-02", tz="UTC")
    result = TrainResult(
        unit=instance.unit.key,
        model=instance.model,
        role="model",
        estimator=estimator,
        method="predict",
        features=tuple((name, "float64") for name in frame.columns),
        metrics={"model": {"mae": 0.5, "r2": 0.9}, "baseline": {"mae": 1.5}},
        primary="mae",
        greater_is_better=False,
        decision=Decision(True, "mae 0.5 beats the baseline's 1.5; there is no champion yet"),
        rows={"read": 200, "fit": 160, "holdout": 40},
        train_window=Window(pd.Timestamp("2026-01-01", tz="UTC"), until),
        holdout_window=Window(until, pd.Timestamp("2026-01-03", tz="UTC")),
        seen=Seen(until=until),
        threshold=2.5,
        reference={"flow": [0.0, 1.0]},
        holdout=pd.DataFrame({"y_true": [1.0], "y_score": [1.0]}),
        plots={"residuals.png": b"\x89PNG not really"},
        params={"alpha": 1.0},
        frame_digest="f" * 64,
        result_key="a" * 64,
        seconds=0.1,
    )
    return replace(result, **changes)


@pytest.fixture
def make_usecase() -> Callable[..., UseCase]:
    return _make_usecase


@pytest.fixture
def make_instance() -> Callable[..., Instance]:
    return _make_instance


@pytest.fixture
def make_result() -> Callable[..., TrainResult]:
    """A training that went well; keyword arguments change what it says."""
    return _make_result


@pytest.fixture
def features() -> pd.DataFrame:
    return _features()


@pytest.fixture
def usecase() -> UseCase:
    return _make_usecase()


@pytest.fixture
def instance(usecase: UseCase) -> Instance:
    return _make_instance(usecase)


@pytest.fixture
def pumps_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A use case's folder with a package `pumps` that defines an estimator and imports something dangerous."""
    package = tmp_path / "src" / "pumps"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "models.py").write_text(
        textwrap.dedent(
            """
            from os import system

            from sklearn.base import BaseEstimator, RegressorMixin


            def double(values):
                return values * 2


            class Constant(RegressorMixin, BaseEstimator):
                def __init__(self, value=1.0):
                    self.value = value

                def fit(self, X, y=None):
                    self.names_ = {name for name in X.columns}
                    self.rows_ = len(X)
                    return self

                def predict(self, X):
                    return X.iloc[:, 0].to_numpy() * 0 + self.value
            """
        )
    )
    monkeypatch.syspath_prepend(package.parent)
    for name in _pumps_modules():
        monkeypatch.delitem(sys.modules, name)  # of another test's package that has the same name
    yield tmp_path
    for name in _pumps_modules():
        del sys.modules[name]


def _pumps_modules() -> list[str]:
    return [name for name in sys.modules if name.split(".")[0] == "pumps"]


@pytest.fixture(scope="session")
def plain_mlflow() -> Any:
    """MLflow as others use it; importing its flavours warns of things that are no fault of ours."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [importlib.import_module(name) for name in ("mlflow.pyfunc", "mlflow.sklearn", "mlflow")][-1]


@pytest.fixture(scope="session")
def migrated_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty MLflow database, made once: MLflow's migrations take seconds."""
    root = tmp_path_factory.mktemp("mlflow")
    Tracker.open(_make_usecase(name="template"), root)
    database = root / ".datadriver" / "mlflow.db"
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # so that the file alone is the whole database
    return database


@pytest.fixture
def root(tmp_path: Path, migrated_store: Path) -> Path:
    """A use case's folder whose tracking store has its tables."""
    (tmp_path / ".datadriver").mkdir(exist_ok=True)
    shutil.copy(migrated_store, tmp_path / ".datadriver" / "mlflow.db")
    return tmp_path


@pytest.fixture(params=["bulk", "api"])
def tracker(request: pytest.FixtureRequest, root: Path, usecase: UseCase) -> Tracker:
    """A store in SQLite, once written through MLflow's tables and once through its client."""
    return Tracker.open(usecase, root, bulk=request.param == "bulk")


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def new_store(request: pytest.FixtureRequest, tmp_path: Path, migrated_store: Path) -> Callable[..., Tracker]:
    """Opens a new tracking store in a folder of its own, in each kind of database that is written in bulk."""

    def open_(name: str, *, bulk: bool = True) -> Tracker:
        place = tmp_path / name / ".datadriver"
        place.mkdir(parents=True)
        if request.param == "sqlite":
            shutil.copy(migrated_store, place / "mlflow.db")
            return Tracker.open(_make_usecase(), place.parent, bulk=bulk)
        uri = request.getfixturevalue("new_database")(request.getfixturevalue("migrated_database"))
        return Tracker.open(_make_usecase(tracking={"uri": uri}), place.parent, bulk=bulk)

    return open_


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def ledger_uri(request: pytest.FixtureRequest) -> Iterator[str]:
    """A ledger that does not exist yet, once in each kind of database."""
    if request.param == "sqlite":
        yield "sqlite:///.datadriver/ledger.db"
        return
    server: str = request.getfixturevalue("postgres")
    yield f"{server}/postgres"
    engine = sa.create_engine(f"{server.replace('://', '+psycopg://')}/postgres")
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP SCHEMA IF EXISTS pumps, turbines CASCADE")
    engine.dispose()


@pytest.fixture
def open_ledger(tmp_path: Path, ledger_uri: str) -> Iterator[Callable[[], Ledger]]:
    """Opens the same ledger again and again."""
    opened = []

    def open_() -> Ledger:
        opened.append(Ledger.open(_make_usecase(ledger={"uri": ledger_uri}), tmp_path))
        return opened[-1]

    yield open_
    for ledger in opened:
        ledger.close()


@pytest.fixture
def ledger(open_ledger: Callable[[], Ledger]) -> Ledger:
    return open_ledger()


class MlflowServer:
    """MLflow's own tracking server, with one process, on a store below a folder; it can be killed and started again."""

    def __init__(self, folder: Path, tables: Path) -> None:
        self.folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.address = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None
        shutil.copy(tables, folder / "mlflow.db")

    def start(self) -> None:
        command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self.port)]
        command += ["--workers", "1", "--backend-store-uri", f"sqlite:///{self.folder}/mlflow.db"]
        command += ["--artifacts-destination", (self.folder / "artifacts").as_uri()]
        environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, cwd=self.folder, env=environment, start_new_session=True
            )
        until = time.monotonic() + 120
        while not self._answers():
            assert self._process.poll() is None, (self.folder / "server.log").read_text()
            assert time.monotonic() < until, "waited too long"
            time.sleep(0.1)

    def kill(self) -> None:
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.address}/health", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False


@pytest.fixture(scope="session")
def mlflow_server(tmp_path_factory: pytest.TempPathFactory, migrated_store: Path) -> Iterator[MlflowServer]:
    """A server that every test finds at work; its experiments are those of all tests."""
    server = MlflowServer(tmp_path_factory.mktemp("mlflow-server"), migrated_store)
    server.start()
    yield server
    server.kill()


@pytest.fixture
def own_server(tmp_path: Path, migrated_store: Path) -> Iterator[MlflowServer]:
    """A server of one test, which starts and kills it."""
    folder = tmp_path / "server"
    folder.mkdir()
    server = MlflowServer(folder, migrated_store)
    yield server
    server.kill()
