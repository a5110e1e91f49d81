"""Questions to the ledger: each one statement, answers as frozen dataclasses."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from datadriver.tracking.ledger import Ledger
from datadriver.tracking.records import Batch, Key, Outcome, Release, ScoreRecord, VerdictRecord, Version


def champions(ledger: Ledger) -> Mapping[Key, Version]:
    """Champion version of every instance that has one."""
    raise NotImplementedError


def latest_versions(ledger: Ledger) -> Mapping[Key, Version]:
    """Newest version of every instance: the champion or a challenger."""
    raise NotImplementedError


def versions(ledger: Ledger, key: Key) -> tuple[Version, ...]:
    """All versions of one instance, oldest first."""
    raise NotImplementedError


def version_of_result(ledger: Ledger, key: Key, result_key: str) -> Version | None:
    """The version that an earlier run made of exactly these inputs, if there is one."""
    raise NotImplementedError


def last_outcomes(ledger: Ledger, *, fingerprinted: bool = False) -> Mapping[Key, Outcome]:
    """Newest outcome of every instance; `fingerprinted`: the newest that carries a due fingerprint."""
    raise NotImplementedError


def outcomes(ledger: Ledger, batch: str) -> tuple[Outcome, ...]:
    """Outcomes of one batch, in the order in which they were recorded."""
    raise NotImplementedError


def last_verdicts(ledger: Ledger, stage: str | None = None) -> Mapping[tuple[str, str], VerdictRecord]:
    """Newest verdict by (asset, stage)."""
    raise NotImplementedError


def last_scores(ledger: Ledger) -> Mapping[tuple[Key, str], ScoreRecord]:
    """Newest scored stretch by (instance, asset)."""
    raise NotImplementedError


def batches(ledger: Ledger, *, limit: int = 20) -> tuple[Batch, ...]:
    """Batches, newest first."""
    raise NotImplementedError


def dead_batches(ledger: Ledger) -> Collection[str]:
    """Ids of batches that did not end by themselves."""
    raise NotImplementedError


def releases(ledger: Ledger, *, limit: int | None = None) -> tuple[Release, ...]:
    """Releases with their items, newest first."""
    raise NotImplementedError
