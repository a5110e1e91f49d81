"""Write the report: all of its pages into a folder beside the old one, which it then replaces in one step."""

from __future__ import annotations

import shutil
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from datadriver import failpoints
from datadriver.config.fleet import Instance
from datadriver.data.drafts import draft_folder
from datadriver.errors import ConfigError, UnavailableError
from datadriver.fleet.pool import Workers
from datadriver.fleet.progress import Progress, Silent
from datadriver.fleet.worker import Call
from datadriver.reporting.curves import ScoreTerms, tags_of
from datadriver.reporting.events import Marks, read_marks
from datadriver.reporting.facts import AssetLine, FleetFacts
from datadriver.reporting.fleet_page import render_fleet
from datadriver.reporting.gather import Fleet
from datadriver.reporting.model_page import render_model
from datadriver.reporting.page_job import AssetPage, PageJob, PagesWritten
from datadriver.reporting.trends import trends
from datadriver.tracking.monitor_records import HEALTHS

INDEX = "index.html"
_ENTRIES = frozenset({INDEX, "assets", "models"})
_ASSETS_PER_JOB = 25, 250
"""Fewest and most: each job reads all files of the period, so few large ones read least."""


@dataclass(frozen=True)
class ReportResult:
    """What was written.

    Attributes:
        path: of the fleet page.
        end: end of the newest window, for people.
        pages: how many.
        bytes: their size, all together.
        states: number of assets in each state.
        old: a sentence if the fleet's data is old.
        notes: sentences about what could not be shown, and why.
    """

    path: Path
    end: str
    pages: int
    bytes: int
    states: Mapping[str, int]
    old: str = ""
    notes: tuple[str, ...] = ()
    seconds: float = 0.0


def write_report(
    facts: FleetFacts, fleet: Fleet, out: Path, workers: Workers, progress: Progress | None = None
) -> ReportResult:
    """Write every page and put the report where the old one is; a failure leaves the old one.

    Raises:
        ConfigError: the folder holds something else than a report.
        UnavailableError: the folder cannot be written, or what is stored cannot be read.
    """
    began = time.monotonic()
    _require_report(out)
    marks = read_marks(fleet.usecase, fleet.assets, fleet.root, facts.period)
    with _draft(out) as draft:
        jobs = _jobs(facts, fleet, marks, draft / "assets")
        done = list(_written(jobs, workers, progress or Silent()))
        size = sum(part.bytes for part in done) + _write_models(facts, done, draft / "models")
        size += _write(draft / INDEX, render_fleet(facts))
        failpoints.reach("report-drafted")
        _swap(draft, out)
    return ReportResult(
        path=out / INDEX,
        end=facts.heading.when(facts.heading.end),
        pages=1 + len(facts.assets) + len(facts.models),
        bytes=size,
        states={state: count for state, count in _states(facts.assets).items() if count},
        old=facts.heading.old,
        notes=marks.notes,
        seconds=time.monotonic() - began,
    )


def _states(assets: Sequence[AssetLine]) -> Mapping[str, int]:
    counts = Counter(line.state for line in assets)
    return {state: counts[state] for state in HEALTHS}


def _jobs(facts: FleetFacts, fleet: Fleet, marks: Marks, folder: Path) -> list[PageJob]:
    """Make jobs of assets in the order of the fleet table, in which they are stored."""
    terms = _terms(fleet.instances, facts)
    names = [None, *((line.id, line.page) for line in facts.assets), None]
    pages = {
        line.id: AssetPage(line, before, after, marks.of.get(line.id, ()), terms.get(line.id, {}))
        for line, before, after in zip(facts.assets, names, names[2:], strict=False)
    }
    ordered = [pages[asset.id] for asset in fleet.assets]
    fewest, most = _ASSETS_PER_JOB
    size = min(most, max(fewest, len(ordered) // 4))
    return [
        PageJob(
            folder=folder,
            root=fleet.root,
            usecase=fleet.usecase,
            heading=facts.heading,
            period=facts.period,
            pages=tuple(ordered[start : start + size]),
            models={model.name: model.page for model in facts.models},
            notes=marks.notes,
        )
        for start in range(0, len(ordered), size)
    ]


def _terms(instances: Sequence[Instance], facts: FleetFacts) -> Mapping[str, Mapping[tuple[str, str], ScoreTerms]]:
    """Return what is drawn with the scores of each instance, by asset."""
    limits = {
        (line.unit, line.model): line.champion.threshold
        for model in facts.models
        for line in model.lines
        if line.champion is not None
    }
    found: dict[str, dict[tuple[str, str], ScoreTerms]] = {}
    for one in instances:
        key, target = (one.unit.key, one.model), one.spec.target
        tag = tags_of(one.usecase).get(target.column or "") if target else None
        measure = (tag.unit or "") if tag and one.spec.problem == "regression" else ""
        terms = ScoreTerms(one.spec.alarm.on if one.spec.alarm else None, limits.get(key), measure)
        for asset in one.unit.assets:
            found.setdefault(asset.id, {})[key] = terms
    return found


def _written(jobs: Sequence[PageJob], workers: Workers, progress: Progress) -> Iterator[PagesWritten]:
    progress.begin("pages", sum(len(job.pages) for job in jobs))
    try:
        calls = [Call("datadriver.reporting.page_job:write_pages", job) for job in jobs]
        for call, answer in workers.answers(calls, at_most=len(calls)):
            if answer.error is not None:
                raise answer.error
            for _ in call.argument.pages:
                progress.advance()
            yield answer.value
    finally:
        progress.end()


def _write_models(facts: FleetFacts, done: Sequence[PagesWritten], folder: Path) -> int:
    over_time = trends(pd.concat([part.facts for part in done], ignore_index=True))
    return sum(
        _write(folder / model.page, render_model(replace(model, trends=over_time.get(model.name, ()))))
        for model in facts.models
    )


def _write(path: Path, text: str) -> int:
    content = text.encode()
    path.write_bytes(content)
    return len(content)


def _require_report(out: Path) -> None:
    """Refuse a folder whose content would be lost."""
    if out.exists() and not out.is_dir():
        raise ConfigError(f"{out} is a file; a report needs a folder: choose another with --out")
    other = sorted({entry.name for entry in out.iterdir()} - _ENTRIES) if out.exists() else []
    if other:
        raise ConfigError(
            f"{out} holds {other[0]!r}, which is no part of a report and would be lost: choose another --out"
        )


@contextmanager
def _draft(out: Path) -> Iterator[Path]:
    """Give an empty folder beside the report; whatever is left of it in the end goes."""
    try:
        with draft_folder(out) as folder:
            draft = folder / "new"
            for name in ("assets", "models"):
                (draft / name).mkdir(parents=True)
            yield draft
    except OSError as error:
        raise UnavailableError(f"the report cannot be written to {out}: {error.strerror or error}") from error


def _swap(draft: Path, out: Path) -> None:
    """Put the new report in the place of the old one: two renames, so that no page of both is ever seen together."""
    old = draft.parent / "old"
    if out.exists():
        out.replace(old)
    try:
        draft.replace(out)
    except OSError:
        if old.exists():
            old.replace(out)
        raise
    shutil.rmtree(old, ignore_errors=True)
