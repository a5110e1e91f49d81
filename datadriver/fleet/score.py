"""Score the fleet with its champions: jobs go out by asset, scores come back and are written in groups of assets."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from datadriver.config.fleet import Asset, Instance, Unit
from datadriver.config.resolve import resolve
from datadriver.config.sections import UseCase
from datadriver.data.window import Instant, Window, parse_instant
from datadriver.errors import ConfigError, DatadriverError
from datadriver.fleet.batches import batch
from datadriver.fleet.outcomes import Miss, failure
from datadriver.fleet.pool import Crew
from datadriver.fleet.progress import Progress, Silent
from datadriver.fleet.score_job import Scored, ScoredAsset, ScoreJob, ScoreTask
from datadriver.fleet.score_store import Published, ScoreStore
from datadriver.fleet.verdicts import verdict_record
from datadriver.fleet.worker import Answer, Call
from datadriver.serving.score import Models
from datadriver.serving.scores import Stretch, scores_path
from datadriver.tracking import queries
from datadriver.tracking.ledger import Ledger
from datadriver.tracking.records import Key, ScoreRecord, VerdictRecord

_ASSETS_PER_FILE = 256
_ROWS_PER_FILE = 2_000_000


@dataclass(frozen=True)
class ScoreReport:
    """What a scoring batch did.

    Attributes:
        batch: its id in the ledger; None where nothing is on record yet.
        written: a record per instance and asset with new scores.
        current: how many were up to date already.
        waiting: instances that have no champion yet.
        misses: assets and instances that could not be scored, and why.
        traces: tracebacks of the use case's code.
        path: where the scores are.
    """

    batch: str | None
    path: str
    written: tuple[ScoreRecord, ...] = ()
    current: int = 0
    waiting: tuple[str, ...] = ()
    misses: tuple[Miss, ...] = ()
    traces: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def rows(self) -> int:
        """Number of scores written."""
        return sum(record.rows for record in self.written)

    @property
    def alarms(self) -> int:
        """Number of them that are alarms."""
        return sum(record.alarms for record in self.written)

    @property
    def total(self) -> int:
        """Number of pairs of instance and asset that were looked at."""
        return len(self.written) + self.current + len(self.misses)

    @property
    def failure(self) -> DatadriverError | None:
        """What the command ends with, if not all is well."""
        return failure(self.misses, of=self.total, what="scorings")


@dataclass
class Scoring:
    """One batch of scoring: the stores it writes to, and what it knows of the use case.

    Attributes:
        workers: who does the jobs.
        models: where champions come from; default: the artefact store.
        staged: takes the scores in place of scores table and ledger, which are not written then.
    """

    usecase: UseCase
    root: Path
    ledger: Ledger
    workers: Crew
    window: Window = field(default_factory=Window)
    progress: Progress = field(default_factory=Silent)
    models: Models | None = None
    staged: ScoreStore | None = None

    def run(self, instances: Sequence[Instance], assets: Sequence[Asset]) -> ScoreReport:
        """Score the chosen assets with the champions of the chosen instances.

        Raises:
            ConfigError: none of the instances has a champion.
        """
        started = time.monotonic()
        jobs, waiting = self._jobs(instances, assets)
        if not jobs:
            raise ConfigError(
                f"none of the {len(waiting)} chosen instances has a champion; run datadriver train and promote first"
            )
        self._store = self.staged or Published(self.ledger, scores_path(self.root, self.usecase.scores.path))
        self._batch: str | None = None
        self._written: list[ScoreRecord] = []
        self._misses: list[Miss] = []
        self._verdicts: list[VerdictRecord] = []
        self._traces: dict[str, str] = {}
        self._current = 0
        if self.staged is not None:
            self._work(jobs)
        else:
            with batch(self.ledger, "score") as opened:
                self._batch = opened.id
                self._work(jobs)
        return ScoreReport(
            self._batch,
            self._store.path,
            tuple(self._written),
            self._current,
            tuple(waiting),
            tuple(self._misses),
            self._traces,
            time.monotonic() - started,
        )

    def _jobs(self, instances: Sequence[Instance], assets: Sequence[Asset]) -> tuple[list[ScoreJob], list[str]]:
        """Make one job per asset, of all the models that serve it."""
        champions, last = queries.champions(self.ledger), queries.last_scores(self.ledger)
        chosen = {asset.id for asset in assets}
        tasks: dict[str, list[ScoreTask]] = {}
        found: dict[str, Asset] = {asset.id: asset for asset in assets}
        waiting = []
        for instance in instances:
            key = Key(instance.unit.key, instance.model)
            if key not in champions:
                waiting.append(str(key))
                continue
            for asset in instance.unit.assets:
                if asset.id in chosen:
                    since = self._since(last.get((key, asset.id)))
                    tasks.setdefault(asset.id, []).append(ScoreTask(_on(instance, asset), champions[key], since))
        jobs = [
            ScoreJob(
                self.root, resolve(self.usecase, found[asset]), found[asset], tuple(todo), self.window, self.models
            )
            for asset, todo in tasks.items()
        ]
        return jobs, waiting

    def _since(self, record: ScoreRecord | None) -> Instant | None:
        return None if record is None or record.last is None else parse_instant(record.last, self.usecase)

    def _work(self, jobs: Sequence[ScoreJob]) -> None:
        self.progress.begin("scoring", len(jobs))
        try:
            group: list[Stretch] = []
            for job, answer in self._in_order(jobs):
                before = len(self._misses)
                group += self._sort_out(job, answer)
                self.progress.advance(failed=len(self._misses) > before)
                if len(group) >= _ASSETS_PER_FILE or sum(len(one.frame) for one in group) >= _ROWS_PER_FILE:
                    self._write(group)
                    group = []
            self._write(group)
        finally:
            self.progress.end()

    def _in_order(self, jobs: Sequence[ScoreJob]) -> Iterator[tuple[ScoreJob, Answer]]:
        """Yield answers in the order of the jobs, so that the same scores make the same files."""
        calls = (Call("datadriver.fleet.score_job:score_asset", job) for job in jobs)
        early: dict[str, Answer] = {}
        position = 0
        for call, answer in self.workers.answers(calls, at_most=len(jobs)):
            early[call.argument.asset.id] = answer
            while position < len(jobs) and jobs[position].asset.id in early:
                yield jobs[position], early.pop(jobs[position].asset.id)
                position += 1

    def _sort_out(self, job: ScoreJob, answer: Answer) -> list[Stretch]:
        """Keep verdict and misses of one asset, and return what is to be written."""
        found = answer.value if answer.error is None else _lost(job, answer)
        assert isinstance(found, ScoredAsset)  # noqa: S101 - the worker's function returns nothing else
        if found.verdict is not None:
            self._verdicts.append(verdict_record(found.verdict, self._batch or ""))
        stretches = []
        for one in found.scored:
            name = f"{one.unit}/{one.model}" + ("" if one.unit == job.asset.id else f" on {job.asset.id}")
            if one.error is not None:
                self._misses.append(Miss(name, one.error.message, one.error.exit_code))
                if one.trace:
                    self._traces[name] = one.trace
            elif one.stretch is None:
                self._current += 1
            else:
                stretches.append(one.stretch)
        return stretches

    def _write(self, group: Sequence[Stretch]) -> None:
        """Hand over the scores of a group of assets, and the verdicts on its data."""
        self._written += self._store.put(group, self._verdicts)
        self._verdicts = []


def _on(instance: Instance, asset: Asset) -> Instance:
    """Return the instance without the other assets of its unit, which would go to the workers with each asset."""
    return replace(instance, unit=Unit(instance.unit.key, (asset,), instance.unit.pooled))


def _lost(job: ScoreJob, answer: Answer) -> ScoredAsset:
    return ScoredAsset(
        tuple(
            Scored(task.instance.unit.key, task.instance.model, error=answer.error, trace=answer.trace)
            for task in job.tasks
        )
    )
