"""Which image a task is to run in: looked up when it starts, because champions change and the plan of DAGs does not."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from datadriver.config.fleet import Asset, Instance
from datadriver.config.resolve import expand
from datadriver.config.sections import UseCase
from datadriver.data.assets import load_assets
from datadriver.errors import ConfigError, UnavailableError, nearest
from datadriver.images.base import BaseBuild
from datadriver.images.names import asset_repository, model_repository, prefix_of
from datadriver.tracking import queries
from datadriver.tracking.images import ImageRecord, images
from datadriver.tracking.ledger import Ledger
from datadriver.tracking.records import Key, Version


def base_image(usecase: UseCase, root: Path) -> str:
    """Return the name of the base image of the use case as it is here, with the registry where there is one.

    Raises:
        ConfigError: as `BaseBuild.of`.
    """
    return _named(usecase, BaseBuild.of(usecase, root).name)


def champion_image(  # noqa: PLR0913 - whose image, and where all of it is on record
    usecase: UseCase, root: Path, ledger: Ledger, asset: str, model: str | None = None, *, pushed: bool = False
) -> str:
    """Return the image of the champions that score an asset: by digest where a registry has it.

    Args:
        usecase: Its configuration, environment applied, before overrides.
        root: Its folder.
        ledger: Of champions and images.
        asset: Its id.
        model: The one model whose image is wanted; may be left out where an image holds all models of the asset.
        pushed: Whether an image that is only in a Docker engine will not do.

    Raises:
        ConfigError: no such asset or model, or no champion.
        UnavailableError: the champion has no image yet.
    """
    instances = _serving(usecase, root, asset, model)
    served = queries.champions(ledger, units={one.unit.key for one in instances})
    members = [(one, served[_key(one)]) for one in instances if _key(one) in served]
    if not members:
        raise ConfigError(
            f"{asset}: none of its {len(instances)} models has a champion; run datadriver train and promote first"
        )
    repository, tag = _name(usecase, asset, members)
    wanted = {(*_key(one), version.version) for one, version in members}
    found = [
        record
        for record in images(ledger, repository=repository)
        if (tag is None or record.tag == tag) and {tuple(packed) for packed in record.models} == wanted
    ]
    chosen = _best(usecase, found, pushed=pushed)
    if chosen is None:
        names = ", ".join(f"{one.key} v{version.version}" for one, version in members)
        where = f" in the registry {usecase.package.registry}" if pushed else ""
        raise UnavailableError(
            f"there is no image of the {'champion' if len(members) == 1 else 'champions'} {names}{where} yet: "
            f"`datadriver package{' --push' if usecase.package.registry else ''}` makes it"
        )
    return chosen.reference if chosen.digest else _named(usecase, chosen.name)


def _serving(usecase: UseCase, root: Path, asset: str, model: str | None) -> Sequence[Instance]:
    """Return the instances that score an asset, or the one that is named."""
    known: dict[str, Asset] = {one.id: one for one in load_assets(usecase, root)}
    if asset not in known:
        raise ConfigError(f"there is no asset {asset!r}{nearest(asset, known)}")
    instances = expand(usecase, (known[asset],))
    if model is None:
        return instances
    named = [one for one in instances if one.model == model]
    if not named:
        raise ConfigError(f"{asset} has no model {model!r}{nearest(model, (one.model for one in instances))}")
    return named


def _name(usecase: UseCase, asset: str, members: Sequence[tuple[Instance, Version]]) -> tuple[str, str | None]:
    """Return repository and tag of the image; no tag where it follows from the content."""
    prefix = prefix_of(usecase.name, usecase.package.prefix)
    if usecase.package.per == "asset":
        return asset_repository(prefix, asset), None
    if len(members) > 1:
        raise ConfigError(
            f"{asset}: its {len(members)} models have an image each, and the plan does not say which; build the plan "
            "again with `datadriver dags build`"
        )
    instance, version = members[0]
    return model_repository(prefix, instance.unit.key, instance.model), f"v{version.version}"


def _best(usecase: UseCase, found: Sequence[ImageRecord], *, pushed: bool) -> ImageRecord | None:
    """Return the newest image in the registry, else the newest in an engine."""
    registry = usecase.package.registry
    there = [record for record in found if record.digest and record.place == registry]
    loaded = [] if pushed else [record for record in found if not record.digest]
    return next(iter(reversed(there or loaded)), None)


def _named(usecase: UseCase, name: str) -> str:
    registry = usecase.package.registry
    return f"{registry}/{name}" if registry else name


def _key(instance: Instance) -> Key:
    return Key(instance.unit.key, instance.model)
