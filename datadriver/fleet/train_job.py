"""One training job, inside of a worker: the models of one unit, from its sources to files that wait to be recorded."""

from __future__ import annotations

import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pandas as pd

from datadriver.config.fleet import Asset, Instance
from datadriver.config.resolve import resolve
from datadriver.config.sections import UseCase
from datadriver.config.slugs import slug
from datadriver.data.contract.verdict import Verdict
from datadriver.data.events import read_events
from datadriver.data.frame import SensorFrame
from datadriver.data.window import Instant
from datadriver.errors import DatadriverError, DataError, UntrustedModelError
from datadriver.fleet.failures import deliberate
from datadriver.fleet.members import Member, members
from datadriver.tracking.artefacts import load_version
from datadriver.tracking.model_files import ModelFiles, write_model
from datadriver.tracking.records import Version
from datadriver.training.fit import train_instance
from datadriver.training.result_key import result_key
from datadriver.training.results import Incumbent, Seen, TrainResult


@dataclass(frozen=True)
class TrainJob:
    """What a worker needs to train some models of one unit.

    Attributes:
        usecase: before overrides.
        instances: of one unit.
        champions: by model, where there is one.
        directory: where model files go; the parent moves them on.
        until: nothing from this instant on counts.
        known: result key of the last training, by model: one that comes out the same is not fitted again.
        force: train even if the champion's file was tampered with, then without comparing with it.
    """

    root: Path
    usecase: UseCase
    instances: tuple[Instance, ...]
    champions: Mapping[str, Version]
    directory: Path
    code_digest: str
    until: Instant | None = None
    known: Mapping[str, str] = field(default_factory=dict)
    force: bool = False


@dataclass(frozen=True)
class Attempt:
    """What came of one instance: a result (without its estimator, which is in `files`) or an error.

    Or neither, where the result key was `unchanged`.
    """

    model: str
    result: TrainResult | None = None
    files: ModelFiles | None = None
    unchanged: str | None = None
    error: DatadriverError | None = None
    trace: str = ""


@dataclass(frozen=True)
class TrainedUnit:
    """What came of one job; `left_out` are members that a pooled fit went on without, and why."""

    attempts: tuple[Attempt, ...]
    verdicts: tuple[Verdict, ...] = ()
    left_out: tuple[tuple[str, str], ...] = ()


def train_unit(job: TrainJob) -> TrainedUnit:
    """Train the instances of one unit; one that fails does not keep the others from being trained."""
    looked_at = members(job.usecase, job.instances, job.until, job.root)
    usable = [member for member in looked_at if member.error is None]
    verdicts = tuple(member.verdict for member in looked_at if member.verdict is not None)
    left_out = tuple((member.asset.id, member.error.message) for member in looked_at if member.error is not None)
    if not usable:
        error = _unusable(looked_at)
        return TrainedUnit(tuple(Attempt(instance.model, error=error) for instance in job.instances), verdicts)
    frames = [member.sensor for member in usable if member.sensor is not None]
    return TrainedUnit(tuple(_attempt(job, instance, frames) for instance in job.instances), verdicts, left_out)


def _unusable(looked_at: Sequence[Member]) -> DataError:
    errors = [member.error for member in looked_at if member.error is not None]
    if len(errors) == 1:
        return errors[0]
    return DataError(f"none of its {len(errors)} assets can be used; the first: {errors[0].message}")


def _attempt(job: TrainJob, instance: Instance, frames: Sequence[SensorFrame]) -> Attempt:
    try:
        found, before = events(job, instance, frames), job.known.get(instance.model)
        if before is not None and result_key(instance, frames, found, root=job.root) == before:
            return Attempt(instance.model, unchanged=before)
        result = train_instance(instance, frames, found, incumbent(job, instance), root=job.root)
        files = write_model(
            job.directory / slug(instance.key),
            result,
            instance,
            code_digest=job.code_digest,
        )
        return Attempt(instance.model, _light(result, instance), files)
    except Exception as error:
        known = deliberate(error)
        if known is None:
            raise
        return Attempt(instance.model, error=known, trace=traceback.format_exc())


def _light(result: TrainResult, instance: Instance) -> TrainResult:
    """Return the result without what the parent does not need or finds in the files: pickling it costs both of them."""
    pooled = instance.spec.evaluate.pooled
    return replace(result, estimator=None, reference={}, holdout=result.holdout if pooled else None)


def events(job: TrainJob, instance: Instance, frames: Sequence[SensorFrame]) -> Mapping[str, pd.DataFrame]:
    """Read the events that a target is made of, by asset; nothing for a target that is a column."""
    target = instance.spec.target
    if target is None or target.events is None:
        return {}

    def read(asset: Asset) -> pd.DataFrame:
        own = resolve(job.usecase, asset)
        return read_events(own, str(target.events), asset, job.root, known_before=job.until)

    return {sensor.asset.id: read(sensor.asset) for sensor in frames}


def incumbent(job: TrainJob, instance: Instance) -> Incumbent | None:
    """Load the champion of an instance, if it has one."""
    version = job.champions.get(instance.model)
    if version is None:
        return None
    try:
        estimator = load_version(version, instance.usecase, job.root)
    except UntrustedModelError:
        if job.force:
            return None
        raise
    return Incumbent(str(version.version), estimator, Seen.from_json(version.seen), version.role)
