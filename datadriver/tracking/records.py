"""What the ledger keeps, as frozen dataclasses: one per table, without a database in sight."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import UTC, datetime
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
    """One command at work: who started it, where, on which revision of the code.

    `finished_at` is when it ended; of one that was killed, when it was cleared up after it, if somebody did.
    """

    id: str
    command: str
    started_at: str
    alive_at: str
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


def instant_text(instant: datetime | int | None) -> str | None:
    """An instant as the ledger keeps it: ISO 8601 in UTC with microseconds, or the digits of a step.

    >>> instant_text(datetime(2026, 1, 1, tzinfo=UTC)), instant_text(17)
    ('2026-01-01T00:00:00.000000+00:00', '17')
    """
    if instant is None:
        return None
    if isinstance(instant, datetime):
        return instant.astimezone(UTC).isoformat(timespec="microseconds")
    return str(int(instant))


def instant_order(text: str | None) -> tuple[float, str]:
    """Sort key of what `instant_text` writes: earlier instants are smaller, None is smallest.

    >>> max("9", "10", key=instant_order)
    '10'
    """
    if text is None:
        return (-math.inf, "")
    if text.lstrip("-").isdigit():
        return (int(text), "")
    return (0, text)


def plain(value: Any) -> Any:  # noqa: PLR0911 - one for each kind of value
    """What JSON can say of a value: dataclasses as objects, numpy numbers as numbers, NaN and infinity as null."""
    kind = type(value)  # most are of these, and asking for abstract classes takes longest
    if kind is str or kind is int or kind is bool or value is None:
        return value
    if kind is float:
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    if is_dataclass(value) and not isinstance(value, type):
        return {one.name: plain(getattr(value, one.name)) for one in fields(value)}
    if hasattr(value, "tolist"):  # numpy scalars and arrays, without importing numpy
        return plain(value.tolist())
    return _plain_scalar(value)


def _plain_scalar(value: Any) -> str | bool | int | float | None:
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if value != value:  # noqa: PLR0124 - NaN and pandas' NaT
        return None
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, datetime):
        return instant_text(value)
    return str(value)
