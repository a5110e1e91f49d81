"""Where verdicts go once they are in the ledger: MLflow, the OpenMetrics file, messages. None of it can lose them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from datadriver.config.fleet import Asset
from datadriver.config.sections import UseCase
from datadriver.data.window import Instant, Window
from datadriver.errors import DatadriverError
from datadriver.fleet.outcomes import Miss
from datadriver.monitoring.store import monitor_path, read_facts
from datadriver.monitoring.windows import back, length_of, whole_windows
from datadriver.tracking.behind import Behind
from datadriver.tracking.ledger import Ledger
from datadriver.tracking.mlflow_runs import Tracker
from datadriver.tracking.pending import MONITORING
from datadriver.tracking.records import instant_text


@dataclass
class HandedOn:
    """What went out: how many messages, the metrics file, and what did not go out and why."""

    sent: int = 0
    metrics: Path | None = None
    misses: list[Miss] = field(default_factory=list)

    @property
    def unsent(self) -> tuple[Miss, ...]:
        """What did not go out."""
        return tuple(self.misses)

    @contextmanager
    def noting(self, name: str) -> Iterator[None]:
        """Turn a failure into a miss."""
        try:
            yield
        except DatadriverError as error:
            self.misses.append(Miss(name, error.message, error.exit_code))


def hand_on(  # noqa: PLR0913 - the stores of a use case
    usecase: UseCase,
    root: Path,
    ledger: Ledger,
    tracker: Callable[[], Tracker | Behind],
    fleet: Sequence[Asset],
    *,
    end: Instant,
) -> HandedOn:
    """Tell everybody what the ledger knows by now; what fails is tried again by the next run."""
    handed = HandedOn()
    with handed.noting("MLflow"):
        record_runs(usecase, root, ledger, tracker, end)
    with handed.noting("metrics"):
        handed.metrics = _write_metrics(usecase, root, ledger, fleet)
    with handed.noting("messages"):
        _send(usecase, root, ledger, fleet, handed)
    return handed


def record_runs(
    usecase: UseCase, root: Path, ledger: Ledger, tracker: Callable[[], Tracker | Behind], end: Instant
) -> None:
    """Record in MLflow what monitoring found up to `end`, or note that it is to be recorded behind the run."""
    from datadriver.tracking.monitor_runs import record_monitor_runs  # noqa: PLC0415 - MLflow

    first = back(usecase, end, usecase.monitor.history)
    windows = [*whole_windows(usecase, first, end), Window(back(usecase, end, 0), None)]
    # One window of the whole fleet at a time: all of them together would need gigabytes for ten thousand models.
    parts = (read_facts(monitor_path(usecase, root), window=window) for window in windows)
    some = next((part for part in parts if len(part)), None)
    if some is None:
        return
    store = tracker()
    if isinstance(store, Behind):
        store.note(MONITORING, instant_text(end) or "")
    else:
        record_monitor_runs(store, ledger, facts=chain([some], parts), window=length_of(usecase))


def _write_metrics(usecase: UseCase, root: Path, ledger: Ledger, fleet: Sequence[Asset]) -> Path | None:
    from datadriver.monitoring.openmetrics import metrics_path, write_metrics  # noqa: PLC0415 - prometheus_client

    path = metrics_path(usecase, root)
    if path is not None:
        write_metrics(path, ledger, usecase, [asset.id for asset in fleet])
    return path


def _send(usecase: UseCase, root: Path, ledger: Ledger, fleet: Sequence[Asset], handed: HandedOn) -> None:
    from datadriver.monitoring.failure_notices import send_failures  # noqa: PLC0415 - Apprise
    from datadriver.monitoring.notify import send_notices  # noqa: PLC0415 - Apprise

    page = root / ".datadriver" / "report" / "index.html"
    told = send_notices(ledger, usecase, fleet, report=str(page) if page.exists() else None)
    failures = send_failures(ledger, usecase, fleet)
    handed.sent = told.messages + failures.messages
    handed.misses += [Miss(one.name, one.reason, one.exit_code) for one in (*told.unsent, *failures.unsent)]
