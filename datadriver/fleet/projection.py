"""Bring into MLflow what it does not know yet: one projector at a time, patient with a server that is down."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from datadriver.errors import ConfigError, DatadriverError, UnavailableError
from datadriver.fleet.batches import batch
from datadriver.fleet.progress import Progress, Silent
from datadriver.tracking import leases, pending
from datadriver.tracking.backlog import Backlog, backlog
from datadriver.tracking.behind import Behind
from datadriver.tracking.mlflow_runs import Tracker
from datadriver.tracking.records import Batch, Key

if TYPE_CHECKING:
    from datadriver.tracking.projector import Projector, Teller

PATIENCE = 10.0
"""Seconds without success after which a projector that nothing else waits for gives up; the next one goes on."""

_LEASE = Key("", "mlflow")  # no instance has this name
_POLL_SECONDS = 0.5
_FIRST_WAIT, _LONGEST_WAIT = 1.0, 30.0


@dataclass(frozen=True)
class Lag:
    """How far MLflow is behind when a command ends, and the error that kept it from writing the rest."""

    left: Backlog
    error: DatadriverError | None = None


@dataclass
class Session:
    """A projector at work, for as long as a command wants it.

    Attributes:
        over: whether nothing will be added any more, so that it may end once all is written or `patience` is over.
        stop: set to end it after the version at hand.
        progress: who looks on; from when it is over.
    """

    behind: Behind
    over: Callable[[], bool] = lambda: True
    stop: threading.Event = field(default_factory=threading.Event)
    progress: Progress = field(default_factory=Silent)
    patience: float = PATIENCE

    def run(self) -> DatadriverError | None:
        """Write what is pending until it is over; returns why something is left, None if nothing is."""
        if self._wait_for_work():
            with Watch(self.behind, self.progress) as self._watch, batch(self.behind.ledger, "track") as made:
                return self._work(made)
        return None

    def _wait_for_work(self) -> bool:
        while not backlog(self.behind.ledger).total:
            if self.over() or self.stop.wait(_POLL_SECONDS):
                return False
        return True

    def _work(self, made: Batch) -> DatadriverError | None:
        self._since = time.monotonic()
        wait, projector = _FIRST_WAIT, None
        with self._leasing(made):
            while not self.stop.is_set():
                left = self._watch.look()
                if left.fewer:
                    self._since, wait = time.monotonic(), _FIRST_WAIT
                try:
                    self._take_turn(made)
                    projector = projector or self._open()
                    if projector.step():
                        continue
                except UnavailableError as error:
                    if self._out_of_patience():
                        return error
                    self.stop.wait(wait)
                    wait = min(2 * wait, _LONGEST_WAIT) if not self.over() else wait
                    continue
                except ConfigError as error:
                    return error
                if self.over():
                    projector.clear()
                    return _rest(backlog(self.behind.ledger))
                self.stop.wait(_POLL_SECONDS)
        return UnavailableError("writing to MLflow was ended before all was written")

    def _out_of_patience(self) -> bool:
        """Whether nothing was written for so long that it is left to a later command."""
        if not self.over():
            self._since = time.monotonic()
        return time.monotonic() - self._since > self.patience

    def _take_turn(self, made: Batch) -> None:
        """Hold the lease of all projectors; another one at work is as good as this one.

        Raises:
            UnavailableError: another one has it.
        """
        ledger = self.behind.ledger
        if not leases.take(ledger, [_LEASE], made.id):
            holder = leases.holders(ledger, [_LEASE]).get(_LEASE, "of another command")
            raise UnavailableError(f"batch {holder} is writing to MLflow, without success so far")

    @contextmanager
    def _leasing(self, made: Batch) -> Iterator[None]:
        with leases.renewing(self.behind.ledger, made.id):
            yield

    def _open(self) -> Projector:
        from datadriver.tracking.projector import Projector  # noqa: PLC0415 - MLflow

        behind = self.behind
        tracker = Tracker.open(behind.usecase, behind.root, bulk=False)
        return Projector(behind, tracker, _tellers(behind), self.stop.is_set)


def drain(behind: Behind, progress: Progress) -> Lag:
    """Write what is pending, here and now."""
    error = Session(behind, progress=progress).run()
    return Lag(backlog(behind.ledger), error)


@dataclass
class Left:
    """Why something was left to a later command."""

    error: DatadriverError | None = None


@contextmanager
def leaving() -> Iterator[Left]:
    """Let Ctrl-C end the block and nothing else: what is not written stays pending."""
    left = Left()
    try:
        yield left
    except KeyboardInterrupt as interrupt:
        if interrupt.args and interrupt.args[0] != signal.SIGINT:
            raise
        left.error = UnavailableError("interrupted")


@dataclass
class Seen:
    """How much is left, and whether it became less."""

    left: Backlog
    fewer: bool


class Watch:
    """Shows an onlooker how the backlog shrinks, whoever writes."""

    def __init__(self, behind: Behind, progress: Progress) -> None:
        self._ledger = behind.ledger
        self._progress = progress
        self._left = 0

    def __enter__(self) -> Watch:
        """Begin."""
        self._left = backlog(self._ledger).total
        self._progress.begin("writing to MLflow", self._left)
        return self

    def __exit__(self, *error: object) -> None:
        """End."""
        with suppress(DatadriverError):
            self.look()
        self._progress.end()

    def look(self) -> Seen:
        """Ask the ledger and tell the onlooker."""
        now = backlog(self._ledger)
        fewer = now.total < self._left
        for _ in range(self._left - now.total):
            self._progress.advance()
        self._left = now.total
        return Seen(now, fewer)


def _rest(left: Backlog) -> DatadriverError | None:
    """Say why something is left although the store answers."""
    if not left.total:
        return None
    return ConfigError(f"{left.total:,} entries cannot be written to MLflow; one of them: {left.problem}")


def _tellers(behind: Behind) -> dict[str, Teller]:
    from datadriver.data.window import parse_instant  # noqa: PLC0415 - pandas
    from datadriver.fleet.monitor_outputs import record_runs  # noqa: PLC0415 - pandas

    usecase, root, ledger = behind.usecase, behind.root, behind.ledger

    def monitoring(tracker: Tracker, content: str) -> None:
        record_runs(usecase, root, ledger, lambda: tracker, parse_instant(content, usecase))

    def report(tracker: Tracker, content: str) -> None:
        from datadriver.tracking.monitor_runs import record_report  # noqa: PLC0415 - MLflow

        said = json.loads(content)
        page = Path(root, said["page"])
        if page.exists():
            record_report(tracker, page, parse_instant(said["end"], usecase))
            page.unlink(missing_ok=True)

    return {pending.MONITORING: monitoring, pending.REPORT: report}
