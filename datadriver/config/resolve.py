"""From one use case and its assets to instances: overrides applied, grids expanded, assets gathered into units."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from datadriver.config.expressions import Expression, parse, unknown_names
from datadriver.config.fleet import Asset, AttributeValue, Instance, Unit
from datadriver.config.grid import variants
from datadriver.config.overrides import apply
from datadriver.config.sections import Model, UseCase
from datadriver.errors import ConfigError, nearest

_Matching = tuple[int, ...]


def resolve(usecase: UseCase, asset: Asset) -> UseCase:
    """Return the use case as it is for one asset: the overrides that match applied in order, none left.

    Cheap to call per asset: assets that match the same overrides share one result. Resolving again changes nothing.

    Raises:
        ConfigError: if an override's path is unknown or its value is wrong.
    """
    if not usecase.overrides and not usecase.environments:
        return usecase
    resolver = _resolver(usecase)
    return resolver.usecase_for(resolver.matching(attributes_of(asset)))


def expand(usecase: UseCase, assets: Sequence[Asset]) -> tuple[Instance, ...]:
    """Return every instance: models in the order of the file, grid values in theirs, units as assets come.

    The `usecase` of an instance is resolved for its assets. Where the assets of a pooled unit differ in something else
    than the model, it still holds the overrides: `resolve(instance.usecase, asset)` is right for every unit.

    Raises:
        ConfigError: with every unknown attribute, empty group attribute and override that splits a unit.
    """
    fleet = _Fleet.of(usecase, assets)
    problems = list(fleet.unknown_attributes())
    if problems:
        raise ConfigError(problems)
    instances: list[Instance] = []
    for name in usecase.models:
        try:
            instances += fleet.instances(name)
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(problems)
    return tuple(instances)


def attributes_of(asset: Asset) -> dict[str, AttributeValue]:
    """Return what expressions see of an asset: its attributes, and its id as `asset_id`."""
    return {**asset.attributes, "asset_id": asset.id}


def known_attributes(assets: Iterable[Asset]) -> frozenset[str]:
    """Return the names that expressions over these assets may use."""
    return frozenset({"asset_id"}.union(*(asset.attributes for asset in assets)))


class _Resolver:
    """The overrides of one use case, parsed once, and the use cases that they lead to."""

    def __init__(self, usecase: UseCase) -> None:
        self.usecase = usecase
        self.tests = [
            _parse(override.where, f"overrides[{place}].where") for place, override in enumerate(usecase.overrides)
        ]
        self._found: dict[_Matching, UseCase] = {}

    def matching(self, row: Mapping[str, AttributeValue]) -> _Matching:
        return tuple(place for place, test in enumerate(self.tests) if test.matches(row))

    def usecase_for(self, matching: _Matching) -> UseCase:
        if matching not in self._found:
            self._found[matching] = apply(self.usecase, {place: self.usecase.overrides[place] for place in matching})
        return self._found[matching]


_resolvers: dict[int, _Resolver] = {}


def _resolver(usecase: UseCase) -> _Resolver:
    """Keep the resolvers of the last few use cases; each holds its use case, so an id is not used twice."""
    found = _resolvers.get(id(usecase))
    if found is None:
        while len(_resolvers) >= 8:
            _resolvers.pop(next(iter(_resolvers)), None)
        found = _resolvers[id(usecase)] = _Resolver(usecase)
    return found


def _parse(text: str, where: str) -> Expression:
    try:
        return parse(text)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error.message}") from None


@dataclass(frozen=True)
class _Fleet:
    """A use case beside its assets, with what each asset matches worked out once."""

    usecase: UseCase
    assets: Sequence[Asset]
    rows: Sequence[Mapping[str, AttributeValue]]
    resolver: _Resolver
    matching: Sequence[_Matching]
    single: Sequence[Unit]

    @classmethod
    def of(cls, usecase: UseCase, assets: Sequence[Asset]) -> _Fleet:
        """Return the fleet with what is asked of each asset again and again: its row, its overrides, its own unit."""
        resolver = _resolver(usecase)
        rows = [attributes_of(asset) for asset in assets]
        return cls(
            usecase,
            assets,
            rows,
            resolver,
            [resolver.matching(row) for row in rows],
            [Unit(asset.id, (asset,)) for asset in assets],
        )

    def unknown_attributes(self) -> Iterator[str]:
        """Yield a problem for each attribute that `overrides`, `where` or `fit` names and no asset has."""
        known = known_attributes(self.assets)
        for place, test in enumerate(self.resolver.tests):
            yield from (f"overrides[{place}].where: {text}" for text in unknown_names(test, known))
        for name, model in self.usecase.models.items():
            for _, section in variants(name, {"where": model.where, "fit": model.fit, "grid": model.grid}):
                if section["where"]:
                    test = _parse(section["where"], f"models.{name}.where")
                    yield from (f"models.{name}.where: {text}" for text in unknown_names(test, known))
                if not isinstance(section["fit"], str):
                    for attribute in sorted(set(section["fit"]) - known):
                        yield f"models.{name}.fit: no asset has an attribute {attribute!r}{nearest(attribute, known)}"

    def instances(self, name: str) -> list[Instance]:
        """Return the instances of one model, over all values of its grid."""
        by_matching = {matching: self._variants(name, matching) for matching in dict.fromkeys(self.matching)}
        labels = list(next(iter(by_matching.values()), {}))
        return [
            instance
            for label in labels
            for instance in self._of_variant(name, label, {key: found[label] for key, found in by_matching.items()})
        ]

    def _variants(self, name: str, matching: _Matching) -> dict[str, Model]:
        model = self.resolver.usecase_for(matching).models[name]
        if not model.grid:
            return {name: model}
        tree = model.model_dump(by_alias=True, warnings=False)
        return {label: Model.model_validate(section) for label, section in variants(name, tree)}

    def _of_variant(self, name: str, label: str, specs: Mapping[_Matching, Model]) -> Iterator[Instance]:
        any_spec = next(iter(specs.values()))
        test = _parse(any_spec.where, f"models.{name}.where") if any_spec.where else None
        places = [place for place, row in enumerate(self.rows) if test is None or test.matches(row)]
        if any_spec.fit == "asset":
            usecases = {matching: self.resolver.usecase_for(matching) for matching in specs}
            for place in places:
                matching = self.matching[place]
                yield Instance(self.single[place], label, specs[matching], usecases[matching])
            return
        for key, members in self._groups(name, any_spec.fit, places).items():
            yield self._pooled(name, label, key, members, specs)

    def _groups(self, name: str, fit: str | tuple[str, ...], places: Sequence[int]) -> dict[str, list[int]]:
        groups: dict[str, list[int]] = {}
        attributes = () if isinstance(fit, str) else fit
        problems: list[str] = []
        for place in places:
            row = self.rows[place]
            empty = [attribute for attribute in attributes if row.get(attribute) is None]
            if empty:
                problems.append(f"models.{name}.fit: asset {row['asset_id']} has no value for {empty[0]!r}; fill it in")
            groups.setdefault(_group_key(attributes, row), []).append(place)
        if problems:
            rest = [f"models.{name}.fit: {len(problems) - 5} more assets have none"] if len(problems) > 6 else []
            raise ConfigError([*problems[:5], *rest] if rest else problems)
        return groups

    def _pooled(
        self, name: str, label: str, key: str, members: Sequence[int], specs: Mapping[_Matching, Model]
    ) -> Instance:
        first: dict[_Matching, int] = {}
        for place in members:
            first.setdefault(self.matching[place], place)
        spec = specs[next(iter(first))]
        for matching, place in first.items():
            if specs[matching] != spec:
                raise ConfigError(self._split(name, key, next(iter(first.items())), (matching, place)))
        unit = Unit(key, tuple(self.assets[place] for place in members), pooled=True)
        usecase = self.resolver.usecase_for(next(iter(first))) if len(first) == 1 else self.usecase
        return Instance(unit, label, spec, usecase)

    def _split(self, name: str, key: str, one: tuple[_Matching, int], other: tuple[_Matching, int]) -> str:
        """Say which overrides make two assets of one unit differ."""
        guilty = [
            f"overrides[{place}] (`{self.usecase.overrides[place].where}`)"
            for place in sorted(set(one[0]) ^ set(other[0]))
            if any(
                path.split(".")[:2] in (["models", name], ["models", "*"]) for path in self.usecase.overrides[place].set
            )
        ]
        return (
            f"models.{name}: one fit covers the unit {key!r}, but {' and '.join(guilty) or 'overrides'} set the model "
            f"differently for {self.assets[one[1]].id} and {self.assets[other[1]].id}; add the attribute to `fit`, or "
            "make the override cover the whole unit"
        )


def _group_key(attributes: Sequence[str], row: Mapping[str, AttributeValue]) -> str:
    """Write a group as `country=NO,type=ESP`; signs that have a meaning there are percent-encoded in values."""
    if not attributes:
        return "fleet"
    return ",".join(f"{attribute}={_encoded(str(row.get(attribute)))}" for attribute in attributes)


def _encoded(value: str) -> str:
    for sign in "%,=/":
        value = value.replace(sign, f"%{ord(sign):02X}")
    return value
