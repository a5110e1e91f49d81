"""Monitoring in MLflow: figures by window on the champions' own runs, and one long-lived run of the fleet.

A metric's step is the ordinal of its window since 1970 (or since step 0), its time the window's end, so that what is
recorded twice is the same to MLflow and stays once. Which rows are new is known from a tag of the fleet's run.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import sqlalchemy as sa

from datadriver.tracking import schema
from datadriver.tracking.ledger import Ledger
from datadriver.tracking.mlflow_runs import Tracker
from datadriver.tracking.monitor_figures import INSTANCE, fleet_figures, instance_figures
from datadriver.tracking.run_content import mlflow_key

if TYPE_CHECKING:
    from mlflow.entities import Metric

KIND = ("datadriver.kind", "monitoring")
"""Name and value of the tag by which the fleet's run is found."""

_WRITTEN = "datadriver.monitoring.written_at"  # newest fact that is recorded already
_REQUEST_LIMIT = 1000  # metrics that one request may carry


@dataclass(frozen=True)
class MonitorRuns:
    """What was recorded: the fleet's run, how many windows and instances, and instances whose own run is gone."""

    run_id: str
    windows: int = 0
    instances: int = 0
    gone: tuple[str, ...] = ()


def record_monitor_runs(
    tracker: Tracker, ledger: Ledger, *, facts: pd.DataFrame, window: timedelta | int, report: Path | None = None
) -> MonitorRuns:
    """Record what monitoring found and MLflow does not know yet; the same again adds nothing.

    Args:
        tracker: the experiment of the use case.
        ledger: knows the run of each version.
        facts: of the whole fleet (as `monitoring.store.read_facts` gives them, also of assets that this run did not
            look at) over all windows that were written now, better over the last `monitor.history` windows: what an
            earlier run could not record, because MLflow was down, is then recorded as well.
        window: `UseCase.monitor_window`.
        report: page of the fleet, kept beside the newest window's facts.

    Raises:
        UnavailableError: the store does not answer; nothing is lost, the next run records it.
    """
    with _asking(tracker):
        run_id, written = _fleet_run(tracker)
        new = facts if written is None else facts[facts["written_at"] > pd.Timestamp(written)]
        if new.empty:
            return MonitorRuns(run_id)
        instances, gone = _record_instances(tracker, ledger, new, window)
        touched = facts[facts["window_end"].isin(new["window_end"].unique())]
        _log(tracker, run_id, fleet_figures(touched), window)
        _keep(tracker, run_id, touched, report)
        tracker.client.set_tag(run_id, _WRITTEN, new["written_at"].max().isoformat())
        tracker.client.set_terminated(run_id)
    return MonitorRuns(run_id, touched["window_end"].nunique(), instances, gone)


def record_report(tracker: Tracker, page: Path, end: pd.Timestamp | int) -> None:
    """Keep the fleet page of a report that reaches to `end` in the fleet's run, as `reports/<end>/fleet.html`."""
    with _asking(tracker):
        run_id, _ = _fleet_run(tracker)
        with tempfile.TemporaryDirectory() as folder:
            shutil.copyfile(page, Path(folder, "fleet.html"))
            tracker.client.log_artifacts(run_id, folder, f"reports/{_named(end)}")
        tracker.client.set_terminated(run_id)


def _asking(tracker: Tracker) -> AbstractContextManager[None]:
    from datadriver.tracking.mlflow_store import answering  # noqa: PLC0415 - importing MLflow takes 2 s

    return answering(tracker.uri)


def _fleet_run(tracker: Tracker) -> tuple[str, str | None]:
    """Return the id of the fleet's run, made where there is none, and until when it was written."""
    client, condition = tracker.client, f"tags.`{KIND[0]}` = '{KIND[1]}'"
    found = client.search_runs([tracker.experiment_id], condition, order_by=["attributes.start_time ASC"])
    if found:
        return str(found[0].info.run_id), found[0].data.tags.get(_WRITTEN)
    tags = dict([KIND, ("mlflow.source.name", "datadriver monitor"), ("mlflow.source.type", "PROJECT")])
    run = client.create_run(tracker.experiment_id, tags=tags, run_name="monitoring")
    client.set_terminated(run.info.run_id)  # at once, so that no kill leaves it unfinished
    return str(run.info.run_id), None


def _record_instances(
    tracker: Tracker, ledger: Ledger, new: pd.DataFrame, window: timedelta | int
) -> tuple[int, tuple[str, ...]]:
    """Log the figures of each instance on the run of the version that was judged, in one request each."""
    figures, runs = instance_figures(new), _run_ids(ledger)
    done, gone = 0, []
    for (unit, model, version), rows in figures.groupby(INSTANCE):
        run_id = runs.get((str(unit), str(model), int(str(version))))
        if run_id is not None and _log_unless_deleted(tracker, run_id, rows, window):
            done += 1
        else:
            gone.append(f"{unit}/{model} version {version}")
    return done, tuple(gone)


def _run_ids(ledger: Ledger) -> Mapping[tuple[str, str, int], str]:
    table = schema.versions.c
    with ledger.reading() as connection:
        found = connection.execute(sa.select(table.unit, table.model, table.version, table.run_id)).all()
    return {(unit, model, version): run_id for unit, model, version, run_id in found}


def _log_unless_deleted(tracker: Tracker, run_id: str, figures: pd.DataFrame, window: timedelta | int) -> bool:
    from mlflow.exceptions import MlflowException  # noqa: PLC0415 - loaded with the client, not before

    try:
        _log(tracker, run_id, figures, window)
    except MlflowException as error:
        if error.error_code not in {"INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST"}:
            raise
        if _exists(tracker, run_id):
            raise
        return False
    return True


def _exists(tracker: Tracker, run_id: str) -> bool:
    from mlflow.exceptions import MlflowException  # noqa: PLC0415 - as above

    try:
        return bool(tracker.client.get_run(run_id).info.lifecycle_stage == "active")
    except MlflowException:
        return False


def _log(tracker: Tracker, run_id: str, figures: pd.DataFrame, window: timedelta | int) -> None:
    metrics = list(_metrics(figures, window))
    for start in range(0, len(metrics), _REQUEST_LIMIT):
        tracker.client.log_batch(run_id, metrics[start : start + _REQUEST_LIMIT])


def _metrics(figures: pd.DataFrame, window: timedelta | int) -> Iterator[Metric]:
    from mlflow.entities import Metric  # noqa: PLC0415 - as above

    starts, ends = figures["window_start"], figures["window_end"]
    if isinstance(window, timedelta):
        steps = starts.astype("int64") // (window // timedelta(microseconds=1))
        times = ends.astype("int64") // 1000
    else:
        steps, times = starts // window, ends.clip(lower=0)  # a step has no time; MLflow wants one, the same each time
    for name, value, step, time in zip(figures["name"], figures["value"], steps, times, strict=True):
        yield Metric(mlflow_key(name), float(value), int(time), int(step))


def _keep(tracker: Tracker, run_id: str, facts: pd.DataFrame, report: Path | None) -> None:
    """Upload each window's facts, and the report beside those of the newest."""
    with tempfile.TemporaryDirectory() as folder:
        for end, rows in facts.groupby("window_end"):
            place = Path(folder, _named(end))
            place.mkdir()
            rows.to_parquet(place / "facts.parquet", index=False, compression="zstd")
        if report is not None:
            shutil.copyfile(report, Path(folder, _named(facts["window_end"].max()), "fleet.html"))
        tracker.client.log_artifacts(run_id, folder, "reports")


def _named(end: Any) -> str:
    """Name the end of a window as a folder: its date, with the time of day if that says something.

    >>> _named(pd.Timestamp("2026-03-02", tz="UTC")), _named(pd.Timestamp("2026-03-02T06:00Z")), _named(300)
    ('2026-03-02', '2026-03-02T06-00', 'step-300')
    """
    if not isinstance(end, pd.Timestamp):
        return f"step-{int(end)}"
    return end.strftime("%Y-%m-%d" if end == end.normalize() else "%Y-%m-%dT%H-%M")
