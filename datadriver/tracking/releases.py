"""Promotion and rollback: the gate, the append-only record, and the MLflow aliases that mirror it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from datadriver import failpoints
from datadriver.config.fleet import Instance
from datadriver.errors import ConfigError, UnavailableError, nearest
from datadriver.tracking import queries
from datadriver.tracking.backlog import unwritten
from datadriver.tracking.ledger import Ledger
from datadriver.tracking.names import registered_name
from datadriver.tracking.queries import Standing
from datadriver.tracking.records import Key, Release, ReleaseItem, Version
from datadriver.tracking.refusals import Refusal, refusals

if TYPE_CHECKING:
    from datadriver.tracking.behind import Behind
    from datadriver.tracking.mlflow_runs import Tracker


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
    """An instance whose MLflow alias `champion` is not what the ledger says; versions have MLflow's numbers."""

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
    """What `promote` would change, one candidate per instance; `manual=False` holds back `approval: manual`.

    Raises:
        ConfigError: `version` does not exist for one of the instances.
    """
    standings = queries.standings(ledger)
    latest = queries.latest_versions(ledger) if version is None else _numbered(ledger, instances, version)
    refused = refusals(ledger)
    forced = force or version is not None
    candidates = []
    for instance in instances:
        key = Key(instance.unit.key, instance.model)
        standing, challenger = standings.get(key), latest.get(key)
        refusal = refused.get((key, challenger.version)) if challenger else None
        verdict = _gate(instance, standing, challenger, refusal, forced=forced, manual=manual)
        champion, number = standing.version if standing else None, challenger.version if challenger else None
        candidates.append(Candidate(key, champion, number, *verdict))
    return tuple(candidates)


def promote(  # noqa: PLR0913 - the options of one command
    ledger: Ledger,
    tracker: Tracker | Behind | None,
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

    Args:
        ledger: Decides who is champion.
        tracker: Mirrors it; None leaves the aliases for `reconcile`.
        instances: Whom it is about.
        by: Who answers for it.
        reason: Why, for the record; default: how many challengers passed the gate.
        version: This version rather than the newest, whatever the gate says.
        force: The newest version, whatever the gate says.
        manual: False for `train` and `run`, which never promote models with `approval: manual`.
        batch: The batch that it is part of.

    Returns:
        The release, None if nothing changes, and a candidate for every instance.

    Raises:
        ConfigError: `version` does not exist for one of the instances.
        UnavailableError: the tracking store is down; the release itself stands, and `reconcile` sets the aliases.
    """
    candidates = diff(ledger, instances, version=version, force=force, manual=manual)
    default = "forced" if force or version is not None else ""
    said = ": ".join(filter(None, (default, reason)))
    return enact(ledger, tracker, candidates, by=by, reason=said, batch=batch), candidates


def enact(  # noqa: PLR0913 - what a release says, and the stores
    ledger: Ledger,
    tracker: Tracker | Behind | None,
    candidates: Sequence[Candidate],
    *,
    by: str,
    reason: str = "",
    batch: str | None = None,
) -> Release | None:
    """Release the candidates that shall be: ledger first, then MLflow aliases; None where there are none.

    Raises:
        UnavailableError: as `promote`, or a champion changed since the candidates were looked at; nothing is released.
    """
    items = [
        ReleaseItem(one.key.unit, one.key.model, one.challenger, one.champion) for one in candidates if one.promotes
    ]
    if not items:
        return None
    usual = f"{len(items)} challenger{'s' * (len(items) != 1)} passed the gate"
    behind = _behind(tracker)
    release = ledger.record_release(items, action="promote", by=by, reason=reason or usual, batch=batch, behind=behind)
    _mirror(tracker, release)
    return release


def rollback(  # noqa: PLR0913 - the options of one command
    ledger: Ledger,
    tracker: Tracker | Behind | None,
    *,
    by: str,
    reason: str,
    instances: Collection[Key] | None = None,
    release: int | None = None,
    batch: str | None = None,
) -> Release:
    """Give chosen instances, or all of one release (default: the newest), the champion that they had before.

    Rolled back twice, an instance goes two champions back. Undoing the release that made an instance's first champion
    leaves it without one; of instances named one by one that is refused.

    Raises:
        ConfigError: an instance has no earlier champion, there is no such release, or a later one changed it since.
    """
    promotions = queries.promotions(ledger)
    if instances is not None:
        items = [_step_back(key, promotions.get(key, ())) for key in instances]
    else:
        items = _undo(queries.releases(ledger), release, promotions)
    if not items:
        raise ConfigError("rollback: no instance was chosen")
    made = ledger.record_release(items, action="rollback", by=by, reason=reason, batch=batch, behind=_behind(tracker))
    _mirror(tracker, made)
    return made


def history(ledger: Ledger, *, limit: int | None = None) -> tuple[Release, ...]:
    """Releases with their items, newest first."""
    return queries.releases(ledger, limit=limit)


def drift(ledger: Ledger, tracker: Tracker, instances: Collection[Key]) -> tuple[Drift, ...]:
    """Instances whose alias in MLflow differs from the ledger, but for those that are still to be written there."""
    standings, aliases = queries.standings(ledger), tracker.champions()
    numbers, waiting = queries.registered_numbers(ledger), unwritten(ledger)
    found = []
    for key in instances:
        if key in waiting:
            continue
        ours = standings[key].version if key in standings else None
        ours = ours if ours is None else numbers.get((key, ours), ours)
        theirs = aliases.get(registered_name(tracker.usecase.name, key))
        if ours != theirs:
            found.append(Drift(key, ours, theirs))
    return tuple(found)


def reconcile(ledger: Ledger, tracker: Tracker, instances: Collection[Key]) -> tuple[Drift, ...]:
    """Set the aliases to what the ledger says; returns what was repaired."""
    found = drift(ledger, tracker, instances)
    tracker.set_champions({one.key: one.ledger for one in found})
    return found


def _gate(  # noqa: PLR0913 - all that decides
    instance: Instance,
    standing: Standing | None,
    challenger: Version | None,
    refusal: Refusal | None,
    *,
    forced: bool,
    manual: bool,
) -> tuple[bool, str]:
    """Whether a challenger becomes champion, and why or why not."""
    if challenger is None:
        return False, "nothing was trained yet"
    if standing is not None and standing.version == challenger.version:
        return False, f"version {challenger.version} is champion already"
    reason = str(challenger.decision.get("reason", ""))
    if forced:
        return True, f"forced; {reason}" if reason else "forced"
    if refusal is not None:
        return False, f"{refusal}; train on new data, or promote it with --version or --force"
    objection = _objection(instance, standing, challenger, manual=manual)
    return objection is None, objection or reason


def _objection(instance: Instance, standing: Standing | None, challenger: Version, *, manual: bool) -> str | None:
    reason = str(challenger.decision.get("reason", ""))
    if standing is not None and standing.at > challenger.created_at:
        return (
            f"version {challenger.version} was judged before release {standing.release} changed the champion; "
            "train on new data, or promote it with --version or --force"
        )
    if challenger.decision.get("better") is not True:
        return reason or "the gate did not decide for it"
    if not manual and instance.spec.promote.approval == "manual":
        return f"waits for approval (datadriver promote); {reason}"
    return None


def _numbered(ledger: Ledger, instances: Iterable[Instance], number: int) -> dict[Key, Version]:
    found, problems = {}, []
    for instance in instances:
        key = Key(instance.unit.key, instance.model)
        known = {version.version: version for version in queries.versions(ledger, key)}
        if number in known:
            found[key] = known[number]
        else:
            problems.append(f"{key} has no version {number}{nearest(str(number), map(str, known))}")
    if problems:
        raise ConfigError(problems)
    return found


def _step_back(key: Key, past: Sequence[Standing]) -> ReleaseItem:
    if len(past) < 2:
        why = f"version {past[0].version} is its first" if past else "it has none"
        raise ConfigError(f"{key}: there is no earlier champion to go back to; {why}")
    return ReleaseItem(key.unit, key.model, past[-2].version, past[-1].version)


def _undo(
    releases: Sequence[Release], number: int | None, promotions: Mapping[Key, Sequence[Standing]]
) -> list[ReleaseItem]:
    """The items that give every instance of a promotion what it had before."""
    target = _chosen(releases, number, promotions)
    changed = [item.key for item in target.items if not _stands(item.key, target, promotions)]
    if changed:
        others = f" and {len(changed) - 1} others" if len(changed) > 1 else ""
        raise ConfigError(
            f"release {target.id} cannot be rolled back whole: {changed[0]}{others} changed since; name the instances"
        )
    return [ReleaseItem(item.unit, item.model, item.previous, item.version) for item in target.items]


def _chosen(releases: Sequence[Release], number: int | None, promotions: Mapping[Key, Sequence[Standing]]) -> Release:
    """The promotion with that number; without one, the newest that still stands somewhere."""
    made = [one for one in releases if one.action == "promote"]
    if number is None:
        standing = (one for one in made if any(_stands(item.key, one, promotions) for item in one.items))
        found = next(standing, None)
    else:
        found = next((one for one in made if one.id == number), None)
    if found is None:
        known = nearest(str(number), (str(one.id) for one in made))
        raise ConfigError(f"there is no promotion {number}{known}" if number else "there is no release to roll back")
    return found


def _stands(key: Key, release: Release, promotions: Mapping[Key, Sequence[Standing]]) -> bool:
    past = promotions.get(key, ())
    return bool(past) and past[-1].release == release.id


def _behind(tracker: Tracker | Behind | None) -> bool:
    return tracker is not None and not tracker.mirrors


def _mirror(tracker: Tracker | Behind | None, release: Release) -> None:
    failpoints.reach("release-written")
    if tracker is None:
        return
    try:
        tracker.set_champions({item.key: item.version for item in release.items})
    except (ConfigError, UnavailableError) as error:
        raise type(error)(
            f"release {release.id} stands, but not all aliases in MLflow follow it: {error.message}. "
            "`datadriver promote --reconcile` sets them"
        ) from error
    failpoints.reach("aliases-set")
