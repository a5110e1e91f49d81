"""Where scores go: into the scores table and the ledger, or into a folder from which they are published later."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from datadriver import failpoints
from datadriver.data.window import format_instant
from datadriver.serving.scores import Stretch, scores_name, write_scores
from datadriver.tracking.ledger import Ledger
from datadriver.tracking.records import ScoreRecord, VerdictRecord


class ScoreStore(Protocol):
    """Takes the scores of a group of assets."""

    @property
    def path(self) -> str:
        """Where they are then: a folder or an fsspec URL."""

    def put(self, stretches: Sequence[Stretch], verdicts: Sequence[VerdictRecord]) -> list[ScoreRecord]:
        """Take scores and the verdicts on the data behind them, and return a record of each stretch."""


@dataclass(frozen=True)
class Published:
    """The scores table at `path`, and the ledger that says what is in it."""

    ledger: Ledger
    path: str

    def put(self, stretches: Sequence[Stretch], verdicts: Sequence[VerdictRecord]) -> list[ScoreRecord]:
        """Write files first and the ledger second: killed in between, the same files are written again.

        The same scores again change nothing, unless another version has scored since: then they are the newest again.
        """
        self.ledger.record_verdicts(verdicts)
        if not stretches:
            return []
        name = scores_name(stretches)
        records = [record_of(stretch, name) for stretch in stretches]
        new = self.ledger.unrecorded(records)
        write_scores(self.path, stretches, anew=bool(new))
        failpoints.reach("scores-written")
        self.ledger.record_scores(new)
        return records


def record_of(stretch: Stretch, name: str) -> ScoreRecord:
    """Return what the ledger says of a stretch that is in the files of a name."""
    frame, window = stretch.frame, stretch.window
    last = frame.index[-1] if len(frame) else None
    return ScoreRecord(
        unit=stretch.unit,
        model=stretch.model,
        asset=stretch.asset,
        start=None if window.start is None else format_instant(window.start),
        end=None if window.end is None else format_instant(window.end),
        last=None if last is None else format_instant(last),
        version=stretch.version,
        rows=len(frame),
        alarms=int(frame["alarm"].sum()),
        verdict=stretch.verdict,
        path=name,
    )
