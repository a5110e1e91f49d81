"""The rows that trainings become in MLflow's tables, as the public client would write them; no database in sight."""

from __future__ import annotations

import hashlib
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from mlflow.entities import LoggedModelStatus
from mlflow.store.tracking.dbmodels import models
from mlflow.utils.uri import append_to_uri_path

from datadriver.tracking.bulk_database import Row
from datadriver.tracking.names import logged_name
from datadriver.tracking.registry import version_link
from datadriver.tracking.run_content import DATA_TAG
from datadriver.tracking.writer import BATCH, Entry, Origin, Registered

NAME_TAG = "mlflow.runName"
PARENT_TAG = "mlflow.parentRunId"
_TIME_DIGITS = 12


def table(model: Any) -> sa.Table:
    """The table of one of MLflow's classes."""
    found: sa.Table = model.__table__
    return found


RUN_TABLES = tuple(
    table(model)
    for model in (
        models.SqlRun,
        models.SqlTag,
        models.SqlParam,
        models.SqlMetric,
        models.SqlLatestMetric,
        models.SqlLoggedModel,
        models.SqlLoggedModelTag,
        models.SqlLoggedModelParam,
        models.SqlLoggedModelMetric,
        models.SqlInput,
        models.SqlInputTag,
    )
)
"""What a run and its logged model consist of, in an order that foreign keys allow."""


@dataclass(frozen=True)
class Place:
    """Ids of a run and its logged model, given before anything is written, and the URIs where their artefacts go."""

    run_id: str
    model_id: str
    run: str
    model: str


def timed_id() -> str:
    """Return an id that nobody has yet and that comes after those that were made before.

    Databases keep rows in the order of their keys: of ids that grow, what is written together lies together. Of random
    ones every row would change a page of its own, and the greater the tables the longer a training would take.
    """
    return f"{time.time_ns() // 1_000_000:0{_TIME_DIGITS}x}{uuid.uuid4().hex[_TIME_DIGITS:]}"


def place(location: str, token: str, number: int) -> Place:
    """Derive the place of one training of a group from the group's token, so that it can be found again without a list.

    Args:
        location: Of the experiment's artefacts.
        token: A `timed_id`, one per group; the ids grow with the time in it and the number.
        number: Position in the group.
    """
    run_id, model_id = (
        token[:_TIME_DIGITS] + f"{number:04x}" + hashlib.sha256(f"{token} {number} {what}".encode()).hexdigest()[:16]
        for what in ("run", "model")
    )
    model_id = f"m-{model_id}"
    return Place(
        run_id,
        model_id,
        run=_below(location, run_id, "artifacts"),
        model=_below(location, "models", model_id, "artifacts"),
    )


def _below(location: str, *names: str) -> str:
    return str(append_to_uri_path(location, *names))  # type: ignore[no-untyped-call]


@dataclass(frozen=True)
class Draft:
    """A training whose artefacts lie in their place and whose rows are still missing."""

    entry: Entry
    place: Place


@dataclass(frozen=True)
class Numbered(Draft):
    """A draft that got the number of its version, and the id of the data set that it was trained on."""

    number: int
    data_id: str

    @property
    def registered(self) -> Registered:
        """The version that it becomes."""
        return Registered(self.entry.name, self.number, self.place.run_id, self.place.model)


@dataclass(frozen=True)
class Rows:
    """Makes the rows of one group of trainings.

    Attributes:
        experiment_id: where they belong.
        origin: what they have in common.
        at: milliseconds since 1970.
    """

    experiment_id: int
    origin: Origin
    at: int

    def of(self, drafts: Sequence[Numbered]) -> Iterator[tuple[sa.Table, list[Row]]]:
        """All rows of runs and logged models, by table, in the order of `RUN_TABLES`."""
        makers = (
            self._run,
            self._tags,
            self._params,
            self._metrics,
            self._metrics,
            self._model,
            self._model_tags,
            self._model_params,
            self._model_metrics,
            self._lineage,
            self._lineage_tags,
        )
        for into, make in zip(RUN_TABLES, makers, strict=True):
            yield into, [row for draft in drafts for row in make(draft)]

    def data(self, entry: Entry) -> Row:
        """The data set of a training; trainings on the same data share the first one's row."""
        data = entry.content.data
        return {
            "dataset_uuid": timed_id(),
            "experiment_id": self.experiment_id,
            "name": data["name"],
            "digest": data["digest"],
            "dataset_source_type": data["source_type"],
            "dataset_source": data["source"],
            "dataset_profile": data["profile"],
        }

    def _run(self, draft: Numbered) -> Iterator[Row]:
        yield {
            "run_uuid": draft.place.run_id,
            "name": str(draft.entry.key),
            "source_type": "UNKNOWN",
            "source_name": "",
            "entry_point_name": "",
            "user_id": "unknown",
            "status": "FINISHED",
            "start_time": self.at - round(draft.entry.seconds * 1000),
            "end_time": self.at,
            "source_version": "",
            "lifecycle_stage": "active",
            "artifact_uri": draft.place.run,
            "experiment_id": self.experiment_id,
        }

    def _tags(self, draft: Numbered) -> Iterator[Row]:
        tags = {
            **draft.entry.content.tags,
            PARENT_TAG: self.origin.parent,
            BATCH: self.origin.batch,
            NAME_TAG: str(draft.entry.key),
        }
        return ({"key": key, "value": value, "run_uuid": draft.place.run_id} for key, value in tags.items())

    def _params(self, draft: Numbered) -> Iterator[Row]:
        params = draft.entry.content.params
        return ({"key": key, "value": value, "run_uuid": draft.place.run_id} for key, value in params.items())

    def _metrics(self, draft: Numbered) -> Iterator[Row]:
        for key, value in draft.entry.content.metrics.items():
            yield {
                "key": key,
                "value": value,
                "timestamp": self.at,
                "step": 0,
                "is_nan": False,
                "run_uuid": draft.place.run_id,
            }

    def _model(self, draft: Numbered) -> Iterator[Row]:
        yield {
            "model_id": draft.place.model_id,
            "experiment_id": self.experiment_id,
            "name": logged_name(draft.entry.key),
            "artifact_location": draft.place.model,
            "creation_timestamp_ms": self.at,
            "last_updated_timestamp_ms": self.at,
            "status": LoggedModelStatus.READY.to_int(),
            "lifecycle_stage": "active",
            "model_type": draft.entry.role,
            "source_run_id": draft.place.run_id,
        }

    def _model_tags(self, draft: Numbered) -> Iterator[Row]:
        tags = {**draft.entry.model_tags, **version_link(draft.entry.name, draft.number)}
        return (self._of_model(draft, tag_key=key, tag_value=value) for key, value in tags.items())

    def _model_params(self, draft: Numbered) -> Iterator[Row]:
        params = draft.entry.content.params
        return (self._of_model(draft, param_key=key, param_value=value) for key, value in params.items())

    def _model_metrics(self, draft: Numbered) -> Iterator[Row]:
        for key, value in draft.entry.content.metrics.items():
            yield self._of_model(
                draft,
                metric_name=key,
                metric_value=value,
                metric_timestamp_ms=self.at,
                metric_step=0,
                run_id=draft.place.run_id,
            )

    def _of_model(self, draft: Numbered, **values: object) -> Row:
        return {"model_id": draft.place.model_id, "experiment_id": self.experiment_id, **values}

    def _lineage(self, draft: Numbered) -> Iterator[Row]:
        """Which data went into the run and which model came out of it."""
        run_id, model_id = draft.place.run_id, draft.place.model_id
        for input_id, source, destination in (
            (run_id, ("DATASET", draft.data_id), ("RUN", run_id)),
            (timed_id(), ("RUN_OUTPUT", run_id), ("MODEL_OUTPUT", model_id)),
        ):
            yield {
                "input_uuid": input_id,
                "source_type": source[0],
                "source_id": source[1],
                "destination_type": destination[0],
                "destination_id": destination[1],
                "step": 0,
            }

    def _lineage_tags(self, draft: Numbered) -> Iterator[Row]:
        name, value = DATA_TAG
        yield {"input_uuid": draft.place.run_id, "name": name, "value": value}
