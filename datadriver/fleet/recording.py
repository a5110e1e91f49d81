"""Where the results of a training batch go: a group at a time, artefacts (and MLflow) first, the ledger last."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from datadriver.config.fleet import Instance
from datadriver.data.contract.verdict import Verdict
from datadriver.errors import DataError
from datadriver.fleet.pooled import PooledMetrics
from datadriver.fleet.train_job import Attempt, TrainedUnit, TrainJob
from datadriver.fleet.verdicts import verdict_record
from datadriver.fleet.worker import Answer
from datadriver.tracking import queries
from datadriver.tracking.behind import Behind
from datadriver.tracking.ledger import Ledger
from datadriver.tracking.mlflow_runs import Tracker
from datadriver.tracking.records import Key, Outcome, State, VerdictRecord, Version
from datadriver.tracking.writer import Trained


@dataclass(frozen=True)
class _Attempted:
    """What came of one instance, with what it shares with the others of its unit."""

    instance: Instance
    attempt: Attempt
    unit: TrainedUnit
    verdicts: tuple[VerdictRecord, ...]

    @property
    def key(self) -> Key:
        return key_of(self.instance)

    @property
    def result_key(self) -> str | None:
        return self.attempt.result.result_key if self.attempt.result is not None else self.attempt.unchanged


@dataclass
class Recording:
    """Records the results of one batch in MLflow and in the ledger.

    Attributes:
        batch: its id in the ledger.
        parent: its run in MLflow.
        code: digest of the use case's package.
        revision: of its repository.
        fingerprints: due fingerprint by instance.
        pooled: collects the holdouts.
        traces: tracebacks of the use case's code, by instance; filled while recording.
    """

    ledger: Ledger
    tracker: Tracker | Behind
    batch: str
    parent: str
    code: str
    revision: str | None
    fingerprints: Mapping[Key, str]
    pooled: PooledMetrics
    traces: dict[str, str] = field(default_factory=dict)

    def record(self, answers: Sequence[tuple[TrainJob, Answer]]) -> list[Outcome]:
        """Record what came of these jobs, and return the outcome of each of their instances.

        Killed in between, the next run finds the versions in MLflow and takes them over. Where MLflow is written behind
        the run, it gets them after the ledger.
        """
        attempted = [one for job, answer in answers for one in self._attempted(job, answer)]
        results = {(one.key, one.result_key) for one in attempted if one.result_key is not None}
        known = queries.versions_of_results(self.ledger, results)
        new = [one for one in attempted if one.result_key is not None and (one.key, one.result_key) not in known]
        made = self._track(new)
        outcomes = [self._outcome(one, (one.key, one.result_key) in known) for one in attempted]
        verdicts = [verdict for one in attempted for verdict in one.verdicts]
        self.ledger.record_results(outcomes, versions=made, verdicts=verdicts)
        for one in attempted:
            self._settle(one)
        return outcomes

    def _attempted(self, job: TrainJob, answer: Answer) -> Iterator[_Attempted]:
        """Look at a job's answer; a job that died or broke is an attempt of each of its instances."""
        if answer.error is not None:
            lost = tuple(Attempt(one.model, error=answer.error, trace=answer.trace) for one in job.instances)
            unit = TrainedUnit(lost)
        else:
            unit = answer.value
        verdicts = self._verdicts(unit.verdicts)
        instances = {one.model: one for one in job.instances}
        for attempt in unit.attempts:
            yield _Attempted(instances[attempt.model], attempt, unit, verdicts)

    def _track(self, new: Sequence[_Attempted]) -> tuple[Version, ...]:
        trained = [
            Trained(one.instance, one.attempt.result, one.attempt.files, one.verdicts)
            for one in new
            if one.attempt.result is not None and one.attempt.files is not None
        ]
        if not trained:
            return ()
        return self.tracker.record_all(self.parent, trained, code_digest=self.code, code_revision=self.revision)

    def _outcome(self, one: _Attempted, known: bool) -> Outcome:
        error, result = one.attempt.error, one.attempt.result
        recorded = partial(Outcome, self.batch, *one.key, fingerprint=self.fingerprints[one.key])
        if error is not None:
            state: State = "rejected" if isinstance(error, DataError) else "failed"
            return recorded(state=state, reason=error.message, exit_code=error.exit_code)
        if result is None:
            reason = "read again; nothing that decides the result has changed"
            return recorded(state="unchanged", reason=reason, result_key=one.result_key)
        return recorded(
            state="unchanged" if known else "trained",
            reason=_reason(result.decision.reason, result.warnings, one.unit.left_out),
            result_key=result.result_key,
            seconds=result.seconds,
        )

    def _settle(self, one: _Attempted) -> None:
        """Keep what the end of the batch needs of a result, and nothing else."""
        if one.attempt.trace:
            self.traces[one.instance.key] = one.attempt.trace
        if one.attempt.result is not None:
            self.pooled.add(one.instance, one.attempt.result)
        if one.attempt.files is not None:
            shutil.rmtree(one.attempt.files.path, ignore_errors=True)

    def _verdicts(self, verdicts: Sequence[Verdict]) -> tuple[VerdictRecord, ...]:
        return tuple(verdict_record(verdict, self.batch) for verdict in verdicts)


def key_of(instance: Instance) -> Key:
    """What names an instance in the ledger."""
    return Key(instance.unit.key, instance.model)


def _reason(decision: str, warnings: Sequence[str], left_out: Sequence[tuple[str, str]]) -> str:
    """Put in one line what the decision was, what to know about it, and which assets a pooled fit went without."""
    parts = [decision, *warnings]
    if left_out:
        parts.append("without " + ", ".join(f"{asset} ({reason})" for asset, reason in left_out[:5]))
        if len(left_out) > 5:
            parts.append(f"and without {len(left_out) - 5} more assets")
    return "; ".join(part for part in parts if part)
