"""Writes trainings through the public MLflow client, one by one: for tracking servers, and stores of another schema."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, LoggedModel, LoggedModelOutput, Metric, Param

from datadriver.tracking import registry
from datadriver.tracking.model_files import adopt_mlmodel
from datadriver.tracking.names import logged_name
from datadriver.tracking.run_content import DATA_TAG, write_files
from datadriver.tracking.writer import BATCH, CHALLENGER, Entry, Origin, Registered

_REQUEST_LIMIT = 100  # parameters that one request may carry


class ApiWriter:
    """A `Writer` that any tracking store takes."""

    def __init__(self, client: MlflowClient, experiment_id: str) -> None:
        self._client = client
        self._experiment_id = experiment_id

    def record(self, origin: Origin, entries: Sequence[Entry]) -> list[Registered]:
        """See `Writer`."""
        return [self._record(origin, entry) for entry in entries]

    def set_champions(self, versions: Mapping[str, int | None]) -> None:
        """See `Writer`."""
        for name, version in versions.items():
            registry.set_champion(self._client, name, version)

    def discard_unfinished(self, batches: Collection[str]) -> None:
        """Nothing to do: whatever has artefacts has a run, which becomes KILLED."""

    def finish(self) -> None:
        """Nothing to do: how the store finds things again is the server's affair."""

    def _record(self, origin: Origin, entry: Entry) -> Registered:
        found = registry.finished_version(self._client, entry.name, entry.result.result_key, entry.files.sha256)
        if found is None:
            run_id, model = self._run(origin, entry)
            found = registry.register(self._client, entry, run_id=run_id, model=model)
            self._client.set_terminated(run_id)
        self._client.set_registered_model_alias(entry.name, CHALLENGER, str(found.version))
        return Registered(entry.name, int(found.version), found.run_id or "", found.source or "")

    def _run(self, origin: Origin, entry: Entry) -> tuple[str, LoggedModel]:
        """Write the run with its logged model; it stays RUNNING until its version is registered."""
        client, content = self._client, entry.content
        tags = {**content.tags, "mlflow.parentRunId": origin.parent, BATCH: origin.batch}
        run_id = str(client.create_run(self._experiment_id, tags=tags, run_name=str(entry.key)).info.run_id)
        model = client.create_logged_model(
            self._experiment_id,
            name=logged_name(entry.key),
            source_run_id=run_id,
            tags=entry.model_tags,
            params=dict(content.params),
            model_type=entry.result.role,
        )
        adopt_mlmodel(entry.files.path, model_id=model.model_id, run_id=run_id, location=model.artifact_location)
        client.log_model_artifacts(model.model_id, str(entry.files.path))
        client.finalize_logged_model(model.model_id, "READY")
        log(client, run_id, content.metrics, content.params, model_id=model.model_id)
        client.log_inputs(run_id, [DatasetInput(Dataset(**content.data), [InputTag(*DATA_TAG)])])
        client.log_outputs(run_id, [LoggedModelOutput(model.model_id, step=0)])
        self._log_files(run_id, content.files)
        return run_id, model

    def _log_files(self, run_id: str, files: Mapping[str, bytes]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            write_files(Path(folder), files)
            self._client.log_artifacts(run_id, folder)


def log(
    client: MlflowClient,
    run_id: str,
    metrics: Mapping[str, float],
    params: Mapping[str, str] | None = None,
    *,
    model_id: str | None = None,
) -> None:
    """Log metrics and parameters in as few requests as their number allows."""
    at = int(time.time() * 1000)
    measured = [Metric(name, value, at, 0, model_id=model_id) for name, value in metrics.items()]
    given = [Param(name, value) for name, value in (params or {}).items()]
    for start in range(0, max(len(given), 1), _REQUEST_LIMIT):
        client.log_batch(run_id, measured if start == 0 else (), given[start : start + _REQUEST_LIMIT])
