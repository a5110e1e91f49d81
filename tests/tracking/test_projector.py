"""What waits in ledger and outbox comes into MLflow exactly once, whatever is lost on the way."""

from __future__ import annotations

import http.client
import http.server
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient

from datadriver.config.fleet import Asset, Instance, Unit
from datadriver.config.sections import UseCase
from datadriver.errors import ConfigError, UnavailableError
from datadriver.fleet.projection import Session
from datadriver.tracking import queries, releases
from datadriver.tracking.artefacts import load_version
from datadriver.tracking.backlog import backlog
from datadriver.tracking.behind import Behind
from datadriver.tracking.ledger import Ledger
from datadriver.tracking.manifests import manifest_of
from datadriver.tracking.mlflow_runs import Tracker
from datadriver.tracking.model_files import write_model
from datadriver.tracking.projector import Projector
from datadriver.tracking.records import Key, Outcome, Version
from datadriver.tracking.writer import Trained
from datadriver.training.results import TrainResult


class Fleet:
    """A use case whose MLflow is a server, with trainings that happen when a test wants them."""

    def __init__(self, usecase: UseCase, root: Path, make_result: Callable[..., TrainResult]) -> None:
        self.usecase = usecase
        self.root = root
        self.ledger = Ledger.open(usecase, root)
        self.behind = Behind(usecase, root, self.ledger)
        self._make_result = make_result
        self._made = 0

    def instance(self, asset: str) -> Instance:
        return Instance(Unit(asset, (Asset(asset, {}),)), "load", self.usecase.models["load"], self.usecase)

    def train(self, *assets: str) -> str:
        """Train a new version for each of these assets, in one batch."""
        batch = self.ledger.start_batch("train")
        parent = self.behind.start_batch(batch)
        trained = [self._training(asset) for asset in assets]
        versions = self.behind.record_all(parent, trained, code_digest="c" * 64)
        outcomes = [Outcome(batch.id, one.unit, one.model, "trained", result_key=one.result_key) for one in versions]
        self.ledger.record_results(outcomes, versions=versions)
        self.behind.finish_batch(parent, metrics={"instances.trained": len(assets)})
        self.ledger.finish_batch(batch.id)
        return batch.id

    def _training(self, asset: str) -> Trained:
        self._made += 1
        instance = self.instance(asset)
        result = self._make_result(instance, result_key=f"{self._made:064x}", params={"alpha": float(self._made)})
        files = write_model(self.root / "staged" / str(self._made), result, instance, code_digest="c" * 64)
        return Trained(instance, result, files)

    def promote(self, *assets: str) -> None:
        releases.promote(self.ledger, self.behind, [self.instance(asset) for asset in assets], by="ada", force=True)

    def projector(self) -> Projector:
        return Projector(self.behind, Tracker.open(self.usecase, self.root, bulk=False), {})

    def project(self) -> None:
        error = Session(self.behind).run()
        assert error is None, error

    def version(self, asset: str) -> Version:
        return queries.latest_versions(self.ledger)[Key(asset, "load")]

    def check(self, *, runs: int, numbers: dict[str, list[int]], aliases: dict[str, dict[str, int]]) -> None:
        """MLflow has just these runs and versions, each once and whole, and the ledger knows where."""
        tracker = Tracker.open(self.usecase, self.root, bulk=False)
        client = tracker.client
        found = client.search_runs([tracker.experiment_id], max_results=1000)
        of_instances = [run for run in found if "mlflow.parentRunId" in run.data.tags]
        assert len(of_instances) == runs
        assert {run.info.status for run in found} <= {"FINISHED"}
        parents = {run.info.run_id for run in found} - {run.info.run_id for run in of_instances}
        assert {run.data.tags["mlflow.parentRunId"] for run in of_instances} == parents
        for run in of_instances:
            assert len(run.outputs.model_outputs) == len(run.inputs.dataset_inputs) == 1
            assert len(client.get_metric_history(run.info.run_id, "mae")) == 1
            assert {file.path for file in client.list_artifacts(run.info.run_id)} > {"config.yaml", "decision.json"}
        models = client.search_logged_models([tracker.experiment_id])
        assert len(models) == runs
        assert {str(model.status) for model in models} <= {"READY"}
        for asset, expected in numbers.items():
            name = f"{self.usecase.name}.{asset}.load"
            there = client.search_model_versions(f"name = '{name}'")
            assert sorted(int(one.version) for one in there) == expected
            assert len({one.run_id for one in there}) == len(expected)
            assert dict(client.get_registered_model(name).aliases) == {
                alias: str(number) for alias, number in aliases[asset].items()
            }
            for one in queries.versions(self.ledger, Key(asset, "load")):
                assert one.model_uri.startswith(f"models:/{name}/")
                assert client.get_model_version(name, one.model_uri.rpartition("/")[2]).run_id == one.run_id
        assert backlog(self.ledger).total == 0
        assert not [path for path in (self.root / ".datadriver" / "artifacts").rglob("*") if path.is_file()]


@pytest.fixture
def new_fleet(
    tmp_path: Path, make_usecase: Callable[..., UseCase], make_result: Callable[..., TrainResult]
) -> Iterator[Callable[..., Fleet]]:
    made: list[Fleet] = []

    def make(address: str, **tracking: Any) -> Fleet:
        name = f"u{uuid.uuid4().hex[:12]}"  # of its own, as the server is there for all tests
        usecase = make_usecase(name=name, tracking={"uri": address, **tracking})
        made.append(Fleet(usecase, tmp_path / name, make_result))
        return made[-1]

    yield make
    for fleet in made:
        fleet.ledger.close()


@pytest.fixture
def fleet(new_fleet: Callable[..., Fleet], mlflow_server: Any) -> Fleet:
    return new_fleet(mlflow_server.address)


class Lossy:
    """A proxy before a server that loses the first request of each kind, or its answer."""

    def __init__(self, port: int, *, answer: bool) -> None:
        self.lost: list[tuple[str, str]] = []
        lossy = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _pass_on(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                path = self.path.partition("?")[0]
                kind = self.command, path.rpartition("/")[2]
                lose = path != "/health" and kind not in lossy.lost
                if lose:
                    lossy.lost.append(kind)
                if lose and not answer:
                    return self._hang_up()
                server = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
                kept = {k: v for k, v in self.headers.items() if k.lower() not in {"host", "connection"}}
                server.request(self.command, self.path, body, kept)
                got = server.getresponse()
                content = got.read()
                server.close()
                if lose:
                    return self._hang_up()
                self.send_response(got.status)
                for name, value in got.getheaders():
                    if name.lower() not in {"transfer-encoding", "content-length", "connection", "date", "server"}:
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)
                return None

            def _hang_up(self) -> None:
                self.close_connection = True

            def log_message(self, *args: object) -> None:
                pass

        for verb in ("GET", "POST", "PUT", "PATCH", "DELETE"):
            setattr(Handler, f"do_{verb}", Handler._pass_on)
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_address[1]}"


@pytest.fixture
def lossy(mlflow_server: Any) -> Iterator[Callable[..., Lossy]]:
    made: list[tuple[Lossy, threading.Thread]] = []

    def make(*, answer: bool) -> Lossy:
        proxy = Lossy(mlflow_server.port, answer=answer)
        thread = threading.Thread(target=proxy.server.serve_forever)
        thread.start()
        made.append((proxy, thread))
        return proxy

    yield make
    for proxy, thread in made:
        proxy.server.shutdown()
        proxy.server.server_close()
        thread.join()


@pytest.mark.parametrize("answer", [False, True], ids=["the-request-is-lost", "its-answer-is-lost"])
def test_every_kind_of_request_may_be_lost_once(
    new_fleet: Callable[..., Fleet], lossy: Callable[..., Lossy], *, answer: bool
) -> None:
    proxy = lossy(answer=answer)
    fleet = new_fleet(proxy.address)
    fleet.train("A")
    fleet.promote("A")
    for _ in range(80):
        with suppress(UnavailableError):
            if not fleet.projector().step():  # a new one each time, as after kill -9
                break
    assert {("POST", "create"), ("PUT", "model.skops"), ("POST", "log-batch"), ("POST", "alias")} <= set(proxy.lost)
    assert len(proxy.lost) > 15
    fleet.check(runs=1, numbers={"A": [1]}, aliases={"A": {"champion": 1}})


def test_versions_come_in_their_order_and_aliases_after_them(fleet: Fleet) -> None:
    fleet.train("A", "B")
    fleet.promote("A")
    fleet.train("A")
    before = backlog(fleet.ledger)
    assert (before.versions, before.total) == (3, 3 + 2 + 2)  # two instances with aliases, two batches
    fleet.project()
    fleet.check(
        runs=3, numbers={"A": [1, 2], "B": [1]}, aliases={"A": {"champion": 1, "challenger": 2}, "B": {"challenger": 1}}
    )
    fleet.promote("A", "B")
    releases.rollback(fleet.ledger, fleet.behind, by="ada", reason="no", instances=[Key("A", "load")])
    fleet.project()
    fleet.check(runs=3, numbers={"A": [1, 2], "B": [1]}, aliases={"A": {"champion": 1}, "B": {"champion": 1}})


def test_a_version_serves_before_and_after_mlflow_has_it(
    fleet: Fleet, features: pd.DataFrame, plain_mlflow: Any
) -> None:
    fleet.train("A")
    fleet.promote("A")
    waiting = fleet.version("A")
    assert waiting.run_id == ""
    scores = load_version(waiting, fleet.usecase, fleet.root).predict(features)
    fleet.project()
    written = fleet.version("A")
    assert ":/" in written.path
    for version in (waiting, written):  # whoever looked it up before still finds it
        np.testing.assert_array_equal(load_version(version, fleet.usecase, fleet.root).predict(features), scores)
        manifest = manifest_of(version, fleet.usecase, fleet.root)
        assert manifest is not None
        assert manifest["sha256"] == version.sha256
    plain_mlflow.set_tracking_uri(fleet.usecase.tracking.uri)
    try:
        champion = plain_mlflow.pyfunc.load_model(f"models:/{fleet.usecase.name}.A.load@champion")
    finally:
        plain_mlflow.set_tracking_uri(None)
    np.testing.assert_array_equal(champion.predict(features), scores)


def test_a_number_that_somebody_else_took_is_passed_over_and_said(fleet: Fleet) -> None:
    fleet.train("A")
    fleet.project()
    client = MlflowClient(fleet.usecase.tracking.uri, fleet.usecase.tracking.uri)
    name = f"{fleet.usecase.name}.A.load"
    client.create_model_version(name, "s3://elsewhere/model")
    fleet.train("A")
    fleet.promote("A")
    fleet.project()
    version = fleet.version("A")
    assert (version.version, version.model_uri) == (2, f"models:/{name}/3")
    assert dict(client.get_registered_model(name).aliases) == {"champion": "3"}
    tracker = Tracker.open(fleet.usecase, fleet.root, bulk=False)
    assert releases.drift(fleet.ledger, tracker, [Key("A", "load")]) == ()
    fleet.train("A")
    fleet.project()
    assert (fleet.version("A").version, fleet.version("A").model_uri) == (4, f"models:/{name}/4")  # the same again


def test_on_a_new_server_the_numbers_go_on(fleet: Fleet, new_fleet: Callable[..., Fleet], mlflow_server: Any) -> None:
    fleet.train("A")
    fleet.train("A")
    fleet.project()
    client = MlflowClient(mlflow_server.address, mlflow_server.address)
    client.delete_registered_model(f"{fleet.usecase.name}.A.load")  # a server that knows nothing of it
    fleet.train("A")
    fleet.project()
    [version] = client.search_model_versions(f"name = '{fleet.usecase.name}.A.load'")
    assert int(version.version) == fleet.version("A").version == 3


def test_what_cannot_be_written_does_not_keep_the_rest(fleet: Fleet) -> None:
    fleet.train("A", "B")
    for left in (fleet.root / fleet.version("A").path).parent.iterdir():
        if left.name == "entry.json":
            left.unlink()
    error = Session(fleet.behind).run()
    assert isinstance(error, ConfigError)
    assert "A/load: version 1 waits for MLflow, but its files are gone" in error.message
    assert fleet.version("B").run_id
    assert backlog(fleet.ledger).versions == 1
    assert "its files are gone" in str(backlog(fleet.ledger).problem)


def test_pending_versions_are_no_differences(fleet: Fleet) -> None:
    fleet.train("A")
    fleet.project()
    fleet.promote("A")
    tracker = Tracker.open(fleet.usecase, fleet.root, bulk=False)
    assert releases.drift(fleet.ledger, tracker, [Key("A", "load")]) == ()
    fleet.project()
    assert releases.drift(fleet.ledger, tracker, [Key("A", "load")]) == ()
    tracker.point(f"{fleet.usecase.name}.A.load", {"champion": None})
    assert len(releases.drift(fleet.ledger, tracker, [Key("A", "load")])) == 1


def test_the_same_result_again_waits_once(fleet: Fleet) -> None:
    fleet.train("A")
    fleet._made = 0
    fleet.train("A")
    assert backlog(fleet.ledger).versions == 1
    fleet.project()
    fleet.behind.discard_unfinished(())  # what the second one laid down for nothing
    assert [one.version for one in queries.versions(fleet.ledger, Key("A", "load"))] == [1]


def test_the_outbox_may_be_a_bucket(
    new_fleet: Callable[..., Fleet], mlflow_server: Any, features: pd.DataFrame
) -> None:
    place = f"{mlflow_server.address}/api/2.0/mlflow-artifacts/artifacts/{uuid.uuid4().hex}"
    fleet = new_fleet(mlflow_server.address, artifacts=place)
    fleet.train("A", "B")
    waiting = fleet.version("A")
    assert waiting.path.startswith(f"{place}/pending/")
    assert len(load_version(waiting, fleet.usecase, fleet.root).predict(features)) == len(features)
    fleet.project()
    fleet.check(runs=2, numbers={"A": [1], "B": [1]}, aliases={"A": {"challenger": 1}, "B": {"challenger": 1}})


def test_a_batch_that_was_killed_ends_as_killed(fleet: Fleet) -> None:
    fleet.train("A")
    batch = fleet.ledger.start_batch("train")
    fleet.behind.start_batch(batch)
    fleet.ledger.finish_batch(batch.id, "killed")
    fleet.project()
    tracker = Tracker.open(fleet.usecase, fleet.root, bulk=False)
    runs = tracker.client.search_runs([tracker.experiment_id], f"tags.`datadriver.batch` = '{batch.id}'")
    assert [run.info.status for run in runs] == ["KILLED"]
