"""The fleet table: for every instance its champion, its state, and the reason for it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from datadriver.config.fleet import Asset, Instance
from datadriver.monitoring.standing import gravity, reason_of, state_of
from datadriver.tracking import queries
from datadriver.tracking.ledger import Ledger
from datadriver.tracking.monitor_records import CheckState, Health
from datadriver.tracking.monitoring import CheckKey, check_states
from datadriver.tracking.records import Key, Outcome, ScoreRecord, Version
from datadriver.tracking.releases import Candidate, diff

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
            baseline serves; `champion`: the model serves; `new`: never trained; `retired`: has a champion, but its
            unit or its model is not there any more.
        reason: why it is in this state.
        metrics: of the champion on its holdout, else of the challenger.
        baseline_metrics: of the baseline on the same holdout.
        primary: the metric that the configuration names, else the one that decided about the version.
        challenger_version: the newest version, if it is not the champion.
        last_train: time of the last training.
        last_score: time of the last scoring.
        scored_until: last instant that was scored, the earliest over the unit's assets.
        health: what monitoring says of the model, None if it has not looked; `health_reason` says why.
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
    health: Health | None = None
    health_reason: str = ""


@dataclass(frozen=True)
class AssetStatus:
    """What monitoring says of the data of one asset; `health` is None if it has not looked."""

    asset: str
    health: Health | None
    health_reason: str = ""


def status(ledger: Ledger, instances: Sequence[Instance]) -> tuple[InstanceStatus, ...]:
    """Return a line for each instance, in the order of the fleet, and for each champion that left the fleet."""
    facts = _Facts(
        queries.champions(ledger),
        queries.latest_versions(ledger),
        queries.last_outcomes(ledger),
        _scores(ledger),
        {one.key: one for one in diff(ledger, instances)},
        _model_checks(ledger),
    )
    keys = {Key(one.unit.key, one.model): one for one in instances}
    known = tuple(facts.line(key, primary=_primary(instance)) for key, instance in keys.items())
    units = {key.unit for key in keys}
    gone = tuple(facts.line(key, retired=_gone(key, units)) for key in sorted(facts.champions) if key not in keys)
    return known + gone


def data_status(ledger: Ledger, assets: Sequence[Asset]) -> tuple[AssetStatus, ...]:
    """Return what monitoring says of the data of each asset, in the order of the fleet."""
    checks: dict[str, list[CheckState]] = {}
    for state in _gravest_first(check_states(ledger)):
        if not state.model:
            checks.setdefault(state.asset, []).append(state)
    return tuple(AssetStatus(asset.id, *_health(checks.get(asset.id, ()))) for asset in assets)


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
    candidates: Mapping[Key, Candidate]
    checks: Mapping[Key, Sequence[CheckState]]

    def line(self, key: Key, *, primary: str | None = None, retired: str = "") -> InstanceStatus:
        champion, newest = self.champions.get(key), self.latest.get(key)
        outcome, scored = self.outcomes.get(key), self.scores.get(key, ())
        state, reason = _state(champion, newest, outcome, self.candidates.get(key), retired=retired)
        health, health_reason = _health(self.checks.get(key, ()))
        shown = champion or newest
        return InstanceStatus(
            unit=key.unit,
            model=key.model,
            champion_version=champion.version if champion else None,
            state=state,
            reason=reason,
            metrics=dict(shown.metrics.get(shown.role, {})) if shown else {},
            baseline_metrics=dict(shown.metrics.get("baseline", {})) if shown else {},
            primary=primary or (shown.decision.get("primary") if shown else None),
            challenger_version=newest.version if newest and newest != champion else None,
            last_train=outcome.at if outcome else None,
            last_score=max((one.at for one in scored), default=None),
            scored_until=min((one.last for one in scored if one.last), default=None),
            health=health,
            health_reason=health_reason,
        )


def _primary(instance: Instance) -> str | None:
    evaluate = instance.spec.evaluate
    return evaluate.primary or next(iter(evaluate.metrics), None)


def _state(
    champion: Version | None,
    newest: Version | None,
    outcome: Outcome | None,
    candidate: Candidate | None,
    *,
    retired: str,
) -> tuple[State, str]:
    if retired:
        return "retired", f"{retired}; its champion is kept"
    if outcome is not None and outcome.state in ("failed", "rejected"):
        return ("failed" if outcome.state == "failed" else "rejected"), outcome.reason
    if newest is not None and (champion is None or newest.version > champion.version):
        why = candidate.reason if candidate is not None else str(newest.decision.get("reason", ""))
        if candidate is not None and candidate.promotes:
            return "challenger", f"version {newest.version} waits for promote: {why}"
        said = (
            why if why.startswith(f"version {newest.version} ") else f"version {newest.version} stays challenger: {why}"
        )
        return ("challenger", said) if champion is None else _serving(champion, said)
    if champion is not None:
        return _serving(champion, str(champion.decision.get("reason", "")).removesuffix(_FIRST))
    return "new", "never trained"


def _gone(key: Key, units: Collection[str]) -> str:
    return f"the model {key.model} does not serve it any more" if key.unit in units else "not in the fleet any more"


def _serving(champion: Version, reason: str) -> tuple[State, str]:
    return ("baseline" if champion.role == "baseline" else "champion"), reason


def _health(checks: Sequence[CheckState]) -> tuple[Health | None, str]:
    """Return the health that some checks (the gravest first) add up to, and the reason of the gravest."""
    if not checks:
        return None, ""
    state = state_of(checks)
    worst = next((check for check in checks if check.state == state), None)
    if worst is None or state == "ok":
        return state, reason_of(state, checks)
    where = "" if worst.asset == worst.unit or not worst.model else f"{worst.asset}, "
    return state, f"{where}{worst.check}: {reason_of(state, checks)}"


def _model_checks(ledger: Ledger) -> Mapping[Key, Sequence[CheckState]]:
    found: dict[Key, list[CheckState]] = {}
    for state in _gravest_first(check_states(ledger)):
        if state.key is not None:
            found.setdefault(state.key, []).append(state)
    return found


def _gravest_first(states: Mapping[CheckKey, CheckState]) -> list[CheckState]:
    return sorted(states.values(), key=gravity)


def _scores(ledger: Ledger) -> Mapping[Key, Sequence[ScoreRecord]]:
    found: dict[Key, list[ScoreRecord]] = {}
    for (key, _), record in queries.last_scores(ledger).items():
        found.setdefault(key, []).append(record)
    return found
