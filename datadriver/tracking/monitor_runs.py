"""Monitoring in MLflow: figures by window on the champions' own runs, and one long-lived run of the fleet."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from datadriver.tracking.ledger import Ledger
from datadriver.tracking.mlflow_runs import Tracker

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class MonitorRuns:
    """What was recorded: `run_id` of the fleet's run, windows and instances, and instances whose run is gone."""

    run_id: str
    windows: int
    instances: int
    missing: tuple[str, ...] = ()


def record_monitor_runs(
    tracker: Tracker, ledger: Ledger, *, facts: pd.DataFrame, window: timedelta | int, report: Path | None = None
) -> MonitorRuns:
    """Record what monitoring found and MLflow does not know yet; the same again adds nothing.

    Args:
        tracker: the experiment of the use case.
        ledger: knows the run of each version.
        facts: of the whole fleet (as `monitoring.store.read_facts` gives them, also of assets and windows that this
            run did not look at) over all windows that were written now, better over the last `monitor.history`
            windows: what an earlier run could not record, because MLflow was down, is then recorded as well. Rows
            written after the newest that MLflow knows of are new.
        window: `monitor.window_of(...)`; the step of a metric is the ordinal of its window.
        report: page of the fleet, kept beside the newest window's facts.

    Raises:
        UnavailableError: the store does not answer; nothing is lost, the next run records it.
    """
    raise NotImplementedError


def record_report(tracker: Tracker, page: Path, end: pd.Timestamp | int) -> None:
    """Keep the fleet page of a report that reaches to `end` in the fleet's run, as `reports/<end>/fleet.html`."""
    raise NotImplementedError
