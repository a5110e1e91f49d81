"""What a training leaves in a real MLflow store, read back with the stock client."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from datadriver.config.fleet import Instance
from datadriver.config.sections import UseCase
from datadriver.errors import ConfigError, UntrustedModelError
from datadriver.tracking.artefacts import load_version
from datadriver.tracking.mlflow_runs import Tracker
from datadriver.tracking.model_files import write_model
from datadriver.tracking.names import registered_name
from datadriver.tracking.records import Batch, Key, VerdictRecord, Version
from datadriver.training.results import TrainResult

BATCH = Batch(
    "b1", "train", "2026-01-05T03:00:00+00:00", "2026-01-05T03:00:00+00:00", "running", "ada", "box", 1, "abc123"
)
ResultOf = Callable[..., TrainResult]


@pytest.fixture
def record(tracker: Tracker, root: Path, make_result: ResultOf) -> Callable[..., Version]:
    """Write and record one training of an instance under the parent run of a batch."""

    def record_(instance: Instance, parent: str, **changes: object) -> Version:
        result = make_result(instance, **changes)
        files = write_model(root / "staged", result, instance, code_digest="c" * 64)
        verdicts = [VerdictRecord("b1", "P-101", "train", "pass")]
        return tracker.record(
            parent, instance, result, files, code_digest="c" * 64, verdicts=verdicts, code_revision="abc123"
        )

    return record_


def test_a_run_tells_the_whole_story_of_a_training(
    tracker: Tracker, instance: Instance, record: Callable[..., Version]
) -> None:
    parent = tracker.start_batch(BATCH)
    version = record(instance, parent)
    run = tracker.client.get_run(version.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.tags["mlflow.parentRunId"] == parent
    assert run.data.tags["mlflow.runName"] == "P-101/load"
    assert run.data.tags["mlflow.source.git.commit"] == "abc123"
    assert run.data.tags["datadriver.asset.country"] == "NO"
    assert run.data.tags["datadriver.result_key"] == "a" * 64
    assert run.data.metrics["mae"] == 0.5
    assert run.data.metrics["baseline.mae"] == 1.5
    assert run.data.metrics["rows.fit"] == 160
    assert run.data.params["alpha"] == "1.0"
    assert run.data.params["train.start"].startswith("2026-01-01T00:00:00")
    assert run.inputs.dataset_inputs[0].dataset.name == "P-101"
    names = {file.path for file in tracker.client.list_artifacts(version.run_id)}
    assert names == {"config.yaml", "decision.json", "environment.json", "plots", "verdicts.json"}


def test_the_logged_model_is_linked_to_its_run_its_metrics_and_its_version(
    tracker: Tracker, instance: Instance, record: Callable[..., Version]
) -> None:
    version = record(instance, tracker.start_batch(BATCH))
    [model] = tracker.client.search_logged_models([tracker.experiment_id])
    assert model.source_run_id == version.run_id
    assert {metric.key: metric.value for metric in model.metrics}["mae"] == 0.5
    assert '"pumps.P-101.load"' in model.tags["mlflow.modelVersions"]
    assert tracker.client.get_run(version.run_id).outputs.model_outputs[0].model_id == model.model_id


def test_plain_mlflow_loads_the_champion_and_predicts_what_we_predict(
    tracker: Tracker, instance: Instance, record: Callable[..., Version], features: pd.DataFrame, plain_mlflow: Any
) -> None:
    version = record(instance, tracker.start_batch(BATCH))
    tracker.set_champions({version.key: version.version})
    plain_mlflow.set_tracking_uri(tracker.uri)
    try:
        champion = plain_mlflow.pyfunc.load_model("models:/pumps.P-101.load@champion")
    finally:
        plain_mlflow.set_tracking_uri(None)
    ours = load_version(version, tracker.usecase, tracker.root)
    np.testing.assert_array_equal(champion.predict(features), ours.predict(features))
    assert champion.metadata.run_id == version.run_id


def test_model_files_are_recorded_relative_to_the_use_case_so_that_it_can_move(
    tracker: Tracker,
    instance: Instance,
    record: Callable[..., Version],
    features: pd.DataFrame,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    version = record(instance, tracker.start_batch(BATCH))
    assert version.path.startswith(".datadriver/artifacts/models/")
    moved = tracker.root.rename(tmp_path_factory.mktemp("moved") / "use case")
    assert len(load_version(version, tracker.usecase, moved).predict(features)) == len(features)


def test_a_remote_model_is_fetched_once_and_checked_every_time(
    tracker: Tracker, instance: Instance, record: Callable[..., Version], features: pd.DataFrame
) -> None:
    version = record(instance, tracker.start_batch(BATCH))
    remote = replace(version, path=(tracker.root / version.path).as_uri())
    expected = load_version(version, tracker.usecase, tracker.root).predict(features)
    np.testing.assert_array_equal(load_version(remote, tracker.usecase, tracker.root).predict(features), expected)
    [kept] = (tracker.root / ".datadriver" / "models").iterdir()
    gone = replace(remote, path="file:///nowhere")
    np.testing.assert_array_equal(load_version(gone, tracker.usecase, tracker.root).predict(features), expected)
    kept.write_bytes(kept.read_bytes() + b"x")
    with pytest.raises(UntrustedModelError, match="was changed after it was recorded"):
        load_version(gone, tracker.usecase, tracker.root)


def test_a_result_that_an_interrupted_run_registered_is_taken_over(
    tracker: Tracker, instance: Instance, record: Callable[..., Version]
) -> None:
    parent = tracker.start_batch(BATCH)
    first = record(instance, parent)
    again = record(instance, parent)
    assert (again.version, again.run_id) == (1, first.run_id)
    other = record(instance, parent, result_key="b" * 64)
    assert other.version == 2
    tracker.client.set_terminated(other.run_id, "KILLED")
    redone = record(instance, parent, result_key="b" * 64)
    assert redone.run_id != other.run_id
    assert tracker.client.get_model_version_by_alias("pumps.P-101.load", "challenger").run_id == redone.run_id


def test_aliases_say_who_is_champion_and_who_challenges(
    tracker: Tracker, instance: Instance, record: Callable[..., Version]
) -> None:
    parent = tracker.start_batch(BATCH)
    first = record(instance, parent)
    assert not tracker.champions()
    tracker.set_champions({first.key: 1})
    second = record(instance, parent, result_key="b" * 64)
    assert tracker.champions() == {"pumps.P-101.load": 1}
    assert tracker.client.get_registered_model("pumps.P-101.load").aliases == {"champion": 1, "challenger": 2}
    tracker.set_champions({second.key: 2})
    assert tracker.client.get_registered_model("pumps.P-101.load").aliases == {"champion": 2}
    tracker.set_champions({second.key: None})
    assert not tracker.champions()


def test_runs_that_a_killed_batch_left_running_become_killed(tracker: Tracker) -> None:
    dead, alive = tracker.start_batch(BATCH), tracker.start_batch(replace(BATCH, id="b2"))
    assert tracker.discard_unfinished({"b1"}) == 1
    assert tracker.client.get_run(dead).info.status == "KILLED"
    assert tracker.client.get_run(alive).info.status == "RUNNING"
    assert tracker.discard_unfinished({"b1"}) == 0


def test_a_parent_run_ends_with_the_figures_of_its_batch(tracker: Tracker) -> None:
    run_id = tracker.start_batch(BATCH)
    tracker.finish_batch(run_id, metrics={"instances.trained": 3, "failure[horizon=1d].brier": 0.1, "r2": float("nan")})
    run = tracker.client.get_run(run_id)
    assert run.info.run_name == "train 2026-01-05 03:00:00"
    assert run.data.metrics == {"instances.trained": 3, "failure.horizon.1d..brier": 0.1}
    failed = tracker.start_batch(BATCH)
    tracker.finish_batch(failed, failed=True)
    assert tracker.client.get_run(failed).info.status == "FAILED"


@pytest.mark.parametrize("unit", ["15/9-F-1 C", "country=NO,type=ESP", "fleet", "Ø:1'", "a.b"])
def test_units_as_plants_name_them_are_registered_and_found_again(
    tracker: Tracker,
    usecase: UseCase,
    make_instance: Callable[..., Instance],
    record: Callable[..., Version],
    unit: str,
) -> None:
    version = record(make_instance(usecase, unit), tracker.start_batch(BATCH))
    tracker.set_champions({version.key: 1})
    assert tracker.champions() == {registered_name("pumps", version.key): 1}


def test_different_instances_have_different_names() -> None:
    keys = [Key("a.b", "c"), Key("a", "b.c"), Key("a", "c"), Key("a b", "c"), Key("a-b", "c")]
    assert len({registered_name("pumps", key) for key in keys}) == len(keys)


def test_more_parameters_than_one_request_carries_and_long_ones_are_kept(
    tracker: Tracker, instance: Instance, record: Callable[..., Version]
) -> None:
    params = {f"weight {number}": number for number in range(150)} | {"text": "x" * 9000}
    run = tracker.client.get_run(record(instance, tracker.start_batch(BATCH), params=params).run_id)
    assert run.data.params["weight 149"] == "149"
    assert len(run.data.params["text"]) == 5000


def test_a_new_store_is_made_without_a_word(
    tmp_path: Path, usecase: UseCase, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        tracker = Tracker.open(usecase, tmp_path)
        tracker.finish_batch(tracker.start_batch(BATCH))
    assert capfd.readouterr() == ("", "")
    assert not caplog.records
    assert (tmp_path / ".datadriver" / "mlflow.db").exists()


def test_an_experiment_that_was_deleted_in_mlflow_says_how_to_get_it_back(
    tracker: Tracker, usecase: UseCase, root: Path
) -> None:
    tracker.client.delete_experiment(tracker.experiment_id)
    with pytest.raises(ConfigError, match="mlflow experiments restore --experiment-id"):
        Tracker.open(usecase, root)
