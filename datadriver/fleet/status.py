"""The fleet table: for every instance its champion, its state, and the reason for it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from datadriver.config.fleet import Instance
from datadriver.tracking import queries
from datadriver.tracking.ledger import Ledger
from datadriver.tracking.records import Key, Outcome, ScoreRecord, Version

State = Literal["failed", "rejected", "new", "challenger", "baseline", "champion", "retired"]
"""In the order in which they need attention."""

STATES: tuple[State, ...] = ("failed", "rejected", "new", "challenger", "baseline", "champion", "retired")


_FIRST = "; there is no champion yet"  # how the decision about a first version ends; untrue once it serves


@dataclass(frozen=True)
class InstanceStatus:
    """Where one instance stands.

    Attributes:
        unit: key of the unit.
        model: name of the model.
        champion_version: the version in service, whatever the state says about the newest training.
        state: `failed` or `rejected`: the last training was; `challenger`: one waits for `promote`; `baseline`: the
            baseline serves; `champion`: the model serves; `new`: never trained; `retired`: has a champion, but is not
            in the fleet any more.
        reason: why it is in this state.
        metrics: of the champion on its holdout, else of the challenger.
        baseline_metrics: of the baseline on the same holdout.
        primary: the metric that decides, where the configuration names one.
        challenger_version: the newest version, if it is not the champion.
        last_train: time of the last training.
        last_score: time of the last scoring.
        scored_until: last instant that was scored, the earliest over the unit's assets.
    """

    unit: str
    model: str
    champion_version: int | None
    state: State
    reason: str
    metrics: Mapping[str, float | None] = field(default_factory=dict)
    baseline_metrics: Mapping[str, float | None] = field(default_factory=dict)
    primary: str | None = None
    challenger_version: int | None = None
    last_train: str | None = None
    last_score: str | None = None
    scored_until: str | None = None


def status(ledger: Ledger, instances: Sequence[Instance]) -> tuple[InstanceStatus, ...]:
    """Return a line for each instance, in the order of the fleet, and for each champion that left the fleet."""
    facts = _Facts(
        queries.champions(ledger), queries.latest_versions(ledger), queries.last_outcomes(ledger), _scores(ledger)
    )
    keys = {Key(one.unit.key, one.model): one for one in instances}
    known = tuple(facts.line(key, primary=_primary(instance)) for key, instance in keys.items())
    gone = tuple(facts.line(key, retired=True) for key in sorted(facts.champions) if key not in keys)
    return known + gone


def counts(lines: Iterable[InstanceStatus]) -> Mapping[str, int]:
    """Return how many instances are in each state, those that need attention first."""
    found = Counter(line.state for line in lines)
    return {state: found[state] for state in STATES if found[state]}


@dataclass(frozen=True)
class _Facts:
    """What the ledger knows, by instance."""

    champions: Mapping[Key, Version]
    latest: Mapping[Key, Version]
    outcomes: Mapping[Key, Outcome]
    scores: Mapping[Key, Sequence[ScoreRecord]]

    def line(self, key: Key, *, primary: str | None = None, retired: bool = False) -> InstanceStatus:
        champion, newest = self.champions.get(key), self.latest.get(key)
        outcome, scored = self.outcomes.get(key), self.scores.get(key, ())
        state, reason = _state(champion, newest, outcome, retired=retired)
        shown = champion or newest
        return InstanceStatus(
            unit=key.unit,
            model=key.model,
            champion_version=champion.version if champion else None,
            state=state,
            reason=reason,
            metrics=dict(shown.metrics.get(shown.role, {})) if shown else {},
            baseline_metrics=dict(shown.metrics.get("baseline", {})) if shown else {},
            primary=primary,
            challenger_version=newest.version if newest and newest != champion else None,
            last_train=outcome.at if outcome else None,
            last_score=max((one.at for one in scored), default=None),
            scored_until=min((one.last for one in scored if one.last), default=None),
        )


def _primary(instance: Instance) -> str | None:
    evaluate = instance.spec.evaluate
    return evaluate.primary or next(iter(evaluate.metrics), None)


def _state(
    champion: Version | None, newest: Version | None, outcome: Outcome | None, *, retired: bool
) -> tuple[State, str]:
    if retired:
        return "retired", "not in the fleet any more; its champion is kept"
    if outcome is not None and outcome.state in ("failed", "rejected"):
        return ("failed" if outcome.state == "failed" else "rejected"), outcome.reason
    if newest is not None and (champion is None or newest.version > champion.version):
        better, why = newest.decision.get("better"), str(newest.decision.get("reason", ""))
        if champion is None or better:
            return "challenger", f"version {newest.version} waits for promote: {why}"
        return _serving(champion, f"version {newest.version} stays challenger: {why}")
    if champion is not None:
        return _serving(champion, str(champion.decision.get("reason", "")).removesuffix(_FIRST))
    return "new", "never trained"


def _serving(champion: Version, reason: str) -> tuple[State, str]:
    return ("baseline" if champion.role == "baseline" else "champion"), reason


def _scores(ledger: Ledger) -> Mapping[Key, Sequence[ScoreRecord]]:
    found: dict[Key, list[ScoreRecord]] = {}
    for (key, _), record in queries.last_scores(ledger).items():
        found.setdefault(key, []).append(record)
    return found
