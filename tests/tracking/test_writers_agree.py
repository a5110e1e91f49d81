"""The same trainings, written through MLflow's client and in bulk, are the same to everybody who reads them."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from datadriver.config.fleet import Asset, Instance, Unit
from datadriver.config.sections import UseCase
from datadriver.fleet.projection import Session
from datadriver.tracking import queries
from datadriver.tracking.behind import Behind
from datadriver.tracking.ledger import Ledger, insert
from datadriver.tracking.mlflow_runs import Tracker
from datadriver.tracking.model_files import ModelFiles, write_model
from datadriver.tracking.records import Batch, Key, Outcome, ReleaseItem, VerdictRecord
from datadriver.tracking.schema import batches
from datadriver.tracking.writer import Trained
from datadriver.training.results import TrainResult

BATCH = Batch(
    "b1", "train", "2026-01-05T03:00:00+00:00", "2026-01-05T03:00:00+00:00", "running", "ada", "box", 1, "abc123"
)
UNUSUAL = {f"weight {number}": number for number in range(150)} | {"text": "x" * 9000, "words": "Ø \\ \"hi\" 'ho' 100%"}
TIME = re.compile(r'("(?:\w*_time|\w*timestamp\w*)": )\d+')


@pytest.fixture
def trainings(
    tmp_path: Path, usecase: UseCase, make_result: Callable[..., TrainResult]
) -> Callable[[Path], list[list[Trained]]]:
    """Two batches of trainings with everything that may be unusual about one; their files are the same each time."""
    ada, bob = (
        Instance(
            Unit(name, (Asset(name, {"country": "NO", "depth m": 1200.5}),)), "load", usecase.models["load"], usecase
        )
        for name in ("P-101", "15/9-F-1 C Ø:1'")
    )
    pooled = Instance(Unit("country=NO", ada.unit.assets + bob.unit.assets), "load", usecase.models["load"], usecase)
    verdict = VerdictRecord("b1", "P-101", "train", "pass")
    batches = [
        [
            (ada, make_result(ada), (verdict,)),
            (bob, make_result(bob, params={"alpha": 2.0, **UNUSUAL}, result_key="b" * 64, warnings=("few rows",)), ()),
            (pooled, make_result(pooled, role="baseline", threshold=None, plots={}, result_key="c" * 64), ()),
        ],
        [
            (ada, make_result(ada), (verdict,)),  # the same again
            (
                bob,
                make_result(bob, params={"alpha": 3.0}, metrics={"model": {"r2": float("nan")}}, result_key="d" * 64),
                (),
            ),
        ],
    ]
    for number, trained in enumerate(batches):
        for position, (instance, result, _) in enumerate(trained):
            write_model(tmp_path / "files" / f"{number}-{position}", result, instance, code_digest="c" * 64)

    def make(root: Path) -> list[list[Trained]]:
        shutil.copytree(tmp_path / "files", root / "staged")
        return [
            [
                Trained(instance, result, _files(root / "staged" / f"{number}-{position}"), verdicts)
                for position, (instance, result, verdicts) in enumerate(trained)
            ]
            for number, trained in enumerate(batches)
        ]

    return make


def _files(directory: Path) -> ModelFiles:
    manifest = json.loads((directory / "datadriver.json").read_text())
    return ModelFiles(directory, manifest["sha256"], (directory / "model.skops").stat().st_size)


@pytest.fixture
def stores(new_store: Callable[..., Tracker], trainings: Callable[[Path], list[list[Trained]]]) -> dict[str, Tracker]:
    """Two stores in which the same happened: one written through the client, one in bulk."""
    made = {}
    for name in ("api", "bulk"):
        tracker = made[name] = new_store(f"{name:_<4}", bulk=name == "bulk")  # paths are stored: of the same length
        parent = tracker.start_batch(BATCH)
        first, second = trainings(tracker.root)
        tracker.record_all(parent, first, code_digest="c" * 64, code_revision="abc123")
        tracker.set_champions({Key(one.instance.unit.key, one.instance.model): 1 for one in first})
        tracker.record_all(parent, second, code_digest="c" * 64)
        tracker.set_champions({Key("15/9-F-1 C Ø:1'", "load"): 2, Key("country=NO", "load"): None})
        tracker.finish_batch(parent, metrics={"instances.trained": 4})
    return made


def test_every_question_to_the_client_has_the_same_answer(stores: Mapping[str, Tracker]) -> None:
    through_the_client, in_bulk = (dict(_alike(stores[name])) for name in ("api", "bulk"))
    assert in_bulk.keys() == through_the_client.keys()
    for question, answer in through_the_client.items():
        assert in_bulk[question] == answer, question
    assert len(through_the_client) > 60


def test_what_was_written_behind_the_run_is_the_same(
    new_store: Callable[..., Tracker], trainings: Callable[[Path], list[list[Trained]]], request: pytest.FixtureRequest
) -> None:
    """Without the result that comes twice: the ledger knows it, and nobody tells MLflow."""
    at_once, later = new_store("bulk"), new_store("late")
    behind = Behind(later.usecase, later.root, Ledger.open(later.usecase, later.root))
    request.addfinalizer(behind.ledger.close)
    for recorder in (at_once, behind):
        first, (_, bob) = trainings(recorder.root)
        with behind.ledger.writing() as connection:
            connection.execute(upserted(connection, BATCH))
        parent = recorder.start_batch(BATCH)
        _record(recorder, behind.ledger, parent, first, code_revision="abc123")
        _release(recorder, behind.ledger, {Key(one.instance.unit.key, one.instance.model): 1 for one in first})
        _record(recorder, behind.ledger, parent, [bob])
        _release(recorder, behind.ledger, {Key("15/9-F-1 C Ø:1'", "load"): 2, Key("country=NO", "load"): None})
        recorder.finish_batch(parent, metrics={"instances.trained": 4})
    behind.ledger.finish_batch(BATCH.id)
    assert not later.client.search_registered_models()
    assert Session(behind).run() is None
    in_bulk, projected = (dict(_alike(tracker)) for tracker in (at_once, later))
    assert projected.keys() == in_bulk.keys()
    for question, answer in in_bulk.items():
        assert projected[question] == answer, question
    assert len(in_bulk) > 60


def upserted(connection: Any, batch: Batch) -> Any:
    return insert(connection, batches).values(asdict(batch)).on_conflict_do_nothing()


def _record(recorder: Any, ledger: Ledger, parent: str, trained: list[Trained], **more: Any) -> None:
    versions = recorder.record_all(parent, trained, code_digest="c" * 64, **more)
    if not recorder.mirrors:
        outcomes = [Outcome("b1", one.unit, one.model, "trained") for one in versions]
        ledger.record_results(outcomes, versions=versions)


def _release(recorder: Any, ledger: Ledger, champions: Mapping[Key, int | None]) -> None:
    recorder.set_champions(champions)
    if not recorder.mirrors:
        known = queries.standings(ledger)
        items = [
            ReleaseItem(*key, version, known[key].version if key in known else None)
            for key, version in champions.items()
        ]
        ledger.record_release(items, action="promote", by="ada", reason="", behind=True)


def _alike(tracker: Tracker) -> Iterator[tuple[str, Any]]:
    """Questions and answers, with ids, places and times replaced by what they stand for."""
    names = _names(tracker)

    def alike(what: Any) -> Any:
        text = TIME.sub(r"\g<1>0", json.dumps(what, default=_plain, sort_keys=True, ensure_ascii=False))
        for found, name in names.items():
            text = text.replace(found, name)
        return json.loads(text)

    for question, answer in _answers(tracker):
        yield str(alike(question)), alike(answer)


def _names(tracker: Tracker) -> dict[str, str]:
    client, experiment = tracker.client, tracker.experiment_id
    names = {}
    for model in client.search_logged_models([experiment], max_results=100):
        names[model.model_id] = f"<model {model.name} {model.params['alpha']}>"
    for run in client.search_runs([experiment]):
        names[run.info.run_id] = f"<run {run.info.run_name} {run.data.params.get('alpha')}>"
    return {**names, str(tracker.root): "<root>"}


def _plain(value: Any) -> Any:
    """Fields of one of MLflow's objects; the aliases of a version have no order."""
    if hasattr(value, "_aliases") and isinstance(value._aliases, list):
        return {**vars(value), "_aliases": sorted(value._aliases)}
    if hasattr(value, "to_dictionary"):
        return value.to_dictionary()
    return dict(vars(value)) if hasattr(value, "__dict__") else str(value)


def _answers(tracker: Tracker) -> Iterator[tuple[str, Any]]:
    yield from _of_runs(tracker)
    yield from _of_models(tracker)
    yield from _of_versions(tracker)


def _of_runs(tracker: Tracker) -> Iterator[tuple[str, Any]]:
    client, experiments = tracker.client, [tracker.experiment_id]
    wanted = {
        "all": "",
        "by metric": "metrics.mae < 1",
        "by parameter": "params.alpha = '2.0'",
        "by tag": "tags.`datadriver.asset.country` = 'NO'",
        "by name": "attributes.run_name LIKE 'P-%'",
        "by status": "attributes.status = 'FINISHED'",
        "by data": "dataset.name = 'P-101'",
    }
    for how, query in wanted.items():
        for order in (["metrics.mae DESC"], ["tags.mlflow.runName DESC", "params.alpha"], ["metrics.`rows.fit`"]):
            found = client.search_runs(
                experiments, query, order_by=[*order, "attributes.run_name", "metrics.threshold"]
            )
            yield f"search_runs {how} {order}", found.to_list()
    for run in client.search_runs(experiments):
        run_id = run.info.run_id
        yield f"get_run {run_id}", client.get_run(run_id)
        yield f"parent of {run_id}", client.get_parent_run(run_id)
        for metric in run.data.metrics:
            yield f"history {run_id} {metric}", client.get_metric_history(run_id, metric)
        folder = tracker.root / "downloads" / run_id
        folder.mkdir(parents=True)
        yield f"artifacts {run_id}", _tree(Path(client.download_artifacts(run_id, "", str(folder))))
        yield f"list_artifacts {run_id}", client.list_artifacts(run_id)


def _of_models(tracker: Tracker) -> Iterator[tuple[str, Any]]:
    client, experiments = tracker.client, [tracker.experiment_id]
    for query in (
        "",
        "params.alpha = '3.0'",
        "metrics.mae <= 0.5",
        "tags.`datadriver.unit` = 'P-101'",
        "name LIKE 'P-%'",
    ):
        found = client.search_logged_models(experiments, query, order_by=[{"field_name": "metrics.mae"}])
        yield (
            f"search_logged_models {query}",
            sorted(map(_plain, found), key=lambda one: (one["name"], one["params"]["alpha"])),
        )
    for model in client.search_logged_models(experiments):
        yield f"get_logged_model {model.model_id}", client.get_logged_model(model.model_id)
        folder = tracker.root / "models" / model.model_id
        folder.mkdir(parents=True)
        shutil.copytree(tracker.root / model.artifact_location.removeprefix(f"file://{tracker.root}/"), folder / "x")
        yield f"model files {model.model_id}", _tree(folder / "x")
        yield f"list_logged_model_artifacts {model.model_id}", client.list_logged_model_artifacts(model.model_id)


def _of_versions(tracker: Tracker) -> Iterator[tuple[str, Any]]:
    client = tracker.client
    for query in ("", "name LIKE 'pumps.P%'", "tags.`datadriver.unit` = 'country=NO'"):
        yield f"search_registered_models {query}", client.search_registered_models(query, order_by=["name"]).to_list()
    for query in ("", "name = 'pumps.P-101.load'", f"tags.`datadriver.result_key` = '{'d' * 64}'"):
        found = client.search_model_versions(query, order_by=["name", "version_number"])
        yield f"search_model_versions {query}", found.to_list()
    for model in client.search_registered_models():
        yield f"get_registered_model {model.name}", client.get_registered_model(model.name)
        for alias in model.aliases:
            yield f"by alias {model.name} {alias}", client.get_model_version_by_alias(model.name, alias)
    for version in client.search_model_versions():
        of = version.name, version.version
        yield f"get_model_version {of}", client.get_model_version(*of)
        yield f"download uri {of}", client.get_model_version_download_uri(*of)


def _tree(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes().decode("latin-1") for path in files}


def test_plain_mlflow_loads_the_same_champion(
    stores: Mapping[str, Tracker], plain_mlflow: Any, features: pd.DataFrame
) -> None:
    scores = []
    for tracker in stores.values():
        plain_mlflow.set_tracking_uri(tracker.uri)
        try:
            champion = plain_mlflow.pyfunc.load_model("models:/pumps.P-101.load@champion")
        finally:
            plain_mlflow.set_tracking_uri(None)
        assert champion.metadata.run_id == tracker.client.get_model_version("pumps.P-101.load", "1").run_id
        scores.append(champion.predict(features))
    np.testing.assert_array_equal(*scores)
