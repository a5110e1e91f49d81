"""Which assets and instances a command is about: --where, --assets, --units, --models."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from datadriver.config.expressions import parse, unknown_names
from datadriver.config.fleet import Asset, Instance
from datadriver.config.resolve import attributes_of, known_attributes
from datadriver.errors import ConfigError, nearest

_COMMA = re.compile(r",(?![^\[]*\])")


@dataclass(frozen=True)
class Selection:
    """What was asked for; nothing said means everything.

    Of assets, all instances that cover them are meant; of units, only those that are fitted for exactly these.
    """

    where: str | None = None
    assets: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    units: tuple[str, ...] = ()


def choose_assets(assets: Sequence[Asset], selection: Selection) -> tuple[Asset, ...]:
    """Return the assets of the fleet that were asked for, in the order of the fleet table.

    Raises:
        ConfigError: an id that no asset has, an attribute that no asset has, or nothing left.
    """
    known = {asset.id for asset in assets}
    wanted = set(_names(selection.assets, known, "asset"))
    chosen = [asset for asset in assets if not wanted or asset.id in wanted]
    if selection.where is not None:
        expression = parse(selection.where)
        if problems := unknown_names(expression, known_attributes(assets)):
            raise ConfigError(problems)
        chosen = [asset for asset in chosen if expression.matches(attributes_of(asset))]
    if not chosen:
        asked = f"--where {selection.where!r}" if selection.where is not None else "the selection"
        raise ConfigError(f"{asked} matches none of the {len(assets)} assets of the fleet")
    return tuple(chosen)


def choose_instances(
    instances: Sequence[Instance], chosen: Collection[Asset], selection: Selection
) -> tuple[Instance, ...]:
    """Return the instances of the wanted models and units that cover at least one chosen asset.

    An instance that is fitted over several assets is chosen whole: it cannot be fitted in part.

    Raises:
        ConfigError: a model or a unit that the use case does not have, or nothing left.
    """
    names = {instance.model for instance in instances}
    bases = {name.partition("[")[0] for name in names}
    wanted = set(_names(selection.models, names | bases, "model"))
    units = set(_units(selection.units, instances))
    ids = {asset.id for asset in chosen}
    found = tuple(
        instance
        for instance in instances
        if (not wanted or instance.model in wanted or instance.model.partition("[")[0] in wanted)
        and (not units or instance.unit.key in units)
        and any(asset.id in ids for asset in instance.unit.assets)
    )
    if not found:
        models = f"models {', '.join(sorted(wanted))}" if wanted else "models"
        if units:
            raise ConfigError(f"none of the chosen units ({', '.join(sorted(units))}) has {models} and chosen assets")
        raise ConfigError(f"none of the chosen assets has {models}: see `where` of the models in usecase.yaml")
    return found


def _units(texts: Sequence[str], instances: Sequence[Instance]) -> list[str]:
    """Return the units that were named; an asset without a model of its own is told where it is part of."""
    known = dict.fromkeys(instance.unit.key for instance in instances)
    for text in texts:
        of = dict.fromkeys(
            one.unit.key for one in instances if text not in known and text in (asset.id for asset in one.unit.assets)
        )
        if of:
            raise ConfigError(f"{text!r} has no model of its own; it is part of {' and '.join(of)}")
    return _names(texts, known, "unit")


def _names(texts: Iterable[str], known: Collection[str], what: str) -> list[str]:
    """Split at commas, unless the text with its commas is a name itself."""
    found: list[str] = []
    problems: list[str] = []
    for text in texts:
        for name in [text] if text in known else [part.strip() for part in _COMMA.split(text) if part.strip()]:
            if name in known:
                found.append(name)
            else:
                problems.append(f"there is no {what} {name!r}{nearest(name, known)}")
    if problems:
        raise ConfigError(problems)
    return found
