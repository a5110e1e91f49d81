"""Train what is due: jobs go out to the workers, results come back and are recorded a group at a time."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from datadriver.config.code import code_digest
from datadriver.config.sections import UseCase
from datadriver.data.window import Instant
from datadriver.errors import DatadriverError, UnavailableError
from datadriver.fleet.batches import batch
from datadriver.fleet.failures import full_disk
from datadriver.fleet.leftovers import clear, scratch_place
from datadriver.fleet.outcomes import Miss, failure
from datadriver.fleet.plan import Due
from datadriver.fleet.pool import Workers
from datadriver.fleet.pooled import PooledMetrics
from datadriver.fleet.progress import Progress, Silent
from datadriver.fleet.projection import Lag
from datadriver.fleet.recording import Recording, key_of
from datadriver.fleet.revision import code_revision
from datadriver.fleet.train_job import TrainJob
from datadriver.fleet.turns import Turns
from datadriver.fleet.worker import Call
from datadriver.tracking import leases, queries
from datadriver.tracking.behind import Behind
from datadriver.tracking.ledger import Ledger
from datadriver.tracking.mlflow_runs import Tracker
from datadriver.tracking.records import Batch, Outcome

_AT_ONCE = 64
"""Results that are recorded together: more gain little, and a killed run loses them."""

_AT_MOST_SECONDS = 1.0
"""A result waits no longer for others, so that the ledger and the progress stay close behind."""


@dataclass(frozen=True)
class TrainReport:
    """What a training batch did: an outcome for every instance that was due.

    Attributes:
        batch: its id in the ledger; None if nothing was due.
        plan: every instance that was asked for, due or not.
        outcomes: in the order in which they were recorded.
        pooled: metrics over the holdouts of all instances of a model, by model.
        traces: tracebacks of the use case's code, by instance.
        seconds: wall time.
        left: what was due and left to another run that is at work on the fleet, and why, by instance.
        lag: how far MLflow is behind where it is written behind the run; None elsewhere.
    """

    batch: str | None
    plan: tuple[Due, ...]
    outcomes: tuple[Outcome, ...] = ()
    pooled: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    traces: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    left: Mapping[str, str] = field(default_factory=dict)
    lag: Lag | None = None

    @property
    def misses(self) -> tuple[Miss, ...]:
        """The instances that were not trained, and why."""
        return tuple(Miss(str(one.key), one.reason, one.exit_code) for one in self.outcomes if one.exit_code)

    @property
    def failure(self) -> DatadriverError | None:
        """What the command ends with, if not all is well."""
        return failure(self.misses, of=len(self.outcomes), what="instances")


@dataclass
class Training:
    """One batch of training: the stores it writes to, and what it knows of the use case.

    Attributes:
        usecase: before overrides.
        root: folder of the use case.
    """

    usecase: UseCase
    root: Path
    ledger: Ledger
    tracker: Tracker | Behind
    workers: Workers
    until: Instant | None = None
    progress: Progress = field(default_factory=Silent)
    force: bool = False

    def run(self, due: Sequence[Due]) -> TrainReport:
        """Train the instances that are due and record the results as they come."""
        wanted = [item for item in due if item.due]
        if not wanted:
            return TrainReport(None, tuple(due))
        started = time.monotonic()
        clear(self.ledger, self.tracker, self.root)
        self._code = code_digest(self.root, self.usecase.name)
        revision = code_revision(self.root)
        with (
            batch(self.ledger, "train", code_revision=revision) as made,
            self._tracked(made) as parent,
            scratch_folder(self.root, made.id) as scratch,
            leases.renewing(self.ledger, made.id),
        ):
            turns = Turns(self.ledger, made.id)
            recording = Recording(
                self.ledger,
                self.tracker,
                batch=made.id,
                parent=parent,
                code=self._code,
                revision=revision,
                fingerprints={key_of(item.instance): item.fingerprint for item in wanted},
                pooled=PooledMetrics([item.instance for item in wanted], self.root),
            )
            outcomes = tuple(self._results(wanted, scratch, recording, turns))
            pooled = recording.pooled.values()
            self.tracker.finish_batch(parent, metrics=_figures(outcomes, pooled))
        seconds = time.monotonic() - started
        left = {str(key): why for key, why in turns.left.items()}
        return TrainReport(made.id, tuple(due), outcomes, pooled, recording.traces, seconds, left)

    @contextmanager
    def _tracked(self, made: Batch) -> Iterator[str]:
        """Give the batch's parent run in MLflow."""
        parent = self.tracker.start_batch(made)
        try:
            yield parent
        except BaseException:
            with suppress(Exception):  # the error on its way up is the one to report
                self.tracker.finish_batch(parent, failed=True)
            raise

    def _results(self, wanted: Sequence[Due], scratch: Path, recording: Recording, turns: Turns) -> Iterator[Outcome]:
        self.progress.begin("training", len(wanted))
        try:
            calls = self._calls(wanted, scratch, turns)
            units = len({item.instance.unit.key for item in wanted})
            size = max(1, _AT_ONCE * units // len(wanted))
            for group in self.workers.groups(calls, size=size, seconds=_AT_MOST_SECONDS, at_most=units):
                ours = turns.keep([key_of(one) for call, _ in group for one in call.argument.instances])
                jobs = [(call.argument, answer) for call, answer in group]
                kept = [(job, answer) for job, answer in jobs if ours.issuperset(map(key_of, job.instances))]
                for outcome in recording.record(kept):
                    self.progress.advance(failed=bool(outcome.exit_code))
                    yield outcome
                turns.done(ours)
        finally:
            self.progress.end()

    def _calls(self, wanted: Sequence[Due], scratch: Path, turns: Turns) -> Iterator[Call]:
        """Make one job per unit, the pooled ones first: they take longest."""
        champions = queries.champions(self.ledger)
        units: dict[str, list[Due]] = {}
        for item in wanted:
            units.setdefault(item.instance.unit.key, []).append(item)
        for ours in turns.of(sorted(units.values(), key=lambda unit: -len(unit[0].instance.unit.assets))):
            held = {one.instance.model: champions[one.key] for one in ours if one.key in champions}
            instances = tuple(one.instance for one in ours)
            known = {} if self.force else {item.instance.model: key for item in ours if (key := _result_key(item))}
            job = TrainJob(
                self.root, self.usecase, instances, held, scratch, self._code, self.until, known, force=self.force
            )
            yield Call("datadriver.fleet.train_job:train_unit", job)


def _result_key(item: Due) -> str | None:
    return item.last.result_key if item.last is not None else None


def _figures(outcomes: Sequence[Outcome], pooled: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """What MLflow shows of a batch as a whole."""
    counts = {f"instances.{state}": 0.0 for state in ("trained", "unchanged", "rejected", "failed")}
    for outcome in outcomes:
        counts[f"instances.{outcome.state}"] += 1
    return counts | {f"{model}.{name}": value for model, found in pooled.items() for name, value in found.items()}


@contextmanager
def scratch_folder(root: Path, batch: str) -> Iterator[Path]:
    """Give a folder for model files on their way; it goes however the block ends."""
    folder = scratch_place(root, batch)
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise full_disk(error) or UnavailableError(f"cannot write to {folder}: {error.strerror}") from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
