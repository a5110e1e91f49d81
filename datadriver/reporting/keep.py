"""Keep the fleet page in MLflow, beside the figures of the window that it shows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from datadriver.errors import DatadriverError
from datadriver.reporting.facts import FleetFacts
from datadriver.reporting.write import ReportResult
from datadriver.tracking.mlflow_runs import Tracker
from datadriver.tracking.monitor_runs import record_report


def kept(tracker: Callable[[], Tracker], result: ReportResult, facts: FleetFacts) -> ReportResult:
    """Upload the fleet page of a report; where MLflow does not answer, the report says so and is there all the same."""
    assert facts.period.end is not None  # noqa: S101 - a report has a period with both ends
    try:
        record_report(tracker(), result.path, facts.period.end)
    except DatadriverError as error:
        return replace(result, notes=(*result.notes, f"The page is not in MLflow: {error.message}"))
    return result
