"""A contract verdict as the ledger keeps it."""

from __future__ import annotations

from dataclasses import asdict

from datadriver.data.contract.verdict import Verdict
from datadriver.tracking.records import VerdictRecord


def verdict_record(verdict: Verdict, batch: str) -> VerdictRecord:
    """Return the record of a verdict; of its checks only those that failed."""
    return VerdictRecord(
        batch=batch,
        asset=verdict.asset_id,
        stage=verdict.stage,
        action=verdict.action,
        reason=verdict.reason,
        checks=tuple(asdict(check) for check in verdict.failing),
        rows=verdict.rows,
    )
