"""What the page of a model counts and compares: instances beside their baselines, reasons, ages of versions."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from datadriver.fleet.status import STATES, State
from datadriver.reporting.facts import InstanceLine, ModelFacts
from datadriver.reporting.figures import number
from datadriver.tracking.monitor_records import CheckState

_CHANGING = re.compile(r"\d[\d.,:T+-]*")
_AGES = ((7, "up to a week"), (30, "up to 30 days"), (90, "up to 90 days"), (None, "older"))


@dataclass(frozen=True)
class Row:
    """One instance in the table of a model.

    Attributes:
        model: the primary metric of the model on its holdout, whoever serves; `baseline` that of the baseline.
        gain: how much better the model is, as a share of the baseline's figure; negative if worse.
        links: id and file of the page of each asset of the unit that has one.
        checks: how its checks stand, the gravest first.
    """

    line: InstanceLine
    model: float | None
    baseline: float | None
    gain: float | None
    links: tuple[tuple[str, str], ...]
    checks: tuple[CheckState, ...]

    @property
    def now(self) -> CheckState | None:
        """The gravest check of monitored performance."""
        return next((check for check in self.checks if check.check == "performance"), None)


@dataclass(frozen=True)
class Group:
    """Instances that stand as they do for the same reason, but for its figures; `reason` is that of the first."""

    state: State
    reason: str
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Spread:
    """A metric over the fleet, of the versions in service."""

    metric: str
    count: int
    low: float
    middle: float
    high: float


def rows(facts: ModelFacts) -> tuple[Row, ...]:
    """Return a row for each instance, those that need attention first."""
    judged: dict[str, list[CheckState]] = {}
    for check in facts.checks:
        judged.setdefault(check.unit, []).append(check)
    return tuple(_row(line, facts, judged.get(line.unit, ())) for line in facts.lines)


def _row(line: InstanceLine, facts: ModelFacts, checks: Sequence[CheckState]) -> Row:
    metrics = _shown_metrics(line)
    model, baseline = (_figure(metrics.get(role, {}), line.status.primary) for role in ("model", "baseline"))
    links = tuple((asset, facts.pages[asset]) for asset in line.assets if asset in facts.pages)
    return Row(line, model, baseline, gain(model, baseline, line.greater_is_better), links, tuple(checks))


def _shown_metrics(line: InstanceLine) -> Mapping[str, Mapping[str, float | None]]:
    version = line.champion or (line.versions[0] if line.versions else None)
    return version.metrics if version else {}


def _figure(metrics: Mapping[str, float | None], name: str | None) -> float | None:
    value = metrics.get(name) if name else None
    return None if value is None or not np.isfinite(value) else float(value)


def gain(model: float | None, baseline: float | None, greater_is_better: bool | None) -> float | None:
    """Return how much better a model is than its baseline, relative to the baseline; None if nobody can say.

    >>> gain(0.5, 2.0, False), gain(0.5, 0.4, True), gain(0.5, None, True)
    (0.75, 0.25, None)
    """
    if model is None or baseline is None or greater_is_better is None or baseline == 0:
        return None
    return round((model - baseline if greater_is_better else baseline - model) / abs(baseline), 9)


def groups(rows: Iterable[Row], states: Sequence[State]) -> tuple[Group, ...]:
    """Group the instances in some states by their reason, whatever its figures: most frequent first."""
    found: dict[tuple[State, str], list[Row]] = {}
    for row in rows:
        status = row.line.status
        if status.state in states:
            key = status.state, _CHANGING.sub("#", _without_names(status.reason, row))
            found.setdefault(key, []).append(row)
    made = [Group(state, some[0].line.status.reason, tuple(some)) for (state, _), some in found.items()]
    return tuple(sorted(made, key=lambda group: (STATES.index(group.state), -len(group.rows))))


def _without_names(reason: str, row: Row) -> str:
    for name in sorted({row.line.unit, *row.line.assets}, key=len, reverse=True):
        reason = reason.replace(name, "*")
    return reason


def judged_by(facts: ModelFacts) -> str:
    """Name the metric that decides; where it is not the same for all instances, all of them.

    Without a metric in the configuration the problem chooses: an anomaly model of an asset that never failed is judged
    by another one than that of an asset that did.
    """
    return " or ".join(dict.fromkeys(line.status.primary for line in facts.lines if line.status.primary))


def counts(rows: Iterable[Row]) -> Mapping[State, int]:
    """Count the instances in each state, those that need attention first."""
    found = Counter(row.line.status.state for row in rows)
    return {state: found[state] for state in STATES if found[state]}


def spreads(rows: Iterable[Row], primary: str | None) -> tuple[Spread, ...]:
    """Return the median and the 10% and 90% quantiles of every metric of the versions in service, the primary first."""
    values: dict[str, list[float]] = {}
    for row in rows:
        for name in row.line.status.metrics:
            value = _figure(row.line.status.metrics, name)
            if value is not None and row.line.champion is not None:
                values.setdefault(name, []).append(value)
    names = sorted(values, key=lambda name: (name != primary, name))
    return tuple(
        Spread(name, len(values[name]), *(float(one) for one in np.quantile(values[name], [0.1, 0.5, 0.9])))
        for name in names
    )


def ages(rows: Iterable[Row], made_at: str) -> Mapping[str, int]:
    """Count the versions in service by the time since they were made."""
    now = datetime.fromisoformat(made_at)
    days = [
        (now - datetime.fromisoformat(row.line.champion.created_at)).days
        for row in rows
        if row.line.champion is not None and row.line.champion.created_at
    ]
    found = {words: 0 for _, words in _AGES}
    for age in days:
        found[next(words for limit, words in _AGES if limit is None or age <= limit)] += 1
    return found


def summary(rows: Sequence[Row], facts: ModelFacts) -> str:
    """Say in a sentence or two how a model does over the fleet."""
    serving = [row.line.champion for row in rows if row.line.champion is not None]
    models = sum(champion.role != "baseline" for champion in serving)
    gains = sorted(row.gain for row in rows if row.gain is not None)
    text = f"Of {len(rows):,} instances {models:,} are served by the model, {len(serving) - models:,} by the baseline"
    text += f", {len(rows) - len(serving):,} by nothing yet." if len(rows) > len(serving) else "."
    if gains:
        better = sum(one > 0 for one in gains)
        middle = number(100 * gains[len(gains) // 2], digits=2)
        text += f" On the holdout {better:,} of {len(gains):,} beat their baseline;"
        text += f" the median gain in {judged_by(facts)} is {middle}%."
    return text
