"""Where images go: an engine, or a registry without one. Each says what it has, takes what it lacks, and removes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from datadriver.images.engine import Engine
from datadriver.images.registry import Registry
from datadriver.images.spec import BaseImage, Image


class Destination(Protocol):
    """A place for images, by name: `pumps/p-101.motor_temperature:v3`."""

    @property
    def place(self) -> str:
        """What the ledger calls it."""

    def base(self, reference: str) -> BaseImage | None:
        """The base image of that name, without its place; None where it is not there."""

    def identity(self, image: Image) -> str:
        """What this place would call an image: id or digest."""

    def existing(self, names: Sequence[str]) -> Mapping[str, str]:
        """What it calls the images that have these names now."""

    def put(self, images: Sequence[Image]) -> Iterator[str]:
        """Take images that stand on one base, and name each as soon as it is there."""

    def remove(self, images: Mapping[str, str]) -> None:
        """Remove images, given what it calls them, by name; what is gone already is no error."""


class IntoEngine:
    """Images loaded into a Docker engine, with the registry in their names where there is one."""

    def __init__(self, engine: Engine, registry: str | None) -> None:
        self._engine = engine
        self._prefix = f"{registry}/" if registry else ""

    @property
    def place(self) -> str:
        """See `Destination`."""
        return self._engine.name

    def base(self, reference: str) -> BaseImage | None:
        """See `Destination`."""
        return self._engine.base(self._prefix + reference)

    def identity(self, image: Image) -> str:
        """See `Destination`."""
        return image.id

    def existing(self, names: Sequence[str]) -> Mapping[str, str]:
        """See `Destination`."""
        found = self._engine.ids([self._prefix + name for name in names])
        return {name.removeprefix(self._prefix): identity for name, identity in found.items()}

    def put(self, images: Sequence[Image]) -> Iterator[str]:
        """See `Destination`."""
        for loaded in self._engine.load(images, self._prefix.rstrip("/") or None):
            yield loaded.name.removeprefix(self._prefix)

    def remove(self, images: Mapping[str, str]) -> None:
        """See `Destination`."""
        here = self.existing(list(images))
        self._engine.remove([self._prefix + name for name, identity in images.items() if here.get(name) == identity])


class IntoRegistry:
    """Images pushed straight to a registry."""

    def __init__(self, registry: Registry, base_repository: str, platform: str | None = None) -> None:
        self._registry = registry
        self._base_repository = base_repository
        self._platform = platform

    @property
    def place(self) -> str:
        """See `Destination`."""
        return self._registry.host

    def base(self, reference: str) -> BaseImage | None:
        """See `Destination`."""
        return self._registry.base(reference, platform=self._platform)

    def identity(self, image: Image) -> str:
        """See `Destination`."""
        return image.digest

    def existing(self, names: Sequence[str]) -> Mapping[str, str]:
        """See `Destination`."""
        return self._registry.digests(names)

    def put(self, images: Sequence[Image]) -> Iterator[str]:
        """See `Destination`."""
        for pushed in self._registry.push(images, base_repository=self._base_repository):
            yield pushed.name

    def remove(self, images: Mapping[str, str]) -> None:
        """See `Destination`."""
        for name, digest in images.items():
            self._registry.delete(name, digest)
