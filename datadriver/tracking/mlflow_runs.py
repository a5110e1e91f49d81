"""MLflow as the place where people look: runs, metrics, models and aliases, through the public client."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from datadriver import failpoints
from datadriver.config.fleet import Instance
from datadriver.config.sections import UseCase
from datadriver.errors import ConfigError
from datadriver.tracking import registry
from datadriver.tracking.liveness import milliseconds
from datadriver.tracking.model_files import ModelFiles
from datadriver.tracking.names import kept_path, registered_name
from datadriver.tracking.records import Batch, Key, VerdictRecord, Version
from datadriver.tracking.run_content import finite
from datadriver.tracking.writer import BATCH, Origin, Trained, Writer, entry, version_of

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment

    from datadriver.training.results import TrainResult

_PAGE = 1000
_ENDS = {"done": "FINISHED", "failed": "FAILED", "killed": "KILLED"}


class Tracker:
    """The experiment of one use case in an MLflow tracking store."""

    mirrors = True
    """Whether MLflow follows the ledger at once; `Behind` is who lets it follow later."""

    def __init__(  # noqa: PLR0913 - the parts of a store
        self, client: MlflowClient, experiment_id: str, usecase: UseCase, root: Path, uri: str, *, writer: Writer
    ) -> None:
        self.client = client
        self.writer = writer
        self.experiment_id = experiment_id
        self.usecase = usecase
        self.root = root
        self.uri = uri
        self._batches: dict[str, str] = {}  # batch id by parent run

    @classmethod
    def open(cls, usecase: UseCase, root: Path, *, bulk: bool = True) -> Tracker:
        """Reach the store of `usecase.tracking`, creating the database and the experiment if need be.

        Args:
            usecase: Names the experiment, too.
            root: Its folder.
            bulk: Write many trainings at once where the store is a database that can be written so.

        Raises:
            ConfigError: the URI is none of a tracking store, or the experiment was deleted.
            UnavailableError: the store does not answer within seconds.
        """
        from datadriver.tracking import mlflow_store  # noqa: PLC0415 - importing MLflow takes 2 s
        from datadriver.tracking.api_writer import ApiWriter  # noqa: PLC0415 - as above
        from datadriver.tracking.bulk_writer import BulkWriter  # noqa: PLC0415 - as above

        uri = mlflow_store.store_uri(usecase.tracking, root)
        client = mlflow_store.connect(usecase.tracking, root)
        with mlflow_store.answering(uri):
            experiment = _experiment(client, usecase, mlflow_store.artifact_location(usecase.tracking, root))
            number = str(experiment.experiment_id)
            writer = BulkWriter.open(uri, number, experiment.artifact_location) if bulk else None
        return cls(client, number, usecase, root, uri, writer=writer or ApiWriter(client, number))

    @property
    def in_bulk(self) -> bool:
        """Whether a training costs milliseconds; else it is written behind the run (`Behind`)."""
        return self.writer.in_bulk

    def start_batch(self, batch: Batch) -> str:
        """Start the parent run of a training batch and return its run id."""
        name = f"{batch.command} {batch.started_at[:19].replace('T', ' ')}"
        with self.asking():
            run = self.client.create_run(
                self.experiment_id, milliseconds(batch.started_at), tags=_batch_tags(batch), run_name=name
            )
        self._batches[run.info.run_id] = batch.id
        failpoints.reach("parent-started")
        return str(run.info.run_id)

    def finish_batch(self, run_id: str, *, metrics: Mapping[str, float] | None = None, failed: bool = False) -> None:
        """End a parent run, with pooled metrics and counts."""
        from datadriver.tracking.api_writer import log  # noqa: PLC0415 - as above

        with self.asking():
            log(self.client, run_id, finite(metrics or {}))
            self.client.set_terminated(run_id, "FAILED" if failed else "FINISHED")
            failpoints.reach("parent-finished")
            self.writer.finish()

    def parent_of(self, batch: Batch) -> str:
        """Return the parent run of a batch; start it where there is none."""
        with self.asking():
            found = self.client.search_runs([self.experiment_id], f"tags.`{BATCH}` = '{batch.id}'", max_results=_PAGE)
        parents = [str(run.info.run_id) for run in found if "mlflow.parentRunId" not in run.data.tags]
        return parents[0] if parents else self.start_batch(batch)

    def end_parent(self, run_id: str, batch: Batch, metrics: Mapping[str, float]) -> None:
        """End the parent run of a batch the way the batch ended; the same again changes nothing."""
        from datadriver.tracking.api_writer import log  # noqa: PLC0415 - as above

        at = milliseconds(batch.finished_at or batch.alive_at)
        with self.asking():
            if self.client.get_run(run_id).info.lifecycle_stage == "active":  # or somebody deleted it
                log(self.client, run_id, finite(metrics), at=at)
                self.client.set_terminated(run_id, _ENDS[batch.state], at)

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
        """Record one training; see `record_all`."""
        trained = Trained(instance, result, files, verdicts)
        [version] = self.record_all(parent, [trained], code_digest=code_digest, code_revision=code_revision)
        return version

    def record_all(
        self, parent: str, trained: Sequence[Trained], *, code_digest: str, code_revision: str | None = None
    ) -> tuple[Version, ...]:
        """Record trainings, each as run, logged model and registered version with alias `challenger`.

        The returned versions are for the ledger. A version of the same result that an earlier run registered, and was
        then killed before the ledger knew of it, is taken over instead of made again. The directories of the model
        files may be moved away.
        """
        with self.asking():
            origin = Origin(parent, self._batch_of(parent), code_digest, code_revision)
            entries = [entry(self.usecase.name, origin, one) for one in trained]
            found = self.writer.record(origin, entries)
        failpoints.reach("rows-written")
        return tuple(
            version_of(one, made, kept_path(made.source, self.root)) for one, made in zip(trained, found, strict=True)
        )

    def set_champions(self, versions: Mapping[Key, int | None]) -> None:
        """Point the alias `champion` of each instance to its version, or remove it."""
        with self.asking():
            self.writer.set_champions(
                {registered_name(self.usecase.name, key): version for key, version in versions.items()}
            )

    def tag_versions(self, tags: Mapping[tuple[Key, int], Mapping[str, str]]) -> set[tuple[Key, int]]:
        """Set tags of registered versions; returns the versions that the store has: it may be behind the ledger."""
        named = {(registered_name(self.usecase.name, key), number): (key, number) for key, number in tags}
        with self.asking():
            found = self.writer.tag_versions({name: tags[version] for name, version in named.items()})
        return {named[name] for name in found}

    def point(self, name: str, aliases: Mapping[str, int | None]) -> None:
        """Point aliases of a registered model to versions, or remove them."""
        with self.asking():
            registry.point(self.client, name, aliases)

    def champions(self) -> Mapping[str, int]:
        """Version by registered model name, for all aliases `champion` of this use case."""
        with self.asking():
            return registry.champions(self.client, f"{self.usecase.name}.")

    def discard_unfinished(self, batches: Collection[str]) -> int:
        """Set runs that dead batches left RUNNING to KILLED, and remove files that they wrote and did not record.

        Returns how many runs there were.
        """
        dead, token = [], None
        if not batches:
            return 0
        with self.asking():
            self.writer.discard_unfinished(batches)
            while True:
                page = self.client.search_runs(
                    [self.experiment_id], "attributes.status = 'RUNNING'", max_results=_PAGE, page_token=token
                )
                dead += [run.info.run_id for run in page if run.data.tags.get(BATCH) in batches]
                token = page.token
                if not token:
                    break
            for run_id in dead:
                self.client.set_terminated(run_id, "KILLED")
        return len(dead)

    def _batch_of(self, parent: str) -> str:
        if parent not in self._batches:
            self._batches[parent] = self.client.get_run(parent).data.tags[BATCH]
        return self._batches[parent]

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Turn failures of the store into words while it is asked directly."""
        from datadriver.tracking.mlflow_store import answering  # noqa: PLC0415 - as above

        with answering(self.uri):
            yield


def _batch_tags(batch: Batch) -> dict[str, str]:
    return {
        BATCH: batch.id,
        "datadriver.command": batch.command,
        "datadriver.host": batch.host,
        "mlflow.user": batch.user,
        "mlflow.source.name": f"datadriver {batch.command}",
        "mlflow.source.type": "PROJECT",
        **({"mlflow.source.git.commit": batch.code_revision} if batch.code_revision else {}),
    }


def _experiment(client: MlflowClient, usecase: UseCase, location: str | None) -> Experiment:
    from mlflow.exceptions import MlflowException  # noqa: PLC0415 - as above

    found = client.get_experiment_by_name(usecase.name)
    if found is None:
        try:
            tags = {"mlflow.note.content": usecase.description or f"Models of the use case {usecase.name}"}
            made = client.create_experiment(usecase.name, artifact_location=location, tags=tags)
            found = client.get_experiment(made)
        except MlflowException as error:  # another process was faster
            found = client.get_experiment_by_name(usecase.name)
            if found is None:
                raise error
    if found.lifecycle_stage != "active":
        raise ConfigError(
            f"the experiment {usecase.name!r} was deleted in MLflow: "
            f"`mlflow experiments restore --experiment-id {found.experiment_id}` brings it back"
        )
    return found
