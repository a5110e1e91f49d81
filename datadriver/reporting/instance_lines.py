"""Instances as pages list them: how each stands, who serves it, and how that came about."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from urllib.parse import quote

from datadriver.config.fleet import Instance
from datadriver.config.slugs import slug
from datadriver.errors import DatadriverError
from datadriver.fleet.status import STATES, InstanceStatus, status
from datadriver.reporting.facts import Change, Heading, InstanceLine, ModelFacts
from datadriver.reporting.order import by_gravity
from datadriver.tracking import history, monitoring, queries
from datadriver.tracking.ledger import Ledger
from datadriver.tracking.monitor_records import CheckState, RetrainRequest
from datadriver.tracking.names import registered_name
from datadriver.tracking.records import Key, Release, Version

_CHANGES = 12  # of one champion: more than anybody reads


@dataclass(frozen=True)
class InstanceRecord:
    """What the ledger says about instances, read once for the fleet."""

    statuses: Mapping[Key, InstanceStatus]
    champions: Mapping[Key, Version]
    versions: Mapping[Key, tuple[Version, ...]]
    releases: tuple[Release, ...]
    requests: Mapping[Key, tuple[RetrainRequest, ...]]

    @classmethod
    def read(cls, ledger: Ledger, instances: Sequence[Instance]) -> InstanceRecord:
        """Read it: six statements, whatever the number of instances."""
        return cls(
            {Key(line.unit, line.model): line for line in status(ledger, instances)},
            queries.champions(ledger),
            history.recent_versions(ledger),
            queries.releases(ledger),
            monitoring.open_requests(ledger),
        )


def instance_lines(
    record: InstanceRecord, instances: Sequence[Instance], heading: Heading, root: Path
) -> Mapping[Key, InstanceLine]:
    """Return a line for each instance of the fleet, in its order, and for each champion that left it."""
    known = {Key(one.unit.key, one.model): one for one in instances}
    problems = {one.model: one.spec.problem for one in instances}
    greater = _directions(record.statuses, known, root)
    changes = _changes(record)
    lines = {}
    for key, line in record.statuses.items():
        if key.model not in problems:
            continue  # the whole model left the use case
        instance, champion = known.get(key), record.champions.get(key)
        lines[key] = InstanceLine(
            status=line,
            problem=problems[key.model],
            assets=tuple(asset.id for asset in instance.unit.assets) if instance else (),
            champion=champion,
            greater_is_better=greater.get(line.primary),
            versions=_with(champion, record.versions.get(key, ())),
            changes=changes.get(key, ()),
            requests=record.requests.get(key, ()),
            link=_link(heading, key, champion),
        )
    return lines


def model_facts(
    lines: Mapping[Key, InstanceLine],
    instances: Sequence[Instance],
    checks: Iterable[CheckState],
    heading: Heading,
    pages: Mapping[str, str],
) -> tuple[ModelFacts, ...]:
    """Return what the page of each model shows, in the order of the use case; `trends` are added by who reads them."""
    of_model: dict[str, list[InstanceLine]] = {one.model: [] for one in instances}
    for line in lines.values():
        of_model[line.model].append(line)
    judged: dict[str, list[CheckState]] = {}
    for check in checks:
        if check.model:
            judged.setdefault(check.model, []).append(check)
    return tuple(
        ModelFacts(
            heading=heading,
            name=name,
            page=f"{slug(name)}.html",
            problem=some[0].problem,
            primary=next((line.status.primary for line in some if line.status.primary), None),
            greater_is_better=some[0].greater_is_better,
            lines=tuple(sorted(some, key=lambda line: STATES.index(line.status.state))),
            checks=tuple(sorted(judged.get(name, ()), key=by_gravity)),
            pages=pages,
        )
        for name, some in of_model.items()
    )


def _directions(
    statuses: Mapping[Key, InstanceStatus], known: Mapping[Key, Instance], root: Path
) -> Mapping[str | None, bool]:
    """Tell of each primary metric whether greater is better; one that cannot be found is absent."""
    from datadriver.training.metrics import find_metric  # noqa: PLC0415 - brings scikit-learn

    found: dict[str | None, bool] = {}
    for name in {line.primary for key, line in statuses.items() if key in known and line.primary}:
        try:
            found[name] = find_metric(name, root).greater_is_better
        except DatadriverError:
            continue  # the use case's own function is broken: training says so
    return found


def _changes(record: InstanceRecord) -> Mapping[Key, tuple[Change, ...]]:
    """Put releases and open requests of each instance into one list, newest first."""
    found: dict[Key, list[Change]] = {}
    for key, asked in record.requests.items():
        found[key] = [Change(one.at, "request", reason=one.reason, by=one.asset) for one in asked]
    for release in record.releases:
        for item in release.items:
            change = Change(
                release.at,
                release.action,
                version=item.version,
                previous=item.previous,
                by=release.by,
                reason=release.reason,
                release=release.id,
            )
            found.setdefault(item.key, []).append(change)
    newest = {key: sorted(some, key=lambda one: one.at, reverse=True) for key, some in found.items()}
    return {key: tuple(islice(some, _CHANGES)) for key, some in newest.items()}


def _with(champion: Version | None, newest: tuple[Version, ...]) -> tuple[Version, ...]:
    return newest if champion is None or champion in newest else (*newest, champion)


def _link(heading: Heading, key: Key, champion: Version | None) -> str:
    if champion is None or not heading.mlflow.startswith("http"):
        return ""
    name = quote(registered_name(heading.usecase, key), safe="")
    return f"{heading.mlflow}/#/models/{name}/versions/{champion.version}"
