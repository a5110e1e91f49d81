"""A real MLflow server: on a store that was written in bulk, and as the place of artefacts."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient

from datadriver.config.fleet import Instance
from datadriver.config.sections import UseCase
from datadriver.tracking.artefacts import load_version
from datadriver.tracking.mlflow_runs import Tracker
from datadriver.tracking.model_files import write_model
from datadriver.tracking.records import Batch, Version
from datadriver.training.results import TrainResult

BATCH = Batch("b1", "train", "2026-01-05T03:00:00+00:00", "2026-01-05T03:00:00+00:00", "running", "ada", "box", 1)
UseCaseOf = Callable[..., UseCase]


@dataclass(frozen=True)
class Server:
    """MLflow's own server on a store below `root`; artefacts that it serves are in `root/served`."""

    root: Path
    address: str


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, migrated_store: Path) -> Iterator[Server]:
    root = tmp_path_factory.mktemp("server")
    (root / ".datadriver").mkdir()
    shutil.copy(migrated_store, root / ".datadriver" / "mlflow.db")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", port, "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{root}/.datadriver/mlflow.db"]
    command += ["--artifacts-destination", (root / "served").as_uri()]
    environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    with (root / "server.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=root, env=environment, start_new_session=True)
    address = f"http://127.0.0.1:{port}"
    try:
        until = time.monotonic() + 120
        while not _healthy(address):
            assert process.poll() is None, (root / "server.log").read_text()
            assert time.monotonic() < until, "waited too long"
            time.sleep(0.1)
        yield Server(root, address)
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()


def _healthy(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/health", timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, TimeoutError):
        return False


@pytest.fixture
def record_in(
    make_instance: Callable[..., Instance], make_result: Callable[..., TrainResult]
) -> Callable[[Tracker], Version]:
    """Record one training, in a store of whatever kind, and make it champion."""

    def record(tracker: Tracker) -> Version:
        instance = make_instance(tracker.usecase)
        result = make_result(instance)
        files = write_model(tracker.root / "staged", result, instance, code_digest="c" * 64)
        parent = tracker.start_batch(BATCH)
        version = tracker.record(parent, instance, result, files, code_digest="c" * 64)
        tracker.set_champions({version.key: version.version})
        tracker.finish_batch(parent)
        return version

    return record


def test_a_server_on_a_store_written_in_bulk_answers_what_its_pages_ask(
    server: Server,
    make_usecase: UseCaseOf,
    record_in: Callable[[Tracker], Version],
    features: pd.DataFrame,
    plain_mlflow: Any,
) -> None:
    local = Tracker.open(make_usecase(), server.root)
    version = record_in(local)
    client, experiments = MlflowClient(server.address, server.address), [local.experiment_id]
    [run] = client.search_runs(experiments, "metrics.mae < 1 and tags.`datadriver.unit` = 'P-101'")
    assert run.info.run_id == version.run_id
    assert run.inputs.dataset_inputs[0].dataset.name == "P-101"
    [model] = client.search_logged_models(experiments, "metrics.mae < 1")
    assert run.outputs.model_outputs[0].model_id == model.model_id
    assert client.search_registered_models("name LIKE 'pumps.%'")[0].aliases == {"champion": "1"}
    assert client.search_model_versions(f"run_id = '{version.run_id}'")[0].version == "1"
    assert [one.value for one in client.get_metric_history(version.run_id, "mae")] == [0.5]
    with urllib.request.urlopen(server.address, timeout=10) as page:
        assert b"MLflow" in page.read()
    plain_mlflow.set_tracking_uri(server.address)
    try:
        champion = plain_mlflow.pyfunc.load_model("models:/pumps.P-101.load@champion")
    finally:
        plain_mlflow.set_tracking_uri(None)
    ours = load_version(version, local.usecase, server.root)
    np.testing.assert_array_equal(champion.predict(features), ours.predict(features))


def test_artefacts_may_be_far_away_and_the_tracking_store_a_database(
    server: Server, make_usecase: UseCaseOf, record_in: Callable[[Tracker], Version], features: pd.DataFrame
) -> None:
    place = f"{server.address}/api/2.0/mlflow-artifacts/artifacts/turbines"
    usecase = make_usecase(name="turbines", tracking={"artifacts": place})
    tracker = Tracker.open(usecase, server.root)
    version = record_in(tracker)
    assert version.path.startswith(place)
    assert len(load_version(version, usecase, server.root).predict(features)) == len(features)
    assert {file.path for file in tracker.client.list_artifacts(version.run_id)} > {"config.yaml", "decision.json"}
    assert record_in(tracker).run_id == version.run_id
    served = server.root / "served" / "turbines" / "models"
    assert {path.relative_to(served).parts[0] for path in served.rglob("*") if path.is_file()} == {
        version.path.split("/")[-2]
    }


def test_a_tracking_server_is_written_through_its_client(
    server: Server, make_usecase: UseCaseOf, record_in: Callable[[Tracker], Version]
) -> None:
    tracker = Tracker.open(make_usecase(name="wells", tracking={"uri": server.address}), server.root)
    assert record_in(tracker).version == 1
    assert tracker.champions() == {"wells.P-101.load": 1}
