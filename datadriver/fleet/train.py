"""Train what is due: jobs go out to the workers, results come back and are recorded one by one."""

from __future__ import annotations

import shutil
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from datadriver.config.code import code_digest
from datadriver.config.fleet import Instance
from datadriver.config.sections import UseCase
from datadriver.data.contract.verdict import Verdict
from datadriver.data.window import Instant
from datadriver.errors import DatadriverError, DataError, UnavailableError
from datadriver.fleet.batches import batch
from datadriver.fleet.failures import full_disk
from datadriver.fleet.outcomes import Miss, failure
from datadriver.fleet.plan import Due
from datadriver.fleet.pool import Workers
from datadriver.fleet.pooled import PooledMetrics
from datadriver.fleet.progress import Progress, Silent
from datadriver.fleet.revision import code_revision
from datadriver.fleet.train_job import Attempt, TrainedUnit, TrainJob
from datadriver.fleet.verdicts import verdict_record
from datadriver.fleet.worker import Answer, Call
from datadriver.tracking import queries
from datadriver.tracking.ledger import Ledger
from datadriver.tracking.mlflow_runs import Tracker
from datadriver.tracking.records import Batch, Key, Outcome, VerdictRecord, Version


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
    """

    batch: str | None
    plan: tuple[Due, ...]
    outcomes: tuple[Outcome, ...] = ()
    pooled: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    traces: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0

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
    tracker: Tracker
    workers: Workers
    until: Instant | None = None
    progress: Progress = field(default_factory=Silent)
    force: bool = False

    def run(self, due: Sequence[Due]) -> TrainReport:
        """Train the instances that are due and record each result as it comes."""
        wanted = [item for item in due if item.due]
        if not wanted:
            return TrainReport(None, tuple(due))
        started = time.monotonic()
        self._fingerprints = {_key(item.instance): item.fingerprint for item in wanted}
        self._instances = {_key(item.instance): item.instance for item in wanted}
        self._code = code_digest(self.root, self.usecase.name)
        self._revision = code_revision(self.root)
        self._pooled = PooledMetrics([item.instance for item in wanted], self.root)
        self._traces: dict[str, str] = {}
        with batch(self.ledger, "train", code_revision=self._revision) as made, self._tracked(made) as scratch:
            outcomes = tuple(self._results(wanted, scratch))
            pooled = self._pooled.values()
            self._finish(outcomes, pooled)
        seconds = time.monotonic() - started
        return TrainReport(self._batch_id, tuple(due), outcomes, pooled, self._traces, seconds)

    @contextmanager
    def _tracked(self, made: Batch) -> Iterator[Path]:
        """Open the batch's parent run in MLflow, and give a folder for model files on their way."""
        dead = queries.dead_batches(self.ledger)
        self.tracker.discard_unfinished(dead)
        self._batch_id, self._parent = made.id, self.tracker.start_batch(made)
        try:
            with scratch_folder(self.root, made.id, dead=dead) as scratch:
                yield scratch
        except BaseException:
            with suppress(Exception):  # the error on its way up is the one to report
                self.tracker.finish_batch(self._parent, failed=True)
            raise

    def _results(self, wanted: Sequence[Due], scratch: Path) -> Iterator[Outcome]:
        self.progress.begin("training", len(wanted))
        try:
            calls = self._calls([item.instance for item in wanted], scratch)
            for call, answer in self.workers.answers(calls, at_most=len(wanted)):
                for outcome in self._record(call.argument, answer):
                    self.progress.advance(failed=bool(outcome.exit_code))
                    yield outcome
        finally:
            self.progress.end()

    def _calls(self, instances: Sequence[Instance], scratch: Path) -> Iterator[Call]:
        """Make one job per unit, the pooled ones first: they take longest."""
        champions = queries.champions(self.ledger)
        units: dict[str, list[Instance]] = {}
        for instance in instances:
            units.setdefault(instance.unit.key, []).append(instance)
        for members in sorted(units.values(), key=lambda group: -len(group[0].unit.assets)):
            held = {one.model: champions[_key(one)] for one in members if _key(one) in champions}
            job = TrainJob(
                self.root, self.usecase, tuple(members), held, scratch, self._code, self.until, force=self.force
            )
            yield Call("datadriver.fleet.train_job:train_unit", job)

    def _record(self, job: TrainJob, answer: Answer) -> Iterator[Outcome]:
        """Record what came of one job; a job that died or broke is an outcome of each of its instances."""
        if answer.error is not None:
            lost = tuple(Attempt(one.model, error=answer.error, trace=answer.trace) for one in job.instances)
            unit = TrainedUnit(lost)
        else:
            unit = answer.value
        for attempt in unit.attempts:
            instance = self._instances[Key(job.instances[0].unit.key, attempt.model)]
            if attempt.trace:
                self._traces[instance.key] = attempt.trace
            yield (
                self._record_failure(instance, unit, attempt)
                if attempt.error
                else self._record_result(instance, unit, attempt)
            )

    def _record_failure(self, instance: Instance, unit: TrainedUnit, attempt: Attempt) -> Outcome:
        assert attempt.error is not None  # noqa: S101 - the caller looked
        state = "rejected" if isinstance(attempt.error, DataError) else "failed"
        outcome = Outcome(
            batch=self._batch_id,
            unit=instance.unit.key,
            model=instance.model,
            state=state,  # type: ignore[arg-type]
            reason=attempt.error.message,
            exit_code=attempt.error.exit_code,
            fingerprint=self._fingerprints[_key(instance)],
        )
        self.ledger.record_result(outcome, verdicts=self._verdicts(unit.verdicts))
        return outcome

    def _record_result(self, instance: Instance, unit: TrainedUnit, attempt: Attempt) -> Outcome:
        result, files = attempt.result, attempt.files
        assert result is not None  # noqa: S101 - an attempt without an error has both
        assert files is not None  # noqa: S101
        key = _key(instance)
        known = queries.version_of_result(self.ledger, key, result.result_key)
        version = known or self._track(instance, unit, attempt)
        self._pooled.add(instance, result)
        outcome = Outcome(
            batch=self._batch_id,
            unit=key.unit,
            model=key.model,
            state="unchanged" if known else "trained",
            reason=_reason(result.decision.reason, result.warnings, unit.left_out),
            result_key=result.result_key,
            fingerprint=self._fingerprints[key],
            seconds=result.seconds,
        )
        self.ledger.record_result(outcome, version=version, verdicts=self._verdicts(unit.verdicts))
        shutil.rmtree(files.path, ignore_errors=True)
        return outcome

    def _track(self, instance: Instance, unit: TrainedUnit, attempt: Attempt) -> Version:
        assert attempt.result is not None  # noqa: S101
        assert attempt.files is not None  # noqa: S101
        return self.tracker.record(
            self._parent,
            instance,
            attempt.result,
            attempt.files,
            code_digest=self._code,
            verdicts=self._verdicts(unit.verdicts),
            code_revision=self._revision,
        )

    def _verdicts(self, verdicts: Sequence[Verdict]) -> tuple[VerdictRecord, ...]:
        return tuple(verdict_record(verdict, self._batch_id) for verdict in verdicts)

    def _finish(self, outcomes: Sequence[Outcome], pooled: Mapping[str, Mapping[str, float]]) -> None:
        counts = {f"instances.{state}": 0.0 for state in ("trained", "unchanged", "rejected", "failed")}
        for outcome in outcomes:
            counts[f"instances.{outcome.state}"] += 1
        metrics = {f"{model}.{name}": value for model, found in pooled.items() for name, value in found.items()}
        self.tracker.finish_batch(self._parent, metrics={**counts, **metrics})


@contextmanager
def scratch_folder(root: Path, batch: str, *, dead: Collection[str]) -> Iterator[Path]:
    """Give a folder for model files on their way, on the disk of the use case; it goes however the block ends.

    What batches that were killed left there goes, too; other batches may be at work beside this one.
    """
    place = root / ".datadriver" / "tmp"
    folder = place / batch
    try:
        for left in dead:
            shutil.rmtree(place / left, ignore_errors=True)
        folder.mkdir(parents=True)
    except OSError as error:
        raise full_disk(error) or UnavailableError(f"cannot write to {place}: {error.strerror}") from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _key(instance: Instance) -> Key:
    return Key(instance.unit.key, instance.model)


def _reason(decision: str, warnings: Sequence[str], left_out: Sequence[tuple[str, str]]) -> str:
    """Put in one line what the decision was, what to know about it, and which assets a pooled fit went without."""
    parts = [decision, *warnings]
    if left_out:
        parts.append("without " + ", ".join(f"{asset} ({reason})" for asset, reason in left_out[:5]))
        if len(left_out) > 5:
            parts.append(f"and without {len(left_out) - 5} more assets")
    return "; ".join(part for part in parts if part)
