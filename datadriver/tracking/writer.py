"""Who writes trainings into a tracking store: one Protocol, two writers (`api_writer`, `bulk_writer`)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple, Protocol

from datadriver.config.fleet import Instance
from datadriver.tracking.liveness import now
from datadriver.tracking.model_files import ModelFiles
from datadriver.tracking.names import model_uri, registered_name
from datadriver.tracking.records import Key, VerdictRecord, Version, plain
from datadriver.tracking.run_content import RunContent, run_content

if TYPE_CHECKING:
    from datadriver.training.results import TrainResult


@dataclass(frozen=True)
class Trained:
    """One training that waits to be recorded; `result.estimator` is not needed, it is in `files`."""

    instance: Instance
    result: TrainResult
    files: ModelFiles
    verdicts: Sequence[VerdictRecord] = ()


@dataclass(frozen=True)
class Origin:
    """What all trainings of a batch have in common: its parent run, its id in the ledger, the code."""

    parent: str
    batch: str
    code_digest: str
    code_revision: str | None = None


@dataclass(frozen=True)
class Entry:
    """One training as MLflow will show it: `name` is that of the registered model."""

    key: Key
    name: str
    role: str
    result_key: str
    seconds: float
    files: ModelFiles
    content: RunContent

    @property
    def model_tags(self) -> dict[str, str]:
        """Tags of the logged model."""
        return {name: self.content.tags[name] for name in (*INSTANCE_TAGS, RESULT_KEY)}

    @property
    def version_tags(self) -> dict[str, str]:
        """Tags of the registered version: from them a version of the same result is known again."""
        return {**self.model_tags, SHA256: self.files.sha256}

    @property
    def instance_tags(self) -> dict[str, str]:
        """Tags of the registered model."""
        return {name: self.content.tags[name] for name in INSTANCE_TAGS}


INSTANCE_TAGS = ("datadriver.unit", "datadriver.model")
RESULT_KEY = "datadriver.result_key"
SHA256 = "datadriver.sha256"
BATCH = "datadriver.batch"
CHAMPION, CHALLENGER = "champion", "challenger"


def entry(usecase: str, origin: Origin, trained: Trained) -> Entry:
    """Lay out one training for MLflow."""
    instance, result = trained.instance, trained.result
    key = Key(instance.unit.key, instance.model)
    content = run_content(
        instance,
        result,
        code_digest=origin.code_digest,
        code_revision=origin.code_revision,
        verdicts=trained.verdicts,
    )
    name = registered_name(usecase, key)
    return Entry(key, name, result.role, result.result_key, result.seconds, trained.files, content)


@dataclass(frozen=True)
class Registered:
    """Version `number` of the registered model `name`; `source` is where its model directory is."""

    name: str
    number: int
    run_id: str
    source: str


def version_of(trained: Trained, registered: Registered, path: str) -> Version:
    """Return what the ledger keeps of a training that was registered and whose model directory is at `path`."""
    instance, result = trained.instance, trained.result
    return Version(
        unit=instance.unit.key,
        model=instance.model,
        version=registered.number,
        run_id=registered.run_id,
        model_uri=model_uri(registered.name, registered.number),
        path=path,
        sha256=trained.files.sha256,
        result_key=result.result_key,
        role=result.role,
        method=result.method,
        metrics=plain(result.metrics),
        seen=result.seen.to_json(),
        threshold=plain(result.threshold),
        decision={**plain(result.decision), "primary": result.primary},
        created_at=now(),
    )


class Figure(NamedTuple):
    """A finite figure of a run: what it measures, at which step, and when, in milliseconds since 1970."""

    name: str
    value: float
    at: int
    step: int


class Writer(Protocol):
    """Writes into the experiment of one use case; `in_bulk` if a training costs it milliseconds."""

    in_bulk: ClassVar[bool]

    def record(self, origin: Origin, entries: Sequence[Entry]) -> list[Registered]:
        """Make of each training a run, a logged model and a registered version with the alias `challenger`.

        A finished version of the same result key and bytes is taken over instead of made again. The directories
        `entry.files.path` may be moved away.
        """

    def set_champions(self, versions: Mapping[str, int | None]) -> None:
        """Point the alias `champion` to a version, by registered model, or remove it.

        A version that becomes champion is no challenger any more.
        """

    def tag_versions(self, tags: Mapping[tuple[str, int], Mapping[str, str]]) -> set[tuple[str, int]]:
        """Set tags of versions, by registered model and number; returns the versions that the store has."""

    def add_figures(self, figures: Mapping[str, Sequence[Figure]]) -> frozenset[str]:
        """Add figures to runs, by run id, and return the runs that took them: one that was deleted does not.

        What a run has already stays once.
        """

    def discard_unfinished(self, batches: Collection[str]) -> None:
        """Remove artefacts that these batches wrote and did not come to record."""

    def finish(self) -> None:
        """Leave the store fit for being read, at the end of a batch."""
