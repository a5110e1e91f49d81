"""What the ledger keeps, as frozen dataclasses: one per table, without a database in sight."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

Json = Mapping[str, Any]
State = Literal["trained", "unchanged", "rejected", "failed"]
BatchState = Literal["running", "done", "failed", "killed"]
ReleaseAction = Literal["promote", "rollback"]


class Key(NamedTuple):
    """What names an instance in the ledger: the unit's key and the model's name.

    >>> str(Key("P-101", "failure[horizon=1d]"))
    'P-101/failure[horizon=1d]'
    """

    unit: str
    model: str

    def __str__(self) -> str:
        return f"{self.unit}/{self.model}"


@dataclass(frozen=True)
class Batch:
    """One command at work: who started it, where, on which revision of the code."""

    id: str
    command: str
    started_at: str
    state: BatchState
    user: str
    host: str
    pid: int
    code_revision: str | None = None
    finished_at: str | None = None


@dataclass(frozen=True)
class Outcome:
    """What one batch did with one instance, and why; `exit_code` is that of the error, 0 if there was none."""

    batch: str
    unit: str
    model: str
    state: State
    reason: str = ""
    exit_code: int = 0
    result_key: str | None = None
    fingerprint: str | None = None
    seconds: float = 0.0
    at: str = ""

    @property
    def key(self) -> Key:
        """The instance."""
        return Key(self.unit, self.model)


@dataclass(frozen=True)
class VerdictRecord:
    """The contract's verdict on one asset at one stage."""

    batch: str
    asset: str
    stage: str
    action: str
    reason: str = ""
    checks: tuple[Json, ...] = ()
    rows: int = 0
    at: str = ""


@dataclass(frozen=True)
class Version:
    """One registered version of one instance's model: where its files are, and what was known when it was made.

    `path` is the MLflow model directory: relative to the use case's root where it lies below it, else absolute, or
    a URI where artefacts are remote. `metrics`, `seen` and `decision` are those of the `TrainResult`.
    """

    unit: str
    model: str
    version: int
    run_id: str
    model_uri: str
    path: str
    sha256: str
    result_key: str
    role: str
    method: str
    metrics: Mapping[str, Mapping[str, float | None]] = field(default_factory=dict)
    seen: Json = field(default_factory=dict)
    threshold: float | None = None
    decision: Json = field(default_factory=dict)
    created_at: str = ""

    @property
    def key(self) -> Key:
        """The instance."""
        return Key(self.unit, self.model)


@dataclass(frozen=True)
class ReleaseItem:
    """One change of champion; `version` is None where a rollback leaves the instance without one."""

    unit: str
    model: str
    version: int | None
    previous: int | None

    @property
    def key(self) -> Key:
        """The instance."""
        return Key(self.unit, self.model)


@dataclass(frozen=True)
class Release:
    """An append-only record of which versions became champions, when, why and by whom."""

    id: int
    at: str
    by: str
    action: ReleaseAction
    reason: str
    batch: str | None
    items: tuple[ReleaseItem, ...]


@dataclass(frozen=True)
class ScoreRecord:
    """One written stretch of scores of one asset: `[start, end)`, its last instant, and by which version.

    Instants are ISO 8601 text where the index is time, decimal digits where it is a step.
    """

    unit: str
    model: str
    asset: str
    start: str | None
    end: str | None
    last: str | None
    version: int
    rows: int
    alarms: int
    verdict: str
    path: str
    at: str = ""

    @property
    def key(self) -> Key:
        """The instance."""
        return Key(self.unit, self.model)
