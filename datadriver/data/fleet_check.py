"""What the configuration asks of the fleet's attributes, held against the attributes that there are."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from datadriver.config.expressions import Expression, parse, unknown_names
from datadriver.config.fleet import Asset
from datadriver.config.grid import PLACEHOLDER, variants
from datadriver.config.resolve import attributes_of, known_attributes, resolve
from datadriver.config.schedule_section import OnData
from datadriver.config.sections import UseCase
from datadriver.errors import ConfigError, looks_like, nearest


def fleet_problems(usecase: UseCase, assets: Sequence[Asset]) -> Iterator[str]:
    """Yield every attribute that is asked for and that no asset has, or has of another kind."""
    known = known_attributes(assets)
    kinds = _kinds(assets)
    for path, text in _expressions(usecase):
        try:
            expression = parse(text)
        except ConfigError:  # said where the file is checked
            continue
        yield from (f"{path}: {said}" for said in unknown_names(expression, known))
        yield from (f"{path}: {said}" for said in _never_true(expression, kinds))
        if not expression.names - known:
            yield from (f"{path}: {said}" for said in _misspelt(expression, assets))
    yield from _shared_main(usecase, assets)
    for path, name, needed in _attributes(usecase):
        yield from _missing(path, name, assets, known, needed=needed)
    yield from schedule_problems(usecase, assets)


def schedule_problems(usecase: UseCase, assets: Sequence[Asset]) -> Iterator[str]:
    """Yield why the fleet cannot be scheduled as asked: attributes that are missing, groups that do not agree."""
    schedule, known = usecase.schedule, known_attributes(assets)
    problems = [
        *_missing("schedule.group", schedule.group, assets, known, needed=True, unless="asset"),
        *_missing("schedule.team", schedule.team, assets, known, needed=True),
    ]
    try:
        cohorts = _cohorts(usecase, assets)
    except ConfigError:  # said where the file is checked
        cohorts = ()
    for own, members in cohorts:
        for place, name in enumerate(own.schedule.tags):
            problems += _missing(f"schedule.tags[{place}]", name, assets, known, needed=False)
        for key in ("train", "score"):
            when = getattr(own.schedule, key)
            for name in PLACEHOLDER.findall(when.on) if isinstance(when, OnData) else ():
                problems += _missing(f"schedule.{key}.on", name, members, known, needed=True)
    yield from dict.fromkeys(problems)
    if schedule.group != "asset" and not problems and cohorts:
        yield from _groups_that_differ(usecase, assets)


def _cohorts(usecase: UseCase, assets: Sequence[Asset]) -> Collection[tuple[UseCase, list[Asset]]]:
    """Put assets together that have the same settings."""
    found: dict[int, tuple[UseCase, list[Asset]]] = {}
    for asset in assets:
        own = resolve(usecase, asset)
        found.setdefault(id(own), (own, []))[1].append(asset)
    return found.values()


def _groups_that_differ(usecase: UseCase, assets: Sequence[Asset]) -> Iterator[str]:
    """Say where assets that share a DAG would have to run at different times, or be seen by different teams."""
    group, team = usecase.schedule.group, usecase.schedule.team
    first: dict[str, Asset] = {}
    said: set[tuple[str, str]] = set()
    for asset in assets:
        row = attributes_of(asset)
        value = str(row[group])
        other = first.setdefault(value, asset)
        one, two = resolve(usecase, other).schedule, resolve(usecase, asset).schedule
        fields = () if one is two else type(one).model_fields  # as it is for assets of one cohort
        differing = [key for key in fields if getattr(one, key) != getattr(two, key)]
        if differing and (value, differing[0]) not in said:
            said.add((value, differing[0]))
            yield (
                f"schedule.group: {other.id} and {asset.id} share the DAG of {group} {value!r}, and overrides give "
                f"them a different schedule.{differing[0]}; make the overrides cover whole groups, or group by "
                "something else"
            )
        if team and attributes_of(other)[team] != row[team] and (value, "team") not in said:
            said.add((value, "team"))
            yield (
                f"schedule.group: {other.id} and {asset.id} share the DAG of {group} {value!r}, and belong to the "
                f"teams {attributes_of(other)[team]!r} and {row[team]!r}; a DAG is seen by one team"
            )


def _missing(  # noqa: PLR0913 - one question
    path: str,
    name: str | None,
    assets: Sequence[Asset],
    known: Collection[str],
    *,
    needed: bool,
    unless: str | None = None,
) -> Iterator[str]:
    """Say that no asset has an attribute, or if all need it, which have none."""
    if name is None or name == unless:
        return
    if name not in known:
        yield f"{path}: no asset has an attribute {name!r}{nearest(name, known)}"
    elif needed and (empty := [asset.id for asset in assets if attributes_of(asset).get(name) is None]):
        more = f" and {len(empty) - 3} more" if len(empty) > 3 else ""
        yield f"{path}: {name!r} is empty for {', '.join(empty[:3])}{more}; fill it in"


def _shared_main(usecase: UseCase, assets: Sequence[Asset]) -> Iterator[str]:
    """Say where the main source does not tell assets apart: a fleet of copies of one machine."""
    name, source = next(iter(usecase.data.sources.items()))
    place = source.path or source.table
    if len(assets) > 1 and place and source.asset is None and not PLACEHOLDER.search(place):
        yield (
            f"data.sources.{name}: every asset would read the same rows; name the column with the asset's id as "
            "`asset`, or write {asset_id} in the path"
        )


def _expressions(usecase: UseCase) -> Iterator[tuple[str, str]]:
    for place, override in enumerate(usecase.overrides):
        yield f"overrides[{place}].where", override.where
    for name, model in usecase.models.items():
        if model.where:
            for _, section in variants(name, {"where": model.where, "grid": model.grid}):
                yield f"models.{name}.where", section["where"]


def _attributes(usecase: UseCase) -> Iterator[tuple[str, str, bool]]:
    """Yield where an attribute is asked for by name, its name, and whether every asset of the fleet needs it."""
    for name, source in usecase.data.sources.items():
        for key in ("path", "table"):
            for attribute in PLACEHOLDER.findall(getattr(source, key) or ""):
                yield f"data.sources.{name}.{key}", attribute, True
    for name, model in usecase.models.items():
        if not isinstance(model.fit, str) and not model.grid:
            yield from ((f"models.{name}.fit", attribute, False) for attribute in model.fit)
        if model.evaluate.split == "group":
            yield f"models.{name}.evaluate.group", model.evaluate.group, False


def _kinds(assets: Sequence[Asset]) -> Mapping[str, set[str]]:
    kinds: dict[str, set[str]] = {"asset_id": {"text"}}
    for asset in assets:
        for name, value in asset.attributes.items():
            if value is not None:
                kinds.setdefault(name, set()).add(_kind(value))
    return kinds


def _kind(value: Any) -> str:
    return "text" if isinstance(value, str) else "a number"


def _misspelt(expression: Expression, assets: Sequence[Asset]) -> Iterator[str]:
    """Say which text that no asset has looks like one that some have, in an expression that matches no asset.

    A cohort that is still to come is no mistake, so a text that looks like nothing known is let pass.
    """
    rows = [attributes_of(asset) for asset in assets]
    try:
        if any(expression.matches(row) for row in rows):
            return
    except ConfigError:  # things of different kinds are said elsewhere
        return
    for name, literal in dict.fromkeys(expression.literals):
        known = {str(row[name]) for row in rows if row.get(name) is not None}
        if isinstance(literal, str) and literal not in known and looks_like(literal, known):
            yield f"`{expression.text}` matches no asset: none has {name} {literal!r}{nearest(literal, known)}"


def _never_true(expression: Expression, kinds: Mapping[str, set[str]]) -> Iterator[str]:
    """Say where text is compared with numbers: never equal, and an error when ordered."""
    for name, literal in dict.fromkeys(expression.literals):
        found = kinds.get(name)
        if found and _kind(literal) not in found:
            kind = next(iter(found))
            yield f"`{expression.text}`: {name!r} is {kind} for every asset, and {literal!r} is {_kind(literal)}"
