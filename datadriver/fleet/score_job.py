"""One scoring job, inside of a worker: all models of one asset over its newest data, its frame read once."""

from __future__ import annotations

import traceback
from dataclasses import dataclass, field
from pathlib import Path

from datadriver.config.fleet import Asset, Instance
from datadriver.config.sections import UseCase
from datadriver.data.contract.verdict import Verdict
from datadriver.data.fingerprint import extent
from datadriver.data.window import Instant, Window
from datadriver.errors import DatadriverError
from datadriver.fleet.failures import deliberate
from datadriver.fleet.members import Member, look_at
from datadriver.serving.score import Champions, Models, reading_of, score, start_of
from datadriver.serving.scores import Stretch
from datadriver.tracking.records import Version

_CHAMPIONS = Champions()  # one worker process scores many assets


@dataclass(frozen=True)
class ScoreTask:
    """An instance, the champion that serves it, and the last instant that was scored for this asset."""

    instance: Instance
    champion: Version
    since: Instant | None = None


@dataclass(frozen=True)
class ScoreJob:
    """What a worker needs to score one asset.

    Attributes:
        usecase: with the overrides of the asset applied.
        window: as asked for; without a start each model continues where it ended.
        models: where champions come from; default: the artefact store, each loaded once in this process.
    """

    root: Path
    usecase: UseCase
    asset: Asset
    tasks: tuple[ScoreTask, ...]
    window: Window = field(default_factory=Window)
    models: Models | None = None


@dataclass(frozen=True)
class Scored:
    """What came of one model on one asset: scores, an error, or neither where nothing is new."""

    unit: str
    model: str
    stretch: Stretch | None = None
    error: DatadriverError | None = None
    trace: str = ""


@dataclass(frozen=True)
class ScoredAsset:
    """What came of one job."""

    scored: tuple[Scored, ...]
    verdict: Verdict | None = None


def score_asset(job: ScoreJob) -> ScoredAsset:
    """Score one asset with each of its champions; data that the contract rejects are scored by none."""
    windows = _windows(job)
    pairs = [(task, window) for task, window in zip(job.tasks, windows, strict=True) if window is not None]
    idle = tuple(
        Scored(task.instance.unit.key, task.instance.model)
        for task, window in zip(job.tasks, windows, strict=True)
        if window is None
    )
    if not pairs:
        return ScoredAsset(idle)
    reading = reading_of((task.instance, window) for task, window in pairs)
    member = look_at(job.usecase, job.asset, reading, "score", job.root)
    if member.error is not None:
        lost = tuple(Scored(task.instance.unit.key, task.instance.model, error=member.error) for task, _ in pairs)
        return ScoredAsset(idle + lost, member.verdict)
    return ScoredAsset(idle + tuple(_score(job, member, *pair) for pair in pairs), member.verdict)


def _windows(job: ScoreJob) -> list[Window | None]:
    """Work out what each task scores; None where its window would be empty because nothing is new."""
    if job.window.start is not None:
        return [job.window] * len(job.tasks)
    end = job.window.end if job.window.end is not None else extent(job.usecase, job.asset, job.root).end
    starts = [start_of(task.since, end, job.usecase) for task in job.tasks]
    return [
        None if start is not None and end is not None and start >= end else Window(start, job.window.end)  # type: ignore[operator]
        for start in starts
    ]


def _score(job: ScoreJob, member: Member, task: ScoreTask, window: Window) -> Scored:
    assert member.sensor is not None  # noqa: S101 - the caller looked at the member's error
    assert member.verdict is not None  # noqa: S101
    unit, model = task.instance.unit.key, task.instance.model
    try:
        stretch = score(
            task.instance,
            task.champion,
            member.sensor,
            member.verdict,
            window,
            champions=job.models or _CHAMPIONS,
            root=job.root,
        )
        return Scored(unit, model, stretch)
    except Exception as error:
        known = deliberate(error)
        if known is None:
            raise
        return Scored(unit, model, error=known, trace=traceback.format_exc())
