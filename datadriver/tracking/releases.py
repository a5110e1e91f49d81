"""Promotion and rollback: the gate, the append-only record, and the MLflow aliases that mirror it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from datadriver.config.fleet import Instance
from datadriver.tracking.ledger import Ledger
from datadriver.tracking.mlflow_runs import Tracker
from datadriver.tracking.records import Key, Release


@dataclass(frozen=True)
class Candidate:
    """What `promote` would do with one instance: `promotes` says whether, `reason` why or why not."""

    key: Key
    champion: int | None
    challenger: int | None
    promotes: bool
    reason: str


@dataclass(frozen=True)
class Drift:
    """An instance whose MLflow alias `champion` is not what the ledger says."""

    key: Key
    ledger: int | None
    mlflow: int | None


def diff(
    ledger: Ledger,
    instances: Collection[Instance],
    *,
    version: int | None = None,
    force: bool = False,
    manual: bool = True,
) -> tuple[Candidate, ...]:
    """What `promote` would change, one candidate per instance; `manual=False` holds back `approval: manual`."""
    raise NotImplementedError


def promote(
    ledger: Ledger,
    tracker: Tracker | None,
    instances: Collection[Instance],
    *,
    by: str,
    reason: str = "",
    version: int | None = None,
    force: bool = False,
    manual: bool = True,
    batch: str | None = None,
) -> tuple[Release | None, tuple[Candidate, ...]]:
    """Make the challengers that pass the gate champions: ledger first, then MLflow aliases.

    `manual=False` is for `train` and `run`, which never promote models with `approval: manual`; `force` ignores the
    gate's decision; `version` names one instead of the newest. No release is made where nothing changes.
    """
    raise NotImplementedError


def rollback(
    ledger: Ledger,
    tracker: Tracker | None,
    *,
    by: str,
    reason: str,
    instances: Collection[Key] | None = None,
    release: int | None = None,
) -> Release:
    """Give chosen instances, or all of one release, the champion that they had before.

    Raises:
        ConfigError: an instance has no earlier champion, or a later release changed it since.
    """
    raise NotImplementedError


def drift(ledger: Ledger, tracker: Tracker, instances: Collection[Key]) -> tuple[Drift, ...]:
    """Instances whose alias in MLflow differs from the ledger."""
    raise NotImplementedError


def reconcile(ledger: Ledger, tracker: Tracker, instances: Collection[Key]) -> tuple[Drift, ...]:
    """Set the aliases to what the ledger says; returns what was repaired."""
    raise NotImplementedError
