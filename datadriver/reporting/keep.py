"""Keep the fleet page in MLflow, beside the figures of the window that it shows."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

from datadriver.config.slugs import slug
from datadriver.errors import DatadriverError
from datadriver.reporting.facts import FleetFacts
from datadriver.reporting.write import ReportResult
from datadriver.tracking.behind import Behind
from datadriver.tracking.mlflow_runs import Tracker
from datadriver.tracking.monitor_runs import record_report
from datadriver.tracking.pending import REPORT
from datadriver.tracking.records import instant_text


def kept(tracker: Callable[[], Tracker | Behind], result: ReportResult, facts: FleetFacts) -> ReportResult:
    """Upload the fleet page of a report, or keep it until MLflow is written behind the run.

    Where MLflow does not answer, the report says so and is there all the same.
    """
    assert facts.period.end is not None  # noqa: S101 - a report has a period with both ends
    try:
        store = tracker()
        if isinstance(store, Behind):
            _keep(store, result, instant_text(facts.period.end) or "")
        else:
            record_report(store, result.path, facts.period.end)
    except DatadriverError as error:
        return replace(result, notes=(*result.notes, f"The page is not in MLflow: {error.message}"))
    return result


def _keep(behind: Behind, result: ReportResult, end: str) -> None:
    page = behind.outbox.put_page(result.path, slug(end))
    behind.note(REPORT, json.dumps({"page": page, "end": end}), about=end)
