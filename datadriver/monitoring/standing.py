"""How an asset stands, from how its checks stand: the state that it is shown under, and why."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

from datadriver.config.section import Severity
from datadriver.monitoring.facts import DATA_CHECKS
from datadriver.tracking.monitor_records import HEALTHS, CheckState, Health

_GRAVER: tuple[Health, ...] = ("alarm", "pending", "silenced")

SEVERITIES: tuple[str, ...] = get_args(Severity)
"""The gravest first."""


def gravity(check: CheckState) -> tuple[int, int, str, str, str, str]:
    """Return what checks are sorted by: the gravest first, then by name."""
    grave = HEALTHS.index(check.state), SEVERITIES.index(check.severity)
    return *grave, check.asset, check.model, check.check, check.unit


def state_of(checks: Sequence[CheckState]) -> Health:
    """Return the state of an asset.

    One check in an alarm, or on the way to one, is enough. It is `unknown` only where nothing could be judged of its
    data, or nothing of one of its models: a check that waits for labels does not make a pump unknown.
    """
    states = {check.state for check in checks}
    for state in _GRAVER:
        if state in states:
            return state
    return "unknown" if _is_blind(checks) else "ok"


def reason_of(state: Health, checks: Sequence[CheckState]) -> str:
    """Return why an asset is in its state; `checks` are the gravest first."""
    if not checks:
        return "Not monitored yet."
    if state == "ok":
        blind = sum(check.state == "unknown" for check in checks)
        held = len(checks) - blind
        words = "1 check holds its limit" if held == 1 else f"{held} checks hold their limits"
        return words + (f", {blind} could not be judged." if blind else ".")
    return next((check.reason for check in checks if check.state == state and check.reason), f"{state}, without reason")


def _is_blind(checks: Sequence[CheckState]) -> bool:
    judged: dict[tuple[str, str], bool] = {}
    for check in checks:
        about = (check.unit, check.model) if check.check not in DATA_CHECKS else ("", "")
        judged[about] = judged.get(about, False) or check.state != "unknown"
    return not judged or not all(judged.values())
