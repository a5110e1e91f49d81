"""Monitoring in MLflow: figures by window on the champions' own runs, and one long-lived run of the fleet.

A metric's step is the ordinal of its window since 1970 (or since step 0), its time the window's end, so that what is
recorded twice is the same to MLflow and stays once. Which rows are new is known from a tag of the fleet's run.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import sqlalchemy as sa

from datadriver.tracking import schema
from datadriver.tracking.ledger import Ledger
from datadriver.tracking.mlflow_runs import Tracker
from datadriver.tracking.monitor_figures import INSTANCE, fleet_figures, instance_figures
from datadriver.tracking.run_content import mlflow_key
from datadriver.tracking.writer import Figure

KIND = ("datadriver.kind", "monitoring")
"""Name and value of the tag by which the fleet's run is found."""

_WRITTEN = "datadriver.monitoring.written_at"  # newest fact that is recorded already
Judged = tuple[str, str, int]
"""Unit, model and version."""

_AT_ONCE = 10_000  # figures in one transaction, where the store is a database


@dataclass(frozen=True)
class MonitorRuns:
    """What was recorded: the fleet's run, how many windows and instances, and instances whose own run is gone."""

    run_id: str
    windows: int = 0
    instances: int = 0
    gone: tuple[str, ...] = ()


def record_monitor_runs(
    tracker: Tracker,
    ledger: Ledger,
    *,
    facts: Iterable[pd.DataFrame],
    window: timedelta | int,
    report: Path | None = None,
) -> MonitorRuns:
    """Record what monitoring found and MLflow does not know yet; the same again adds nothing.

    Args:
        tracker: the experiment of the use case.
        ledger: knows the run of each version.
        facts: some windows after the others, each of them whole: of the whole fleet (as `monitoring.store.read_facts`
            gives them, also of assets that this run did not look at). Of all windows that were written now, better of
            the last `monitor.history` windows: what an earlier run could not record, because MLflow was down, is then
            recorded as well.
        window: `UseCase.monitor_window`.
        report: page of the fleet, kept beside the newest window's facts.

    Raises:
        UnavailableError: the store does not answer; nothing is lost, the next run records it.
    """
    with _asking(tracker):
        run_id, written = _fleet_run(tracker)
        took: dict[Judged, bool] = {}
        ends: set[Any] = set()
        newest = written
        for part in facts:
            new = part if written is None else part[part["written_at"] > written]
            if new.empty:
                continue
            took |= _record_instances(tracker, ledger, new, window)
            touched = part[part["window_end"].isin(new["window_end"].unique())]
            tracker.writer.add_figures({run_id: list(_figures(fleet_figures(touched), window))})
            _keep(tracker, run_id, touched)
            ends |= set(touched["window_end"])
            newest = max(new["written_at"].max(), newest or new["written_at"].max())
        if ends and newest is not None:
            if report is not None:
                _keep_page(tracker, run_id, report, max(ends))
            tracker.client.set_tag(run_id, _WRITTEN, newest.isoformat())
            tracker.client.set_terminated(run_id)
    gone = tuple(f"{unit}/{model} version {version}" for (unit, model, version), ours in took.items() if not ours)
    return MonitorRuns(run_id, len(ends), len(took) - len(gone), gone)


def record_report(tracker: Tracker, page: Path, end: pd.Timestamp | int) -> None:
    """Keep the fleet page of a report that reaches to `end` in the fleet's run, as `reports/<end>/fleet.html`."""
    with _asking(tracker):
        run_id, _ = _fleet_run(tracker)
        _keep_page(tracker, run_id, page, end)
        tracker.client.set_terminated(run_id)


def _asking(tracker: Tracker) -> AbstractContextManager[None]:
    from datadriver.tracking.mlflow_store import answering  # noqa: PLC0415 - importing MLflow takes 2 s

    return answering(tracker.uri)


def _fleet_run(tracker: Tracker) -> tuple[str, pd.Timestamp | None]:
    """Return the id of the fleet's run, made where there is none, and until when it was written."""
    client, condition = tracker.client, f"tags.`{KIND[0]}` = '{KIND[1]}'"
    found = client.search_runs([tracker.experiment_id], condition, order_by=["attributes.start_time ASC"])
    if found:
        text = found[0].data.tags.get(_WRITTEN)
        return str(found[0].info.run_id), pd.Timestamp(text) if text else None
    tags = dict([KIND, ("mlflow.source.name", "datadriver monitor"), ("mlflow.source.type", "PROJECT")])
    run = client.create_run(tracker.experiment_id, tags=tags, run_name="monitoring")
    client.set_terminated(run.info.run_id)  # at once, so that no kill leaves it unfinished
    return str(run.info.run_id), None


def _record_instances(
    tracker: Tracker, ledger: Ledger, new: pd.DataFrame, window: timedelta | int
) -> dict[Judged, bool]:
    """Add the figures of each version to the run of its training, many at a time, and say which runs took them."""
    figures, runs = instance_figures(new), _run_ids(ledger)
    took: dict[Judged, bool] = {}
    for start in range(0, len(figures), _AT_ONCE):
        some = figures[start : start + _AT_ONCE]
        judged = list(zip(*(some[name].tolist() for name in INSTANCE), strict=True))
        by_run: dict[str, list[Figure]] = {}
        for key, figure in zip(judged, _figures(some, window), strict=True):
            if key in runs:
                by_run.setdefault(runs[key], []).append(figure)
        there = tracker.writer.add_figures(by_run)
        took |= {key: runs.get(key) in there for key in judged}
    return took


def _run_ids(ledger: Ledger) -> Mapping[Judged, str]:
    table = schema.versions.c
    with ledger.reading() as connection:
        found = connection.execute(sa.select(table.unit, table.model, table.version, table.run_id)).all()
    return {(unit, model, version): run_id for unit, model, version, run_id in found}


def _figures(figures: pd.DataFrame, window: timedelta | int) -> Iterator[Figure]:
    starts, ends = figures["window_start"], figures["window_end"]
    if isinstance(window, timedelta):
        steps = starts.astype("int64") // (window // timedelta(microseconds=1))
        times = ends.astype("int64") // 1000
    else:
        steps, times = starts // window, ends.clip(lower=0)  # a step has no time; MLflow wants one, the same each time
    names = figures["name"].map({name: mlflow_key(name) for name in figures["name"].unique()})
    columns = (names, figures["value"], times, steps)
    return (Figure(*row) for row in zip(*(column.tolist() for column in columns), strict=True))


def _keep(tracker: Tracker, run_id: str, facts: pd.DataFrame) -> None:
    """Upload each window's facts."""
    with tempfile.TemporaryDirectory() as folder:
        for end, rows in facts.groupby("window_end"):
            place = Path(folder, _named(end))
            place.mkdir()
            rows.to_parquet(place / "facts.parquet", index=False, compression="zstd")
        tracker.client.log_artifacts(run_id, folder, "reports")


def _keep_page(tracker: Tracker, run_id: str, page: Path, end: pd.Timestamp | int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        shutil.copyfile(page, Path(folder, "fleet.html"))
        tracker.client.log_artifacts(run_id, folder, f"reports/{_named(end)}")


def _named(end: Any) -> str:
    """Name the end of a window as a folder: its date, with the time of day if that says something.

    >>> _named(pd.Timestamp("2026-03-02", tz="UTC")), _named(pd.Timestamp("2026-03-02T06:00Z")), _named(300)
    ('2026-03-02', '2026-03-02T06-00', 'step-300')
    """
    if not isinstance(end, pd.Timestamp):
        return f"step-{int(end)}"
    return end.strftime("%Y-%m-%d" if end == end.normalize() else "%Y-%m-%dT%H-%M")
