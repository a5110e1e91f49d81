"""Writes into MLflow what the ledger has and MLflow does not: versions in their order, then aliases, then the rest.

It may be killed between any two requests. A version counts as tried before the first request for it is made; who
comes next finds what there is of it and goes on. Only when MLflow has all of it, the ledger lets go.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from datadriver.errors import ConfigError, DatadriverError
from datadriver.tracking import backlog, pending, queries
from datadriver.tracking.backlog import Note, Waiting
from datadriver.tracking.behind import Behind
from datadriver.tracking.liveness import milliseconds
from datadriver.tracking.mlflow_runs import Tracker
from datadriver.tracking.names import kept_path, model_uri
from datadriver.tracking.writer import Origin

_AT_ONCE = 8  # versions that are marked as tried together
_IN_A_ROW = 3  # failures, each for a reason of its own, after which the rest would fail alike

Teller = Callable[[Tracker, str], None]
"""Tells MLflow what a note of its kind is about."""


class Projector:
    """Brings one use case's results into MLflow; only one may be at work at a time (see `fleet.projection`).

    Attributes:
        tellers: who tells MLflow of other things than aliases, by kind of note.
        stopped: whether to end after the version at hand.
    """

    def __init__(
        self,
        behind: Behind,
        tracker: Tracker,
        tellers: Mapping[str, Teller],
        stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        from datadriver.tracking.api_writer import ApiWriter  # noqa: PLC0415 - importing MLflow takes 2 s

        self._ledger = behind.ledger
        self._outbox = behind.outbox
        self._tracker = tracker
        self._tellers = tellers
        self._stopped = stopped
        self._writer = ApiWriter(tracker.client, tracker.experiment_id)
        self._parents: dict[str, str] = {}
        self._given_up: set[int | tuple[str, str, str]] = set()
        self._failures = 0

    def step(self) -> bool:
        """Write what is next, a few versions or a few other things; says whether there was anything to do.

        What cannot be written for a reason of its own is noted, and passed over from then on.

        Raises:
            UnavailableError: the store does not answer; what was written is recorded.
            ConfigError: the store refuses access, or nothing of the last few could be written.
        """
        ids = {one for one in self._given_up if isinstance(one, int)}
        waiting = backlog.next_versions(self._ledger, _AT_ONCE, but=ids)
        with _once():
            for one in waiting:
                if self._stopped():
                    break
                with self._noting(one):
                    self._write(one)
            told = self._tell_all()
            ended = self._end_batches()
        return bool(waiting) or told or ended

    def clear(self) -> None:
        """Remove what is left in the outbox of versions that MLflow has."""
        running = {one.id for one in queries.batches(self._ledger, limit=1000) if one.state == "running"}
        self._outbox.sweep(backlog.waiting_paths(self._ledger), running)

    def _write(self, one: Waiting) -> None:
        """Write one version, and let the ledger name the place where it is in MLflow."""
        version = one.version
        origin = Origin(self._parent(one.batch), one.batch, "")
        with self._outbox.taken(version) as entry, self._tracker.asking():
            made = self._writer.write(
                origin, entry, number=version.version, at=milliseconds(version.created_at), again=one.again
            )
        uri, path = model_uri(made.name, made.number), kept_path(made.source, self._tracker.root)
        backlog.written(self._ledger, one, run_id=made.run_id, model_uri=uri, path=path)
        self._outbox.settle(version)

    def _parent(self, batch: str) -> str:
        """Return the parent run of a batch, made where there is none."""
        if batch not in self._parents:
            for one, run_id, _ in backlog.open_batches(self._ledger):
                if one.id == batch:
                    self._parents[batch] = run_id or self._tracker.parent_of(one)
                    backlog.batch_written(self._ledger, batch, run_id=self._parents[batch])
        return self._parents[batch]

    def _tell_all(self) -> bool:
        """Tell of aliases as soon as all versions of an instance are there, of other things once all versions are."""
        notes = [one for one in backlog.notes(self._ledger) if (one.kind, *one.about) not in self._given_up]
        aliases = [one for one in notes if one.kind == pending.ALIASES]
        wanted = backlog.aliases(self._ledger, [one.about for one in aliases])
        for one in aliases:
            with self._noting(one):
                says, name = wanted[one.about]
                self._tracker.point(name, says)
                backlog.told(self._ledger, one)
        waiting = backlog.backlog(self._ledger).versions > len([one for one in self._given_up if isinstance(one, int)])
        others = [] if waiting else [one for one in notes if one.kind != pending.ALIASES]
        for one in others:
            with self._noting(one):
                self._tellers[one.kind](self._tracker, one.content)
                backlog.told(self._ledger, one)
        return bool(aliases) or bool(others)

    def _end_batches(self) -> bool:
        """End the parent runs of batches that are over and whose versions are all there."""
        lacking = backlog.unfinished_batches(self._ledger)
        over = [one for one in backlog.open_batches(self._ledger) if one[0].state != "running"]
        ready = [one for one in over if one[0].id not in lacking]
        for batch, run_id, metrics in ready:
            self._tracker.end_parent(run_id or self._parent(batch.id), batch, metrics)
            backlog.batch_written(self._ledger, batch.id)
        return bool(ready)

    @contextmanager
    def _noting(self, what: Waiting | Note) -> Iterator[None]:
        """Note a failure that concerns this alone; a store that is down concerns all."""
        from mlflow.exceptions import MlflowException  # noqa: PLC0415 - as above

        try:
            yield
        except (ConfigError, MlflowException) as error:
            message = error.message if isinstance(error, DatadriverError) else f"MLflow says: {error.message}"
            backlog.failed(self._ledger, what, message)
            self._given_up.add(what.id if isinstance(what, Waiting) else (what.kind, *what.about))
            self._failures += 1
            if self._failures >= _IN_A_ROW:
                raise ConfigError(message) from error
        else:
            self._failures = 0


@contextmanager
def _once() -> Iterator[None]:
    """Keep MLflow's client from repeating requests: one whose answer was lost may have been carried out.

    Whoever repeats it must look first, which `ApiWriter.write` does.
    """
    name = "MLFLOW_HTTP_REQUEST_MAX_RETRIES"
    before = os.environ.get(name)
    os.environ[name] = "0"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
