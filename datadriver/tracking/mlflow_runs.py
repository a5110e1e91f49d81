"""MLflow as the place where people look: runs, metrics, models and aliases, through the public client."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlparse
from urllib.request import url2pathname

from datadriver.config.fleet import Instance
from datadriver.config.sections import UseCase
from datadriver.errors import ConfigError
from datadriver.tracking import registry
from datadriver.tracking.liveness import now
from datadriver.tracking.model_files import ModelFiles, adopt_mlmodel
from datadriver.tracking.names import logged_name, registered_name
from datadriver.tracking.records import Batch, Key, VerdictRecord, Version, plain
from datadriver.tracking.run_content import RunContent, finite, run_content, window_text

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel
    from mlflow.entities.model_registry import ModelVersion

    from datadriver.training.results import TrainResult

_PAGE = 1000
_REQUEST_LIMIT = 100  # parameters that one request may carry


class Tracker:
    """The experiment of one use case in an MLflow tracking store."""

    def __init__(self, client: MlflowClient, experiment_id: str, usecase: UseCase, root: Path, uri: str) -> None:
        self.client = client
        self.experiment_id = experiment_id
        self.usecase = usecase
        self.root = root
        self.uri = uri
        self._batches: dict[str, str] = {}  # batch id by parent run

    @classmethod
    def open(cls, usecase: UseCase, root: Path) -> Tracker:
        """Reach the store of `usecase.tracking`, creating the database and the experiment if need be.

        Raises:
            ConfigError: the URI is none of a tracking store, or the experiment was deleted.
            UnavailableError: the store does not answer within seconds.
        """
        from datadriver.tracking import mlflow_store  # noqa: PLC0415 - importing MLflow takes 2 s

        uri = mlflow_store.store_uri(usecase.tracking, root)
        client = mlflow_store.connect(usecase.tracking, root)
        with mlflow_store.answering(uri):
            experiment_id = _experiment(client, usecase, mlflow_store.artifact_location(usecase.tracking, root))
        return cls(client, experiment_id, usecase, root, uri)

    def start_batch(self, batch: Batch) -> str:
        """Start the parent run of a training batch and return its run id."""
        tags = {
            "datadriver.batch": batch.id,
            "datadriver.command": batch.command,
            "datadriver.host": batch.host,
            "mlflow.user": batch.user,
            "mlflow.source.name": f"datadriver {batch.command}",
            "mlflow.source.type": "PROJECT",
            **({"mlflow.source.git.commit": batch.code_revision} if batch.code_revision else {}),
        }
        name = f"{batch.command} {batch.started_at[:19].replace('T', ' ')}"
        with self._asking():
            run = self.client.create_run(self.experiment_id, tags=tags, run_name=name)
        self._batches[run.info.run_id] = batch.id
        return str(run.info.run_id)

    def finish_batch(self, run_id: str, *, metrics: Mapping[str, float] | None = None, failed: bool = False) -> None:
        """End a parent run, with pooled metrics and counts."""
        with self._asking():
            self._log(run_id, finite(metrics or {}))
            self.client.set_terminated(run_id, "FAILED" if failed else "FINISHED")

    def record(  # noqa: PLR0913 - all that is known of one training
        self,
        parent: str,
        instance: Instance,
        result: TrainResult,
        files: ModelFiles,
        *,
        code_digest: str,
        verdicts: Sequence[VerdictRecord] = (),
        code_revision: str | None = None,
    ) -> Version:
        """Record one training: run, logged model, registered version with alias `challenger`.

        `result.estimator` is not needed (a worker may have written `files`). The returned version is for
        `Ledger.record_result`. A version of the same result that an earlier run registered, and was then killed
        before the ledger knew of it, is taken over instead of made again.
        """
        key = Key(instance.unit.key, instance.model)
        name = registered_name(self.usecase.name, key)
        with self._asking():
            found = registry.finished_version(self.client, name, result.result_key, files.sha256)
            if found is None:
                content = run_content(
                    instance, result, code_digest=code_digest, code_revision=code_revision, verdicts=verdicts
                )
                run_id, model = self._run(parent, key, result, files, content)
                found = registry.register(
                    self.client,
                    name,
                    run_id=run_id,
                    model=model,
                    tags={**_model_tags(content), "datadriver.sha256": files.sha256},
                    description=result.decision.reason,
                )
                self.client.set_terminated(run_id)
            self.client.set_registered_model_alias(name, "challenger", str(found.version))
        return self._version(key, found, result, files)

    def set_champions(self, versions: Mapping[Key, int | None]) -> None:
        """Point the alias `champion` of each instance to its version, or remove it."""
        with self._asking():
            for key, version in versions.items():
                registry.set_champion(self.client, registered_name(self.usecase.name, key), version)

    def champions(self) -> Mapping[str, int]:
        """Version by registered model name, for all aliases `champion` of this use case."""
        with self._asking():
            return registry.champions(self.client, f"{self.usecase.name}.")

    def discard_unfinished(self, batches: Collection[str]) -> int:
        """Set runs that dead batches left RUNNING to KILLED; returns how many there were."""
        dead, token = [], None
        if not batches:
            return 0
        with self._asking():
            while True:
                page = self.client.search_runs(
                    [self.experiment_id], "attributes.status = 'RUNNING'", max_results=_PAGE, page_token=token
                )
                dead += [run.info.run_id for run in page if run.data.tags.get("datadriver.batch") in batches]
                token = page.token
                if not token:
                    break
            for run_id in dead:
                self.client.set_terminated(run_id, "KILLED")
        return len(dead)

    def _run(
        self, parent: str, key: Key, result: TrainResult, files: ModelFiles, content: RunContent
    ) -> tuple[str, LoggedModel]:
        """Write the run with its logged model; it stays RUNNING until its version is registered."""
        tags = {**content.tags, "mlflow.parentRunId": parent, "datadriver.batch": self._batch_of(parent)}
        run_id = str(self.client.create_run(self.experiment_id, tags=tags, run_name=str(key)).info.run_id)
        model = self.client.create_logged_model(
            self.experiment_id,
            name=logged_name(key),
            source_run_id=run_id,
            tags=_model_tags(content),
            params=dict(content.params),
            model_type=result.role,
        )
        adopt_mlmodel(files.path, model_id=model.model_id, run_id=run_id, location=model.artifact_location)
        self.client.log_model_artifacts(model.model_id, str(files.path))
        self.client.finalize_logged_model(model.model_id, "READY")
        self._log(run_id, content.metrics, content.params, model_id=model.model_id)
        self._log_lineage(run_id, model.model_id, key, result)
        self._log_files(run_id, content.files)
        return run_id, model

    def _log(
        self,
        run_id: str,
        metrics: Mapping[str, float],
        params: Mapping[str, str] | None = None,
        *,
        model_id: str | None = None,
    ) -> None:
        from mlflow.entities import Metric, Param  # noqa: PLC0415 - loaded with the client, not before

        at = int(time.time() * 1000)
        measured = [Metric(name, value, at, 0, model_id=model_id) for name, value in metrics.items()]
        given = [Param(name, value) for name, value in (params or {}).items()]
        for start in range(0, max(len(given), 1), _REQUEST_LIMIT):
            self.client.log_batch(run_id, measured if start == 0 else (), given[start : start + _REQUEST_LIMIT])

    def _log_lineage(self, run_id: str, model_id: str, key: Key, result: TrainResult) -> None:
        """Say which data went into the run and which model came out of it."""
        from mlflow.entities import Dataset, DatasetInput, InputTag, LoggedModelOutput  # noqa: PLC0415 - as above

        source = {"datadriver.unit": key.unit, **window_text("train", result.train_window)}
        frame = Dataset(
            name=key.unit[:500],
            digest=result.frame_digest[:36],
            source_type="code",
            source=json.dumps({"tags": source}),
            profile=json.dumps(plain(result.rows)),
        )
        self.client.log_inputs(run_id, [DatasetInput(frame, [InputTag("mlflow.data.context", "training")])])
        self.client.log_outputs(run_id, [LoggedModelOutput(model_id, step=0)])

    def _log_files(self, run_id: str, files: Mapping[str, bytes]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            for name, content in files.items():
                path = Path(folder, name)
                path.parent.mkdir(exist_ok=True)
                path.write_bytes(content)
            self.client.log_artifacts(run_id, folder)

    def _batch_of(self, parent: str) -> str:
        if parent not in self._batches:
            self._batches[parent] = self.client.get_run(parent).data.tags["datadriver.batch"]
        return self._batches[parent]

    def _version(self, key: Key, found: ModelVersion, result: TrainResult, files: ModelFiles) -> Version:
        number = int(found.version)
        return Version(
            unit=key.unit,
            model=key.model,
            version=number,
            run_id=found.run_id or "",
            model_uri=f"models:/{found.name}/{number}",
            path=self._path(found.source or ""),
            sha256=files.sha256,
            result_key=result.result_key,
            role=result.role,
            method=result.method,
            metrics=plain(result.metrics),
            seen=result.seen.to_json(),
            threshold=plain(result.threshold),
            decision=plain(result.decision),
            created_at=now(),
        )

    def _path(self, location: str) -> str:
        """Where the model lies: relative to the use case if below it, so that the use case can be moved."""
        if location.startswith("file:"):
            location = url2pathname(urlparse(location).path)
        elif ":/" in location:
            return location
        path, root = Path(location), self.root.absolute()
        return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)

    @contextmanager
    def _asking(self) -> Iterator[None]:
        from datadriver.tracking.mlflow_store import answering  # noqa: PLC0415 - as above

        with answering(self.uri):
            yield


def _model_tags(content: RunContent) -> dict[str, str]:
    return {name: content.tags[name] for name in ("datadriver.unit", "datadriver.model", "datadriver.result_key")}


def _experiment(client: MlflowClient, usecase: UseCase, location: str | None) -> str:
    from mlflow.exceptions import MlflowException  # noqa: PLC0415 - as above

    found = client.get_experiment_by_name(usecase.name)
    if found is None:
        try:
            tags = {"mlflow.note.content": usecase.description or f"Models of the use case {usecase.name}"}
            return str(client.create_experiment(usecase.name, artifact_location=location, tags=tags))
        except MlflowException as error:  # another process was faster
            found = client.get_experiment_by_name(usecase.name)
            if found is None:
                raise error
    if found.lifecycle_stage != "active":
        raise ConfigError(
            f"the experiment {usecase.name!r} was deleted in MLflow: "
            f"`mlflow experiments restore --experiment-id {found.experiment_id}` brings it back"
        )
    return str(found.experiment_id)
