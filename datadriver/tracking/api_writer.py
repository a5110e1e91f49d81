"""Writes trainings through the public MLflow client, one by one: for tracking servers, and stores of another schema."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, LoggedModel, LoggedModelOutput, Metric, Param, Run
from mlflow.exceptions import MlflowException

from datadriver.tracking import registry
from datadriver.tracking.model_files import adopt_mlmodel
from datadriver.tracking.names import logged_name
from datadriver.tracking.run_content import DATA_TAG, write_files
from datadriver.tracking.writer import BATCH, CHALLENGER, RESULT_KEY, Entry, Figure, Origin, Registered

_REQUEST_LIMIT = 100  # parameters that one request may carry
_MOST_FIGURES = 1000  # and so many metrics
_DELETED = {"INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST"}


class ApiWriter:
    """A `Writer` that any tracking store takes."""

    in_bulk: ClassVar[bool] = False

    def __init__(self, client: MlflowClient, experiment_id: str) -> None:
        self._client = client
        self._experiment_id = experiment_id

    def record(self, origin: Origin, entries: Sequence[Entry]) -> list[Registered]:
        """See `Writer`."""
        registered = [self.write(origin, entry) for entry in entries]
        for one in registered:
            self._client.set_registered_model_alias(one.name, CHALLENGER, str(one.number))
        return registered

    def write(
        self,
        origin: Origin,
        entry: Entry,
        *,
        number: int | None = None,
        at: int | None = None,
        again: bool = False,
    ) -> Registered:
        """Make of one training a run, a logged model and a registered version.

        A finished version of the same result is taken over. What an earlier try left half done is taken up again: every
        step looks for what it would make, so that a writer which was killed between any two requests loses nothing and
        makes nothing twice.

        Args:
            origin: Its batch.
            entry: What to write; its directory is changed.
            number: The version that it is to become; if others have taken that number, it becomes the next free one.
            at: When the training ended, in milliseconds since 1970; must be the same at every try. Default: now.
            again: Whether an earlier try may have left something.
        """
        at = int(time.time() * 1000) if at is None else at
        found = registry.finished_version(self._client, entry.name, entry.result_key, entry.files.sha256)
        if found is None:
            left = self._left(origin, entry) if again else None
            run_id, model = self._run(origin, entry, at, left)
            found = registry.register(self._client, entry, run_id=run_id, model=model, number=number, again=bool(left))
            self._client.set_terminated(run_id, end_time=at)
        return Registered(entry.name, int(found.version), found.run_id or "", found.source or "")

    def set_champions(self, versions: Mapping[str, int | None]) -> None:
        """See `Writer`."""
        for name, version in versions.items():
            registry.set_champion(self._client, name, version)

    def tag_versions(self, tags: Mapping[tuple[str, int], Mapping[str, str]]) -> set[tuple[str, int]]:
        """See `Writer`."""
        return {version for version, texts in tags.items() if registry.tag_version(self._client, *version, texts)}

    def add_figures(self, figures: Mapping[str, Sequence[Figure]]) -> frozenset[str]:
        """See `Writer`."""
        return frozenset(run_id for run_id, found in figures.items() if self._add(run_id, found))

    def discard_unfinished(self, batches: Collection[str]) -> None:
        """Nothing to do: whatever has artefacts has a run, which becomes KILLED."""

    def finish(self) -> None:
        """Nothing to do: how the store finds things again is the server's affair."""

    def _left(self, origin: Origin, entry: Entry) -> Run | None:
        """Find the run that an earlier try started; of several, which a lost answer can bring about, one stays."""
        same = f"tags.`{RESULT_KEY}` = '{entry.result_key}' AND tags.`{BATCH}` = '{origin.batch}'"
        wanted = entry.model_tags
        found = [
            run
            for run in self._client.search_runs([self._experiment_id], same)
            if all(run.data.tags.get(name) == value for name, value in wanted.items())
        ]
        versions = {version.run_id for version in registry.versions_of(self._client, entry)}
        found.sort(key=lambda run: (run.info.run_id not in versions, run.info.run_id))
        for run in found[1:]:
            for model in self._models(run):
                self._client.delete_logged_model(model.model_id)
            self._client.delete_run(run.info.run_id)
        return found[0] if found else None

    def _models(self, run: Run) -> Sequence[LoggedModel]:
        condition = f"source_run_id = '{run.info.run_id}'"
        return list(self._client.search_logged_models([self._experiment_id], condition))

    def _add(self, run_id: str, figures: Sequence[Figure]) -> bool:
        metrics = [Metric(*figure) for figure in figures]
        try:
            for start in range(0, len(metrics), _MOST_FIGURES):
                self._client.log_batch(run_id, metrics[start : start + _MOST_FIGURES])
        except MlflowException as error:
            if error.error_code not in _DELETED or self._exists(run_id):
                raise
            return False
        return True

    def _exists(self, run_id: str) -> bool:
        try:
            return bool(self._client.get_run(run_id).info.lifecycle_stage == "active")
        except MlflowException:
            return False

    def _run(self, origin: Origin, entry: Entry, at: int, left: Run | None) -> tuple[str, LoggedModel]:
        """Write the run with its logged model; it stays RUNNING until its version is registered."""
        client, content = self._client, entry.content
        if left is None:
            tags = {**content.tags, "mlflow.parentRunId": origin.parent, BATCH: origin.batch}
            start = at - round(entry.seconds * 1000)
            left = client.create_run(self._experiment_id, start, tags=tags, run_name=str(entry.key))
            models: Sequence[LoggedModel] = ()
        else:
            models = self._models(left)
        run_id = str(left.info.run_id)
        model = self._model(entry, run_id, models[0] if models else None)
        log(client, run_id, content.metrics, content.params, model_id=model.model_id, at=at)
        if not (left.inputs and left.inputs.dataset_inputs):
            client.log_inputs(run_id, [DatasetInput(Dataset(**content.data), [InputTag(*DATA_TAG)])])
        if not (left.outputs and left.outputs.model_outputs):
            client.log_outputs(run_id, [LoggedModelOutput(model.model_id, step=0)])
        self._log_files(run_id, content.files)
        return run_id, model

    def _model(self, entry: Entry, run_id: str, left: LoggedModel | None) -> LoggedModel:
        """Make the logged model, with its files; one that is READY has them all."""
        client = self._client
        model = left or client.create_logged_model(
            self._experiment_id,
            name=logged_name(entry.key),
            source_run_id=run_id,
            tags=entry.model_tags,
            params=dict(entry.content.params),
            model_type=entry.role,
        )
        if str(model.status) != "READY":
            adopt_mlmodel(entry.files.path, model_id=model.model_id, run_id=run_id, location=model.artifact_location)
            client.log_model_artifacts(model.model_id, str(entry.files.path))
            client.finalize_logged_model(model.model_id, "READY")
        return model

    def _log_files(self, run_id: str, files: Mapping[str, bytes]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            write_files(Path(folder), files)
            self._client.log_artifacts(run_id, folder)


def log(  # noqa: PLR0913 - what one request carries
    client: MlflowClient,
    run_id: str,
    metrics: Mapping[str, float],
    params: Mapping[str, str] | None = None,
    *,
    model_id: str | None = None,
    at: int | None = None,
) -> None:
    """Log metrics and parameters in as few requests as their number allows; the same with the same time stays once."""
    at = int(time.time() * 1000) if at is None else at
    measured = [Metric(name, value, at, 0, model_id=model_id) for name, value in metrics.items()]
    given = [Param(name, value) for name, value in (params or {}).items()]
    for start in range(0, max(len(given), 1), _REQUEST_LIMIT):
        client.log_batch(run_id, measured if start == 0 else (), given[start : start + _REQUEST_LIMIT])
