"""One scoring job, inside of a worker: all models of one asset over its newest data, its frame read once."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from datadriver.config.fleet import Asset, Instance
from datadriver.config.sections import UseCase
from datadriver.data.contract.verdict import Verdict
from datadriver.data.fingerprint import extent
from datadriver.data.window import Instant, Window
from datadriver.errors import DatadriverError
from datadriver.fleet.failures import deliberate
from datadriver.fleet.members import Member, look_at
from datadriver.serving.score import Champions, score, start_of
from datadriver.serving.scores import Stretch
from datadriver.tracking.records import Version
from datadriver.training.scoring import reading_window

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
    """

    root: Path
    usecase: UseCase
    asset: Asset
    tasks: tuple[ScoreTask, ...]
    window: Window = field(default_factory=Window)


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
    wanted = [task for task, window in zip(job.tasks, windows, strict=True) if window is not None]
    idle = tuple(
        Scored(task.instance.unit.key, task.instance.model)
        for task, window in zip(job.tasks, windows, strict=True)
        if window is None
    )
    if not wanted:
        return ScoredAsset(idle)
    member = look_at(job.usecase, job.asset, _reading(wanted, windows), "score", job.root)
    if member.error is not None:
        lost = tuple(Scored(task.instance.unit.key, task.instance.model, error=member.error) for task in wanted)
        return ScoredAsset(idle + lost, member.verdict)
    pairs = [(task, window) for task, window in zip(job.tasks, windows, strict=True) if window is not None]
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


def _reading(tasks: Sequence[ScoreTask], windows: Sequence[Window | None]) -> Window:
    """Return what must be read so that every task has its window and the lookback before it."""
    asked = [window for window in windows if window is not None]
    earliest = [reading_window(task.instance, window).start for task, window in zip(tasks, asked, strict=True)]
    start = None if any(instant is None for instant in earliest) else min(earliest)  # type: ignore[type-var]
    return Window(start, asked[0].end)


def _score(job: ScoreJob, member: Member, task: ScoreTask, window: Window) -> Scored:
    assert member.sensor is not None  # noqa: S101 - the caller looked at the member's error
    assert member.verdict is not None  # noqa: S101
    unit, model = task.instance.unit.key, task.instance.model
    # Scores depend on the instance and its window alone, not on what else was read for other models of the asset.
    own = replace(member.sensor, frame=reading_window(task.instance, window).slice(member.sensor.frame))
    try:
        stretch = score(task.instance, task.champion, own, member.verdict, window, champions=_CHAMPIONS, root=job.root)
        return Scored(unit, model, stretch)
    except Exception as error:
        known = deliberate(error)
        if known is None:
            raise
        return Scored(unit, model, error=known, trace=traceback.format_exc())
