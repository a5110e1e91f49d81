"""What comes first: checks by gravity, assets by the attention that they need."""

from __future__ import annotations

from datadriver.monitoring.standing import SEVERITIES
from datadriver.reporting.facts import ATTENTION, AssetLine
from datadriver.tracking.monitor_records import CheckState
from datadriver.tracking.records import instant_order

_FAR = 1000.0


def by_gravity(check: CheckState) -> tuple[object, ...]:
    """Sort key of checks: state, severity, how far beyond the limit, for how long."""
    return (
        ATTENTION.index(check.state),
        SEVERITIES.index(check.severity),
        -beyond(check),
        instant_order(check.since) if check.since else (float("inf"), ""),
        check.check,
        check.model,
        check.unit,
    )


def by_attention(line: AssetLine) -> tuple[object, ...]:
    """Sort key of assets: those that need attention most first, by their worst check."""
    worst = line.worst
    return (ATTENTION.index(line.state), () if worst is None else by_gravity(worst)[1:4], line.id)


def beyond(check: CheckState) -> float:
    """Return how far a breaching figure is from its limit, relative to the limit; 0 where there is no figure.

    What matters is the order, so the direction of the limit does not. Beyond a limit of 0 the figure itself counts.
    """
    if check.value is None or check.limit is None or check.outcome != "breach":
        return 0.0
    distance = abs(check.value - check.limit)
    return min(distance / abs(check.limit) if check.limit else distance, _FAR)
