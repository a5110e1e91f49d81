"""Write the pages of some assets, inside of a worker: what is stored about them is read once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from datadriver.config.fleet import Asset
from datadriver.config.resolve import resolve
from datadriver.config.sections import UseCase
from datadriver.data.window import Window, as_number
from datadriver.errors import ConfigError, UnavailableError
from datadriver.monitoring.store import monitor_path, read_facts, read_series
from datadriver.reporting.asset_page import render_asset
from datadriver.reporting.bands import Bound, contract_bounds
from datadriver.reporting.curves import ScoreTerms, check_curves, score_curves, tag_curves, tags_of, told
from datadriver.reporting.facts import AssetFacts, AssetLine, CheckCurve, Heading, Mark, ScoreCurve, TagCurve
from datadriver.serving.scores import read_scores, scores_path

TREND_COLUMNS = ("model", "check", "window_start", "window_end", "outcome", "value", "limit", "measure")


@dataclass(frozen=True)
class AssetPage:
    """One page to write: the asset, its neighbours on the fleet page, and what only the parent knows."""

    line: AssetLine
    before: tuple[str, str] | None = None
    after: tuple[str, str] | None = None
    events: tuple[Mark, ...] = ()
    terms: Mapping[tuple[str, str], ScoreTerms] = field(default_factory=dict)


@dataclass(frozen=True)
class PageJob:
    """What a worker needs to write the pages of some assets into a folder."""

    folder: Path
    root: Path
    usecase: UseCase
    heading: Heading
    period: Window
    pages: tuple[AssetPage, ...]
    models: Mapping[str, str]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class PagesWritten:
    """What came of one job: bytes written, and the facts of model checks for the pages of models."""

    bytes: int
    facts: pd.DataFrame


def write_pages(job: PageJob) -> PagesWritten:
    """Write the pages of some assets.

    Raises:
        UnavailableError: what is stored cannot be read, or the folder cannot be written.
    """
    stored = _Stored.read(job)
    written = 0
    for page in job.pages:
        text = render_asset(_asset_facts(job, page, stored)).encode()
        written += len(text)
        try:
            (job.folder / page.line.page).write_bytes(text)
        except OSError as error:
            raise UnavailableError(
                f"the report cannot be written to {job.folder}: {error.strerror or error}"
            ) from error
    return PagesWritten(written, stored.facts.loc[stored.facts["model"] != "", list(TREND_COLUMNS)])


@dataclass(frozen=True)
class _Stored:
    """What is stored about the assets of a job, as curves by asset; `facts` are the rows behind the checks."""

    facts: pd.DataFrame
    checks: Mapping[str, tuple[CheckCurve, ...]]
    tags: Mapping[str, tuple[TagCurve, ...]]
    scores: Mapping[str, tuple[ScoreCurve, ...]]

    @classmethod
    def read(cls, job: PageJob) -> _Stored:
        ids = [page.line.id for page in job.pages]
        path, terms = monitor_path(job.usecase, job.root), {page.line.id: page.terms for page in job.pages}
        facts = read_facts(path, assets=ids, window=job.period)
        series = read_series(path, assets=ids, window=job.period)
        scores = read_scores(scores_path(job.root, job.usecase.scores.path), assets=ids, window=job.period)
        return cls(facts, check_curves(facts), tag_curves(series), score_curves(scores, terms))


def _asset_facts(job: PageJob, page: AssetPage, stored: _Stored) -> AssetFacts:
    line = page.line
    own = resolve(job.usecase, Asset(line.id, line.attributes))
    assert job.period.start is not None  # noqa: S101 - a report has a period with both ends
    assert job.period.end is not None  # noqa: S101
    bounds, notes = _bounds(own, job.root)
    return AssetFacts(
        heading=job.heading,
        line=line,
        start=as_number(job.period.start),
        end=as_number(job.period.end),
        tags=told(stored.tags.get(line.id, ()), tags_of(own), bounds),
        scores=stored.scores.get(line.id, ()),
        checks=stored.checks.get(line.id, ()),
        models=job.models,
        events=page.events,
        notes=(*job.notes, *notes),
        before=page.before,
        after=page.after,
    )


def _bounds(usecase: UseCase, root: Path) -> tuple[Mapping[str, tuple[Bound, ...]], tuple[str, ...]]:
    try:
        return contract_bounds(usecase.contract, root), ()
    except ConfigError as error:
        return {}, (f"Limits of the contract are not shown: {error.message}",)
