"""Assets, units and instances: the vocabulary that every later module speaks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from datadriver.config.sections import Model, UseCase

AttributeValue = str | int | float | bool | None


@dataclass(frozen=True)
class Asset:
    """One physical machine: its identifier as the plant writes it, and its attributes."""

    id: str
    attributes: Mapping[str, AttributeValue] = field(default_factory=dict)


@dataclass(frozen=True)
class Unit:
    """What one fit covers: `P-101`, `country=NO,type=ESP` or `fleet`."""

    key: str
    assets: tuple[Asset, ...]
    pooled: bool = False


@dataclass(frozen=True)
class Instance:
    """A model of one unit, with its configuration resolved: overrides applied, grid value filled in.

    `usecase` is the use case with the overrides of the unit's assets applied; `spec` is
    `usecase.models[...]` with the grid variables filled in, and `model` its name, such as
    `failure[horizon=1d]`.
    """

    unit: Unit
    model: str
    spec: Model
    usecase: UseCase

    @property
    def key(self) -> str:
        """Name of the instance for people: `P-101/motor_temperature`."""
        return f"{self.unit.key}/{self.model}"
