"""A Docker engine: what images it has, and images loaded into it many at a time."""

from __future__ import annotations

import tempfile
import threading
import weakref
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datadriver.errors import ConfigError, DatadriverError, MissingExtraError, UnavailableError
from datadriver.images.archive import full_name, write_archive
from datadriver.images.spec import BaseImage, Image, settings_of, sha256

if TYPE_CHECKING:
    from docker import DockerClient

_SECONDS = 600
"""How long the engine may be silent; it is, while it writes what it was sent to a slow disk."""
_GROUP = 32
_GROUP_BYTES = 16 << 20
"""The engine unpacks an archive whole before it takes images from it, so archives are kept short."""
_LOADS = 4
"""Archives on their way at the same time: the engine takes the images of each one after the other, on one core."""


@dataclass(frozen=True)
class Loaded:
    """An image that the engine has: its name there, and its id."""

    name: str
    id: str


class Engine:
    """A Docker engine that answers."""

    def __init__(self, client: DockerClient, *, name: str, whole: bool) -> None:
        self._client = client
        self.close = weakref.finalize(self, client.close)
        """End the connections; done anyway when nobody has the engine any more."""
        self._whole = whole
        self.name = name
        """Which engine it is, in words."""

    @classmethod
    def connect(cls) -> Engine:
        """Reach the engine that the environment names (`DOCKER_HOST`, ...), by default the one of this machine.

        Raises:
            MissingExtraError: the extra `docker` is not installed.
            UnavailableError: no engine answers there, or it does not let this user in.
        """
        client = _client()
        with _answering("asking the Docker engine about itself"):
            about = client.info()
        # The store of containerd refuses archives with holes, and calls images by the digest of their manifest.
        whole = ["driver-type", "io.containerd.snapshotter.v1"] in (about.get("DriverStatus") or [])
        return cls(client, name=f"Docker engine of {about['Name']}", whole=whole)

    def base(self, reference: str) -> BaseImage | None:
        """Return an image as a base for others; None where the engine does not have it."""
        found = self._inspect(reference)
        return None if found is None else _as_base(reference, found)

    def load(self, images: Iterable[Image], registry: str | None = None) -> Iterator[Loaded]:
        """Load images whose bases the engine has, and yield each when it is known to be there.

        Memory is bounded by 64 MB of layers, or four layers that are larger, whatever the number of images. Where the
        engine fails, what was loaded stays, and `ids` tells.

        Args:
            images: images with different names; those of one archive of the whole kind share a base.
            registry: what comes before their names.

        Raises:
            UnavailableError: the engine stopped answering or has no space left.
            ConfigError: the engine refuses an image, or lacks its base.
        """
        groups = iter([list(images)] if self._whole else _groups(images))
        running = deque(self._loading(group, registry) for group in islice(groups, _LOADS))
        error: DatadriverError | None = None
        while running:
            try:
                yield from running.popleft().result()
            except DatadriverError as problem:  # those that are on their way may arrive all the same
                error = error or problem
            if error is None:
                running.extend(self._loading(group, registry) for group in islice(groups, 1))
        if error is not None:
            raise error

    def ids(self, names: Sequence[str]) -> dict[str, str]:
        """Return the id of each image that the engine has under one of these names."""
        found = ((name, self._inspect(name)) for name in names)
        return {name: self._id(inspected) for name, inspected in found if inspected is not None}

    def remove(self, names: Sequence[str]) -> None:
        """Remove images by name; those that the engine does not have are no error.

        Raises:
            UnavailableError: the engine does not answer, or some are used by containers; the others are removed.
        """
        from docker.errors import APIError, ImageNotFound  # noqa: PLC0415

        kept = []
        for name in names:
            with _answering(f"removing {name}"):
                try:
                    self._client.api.remove_image(name)
                except ImageNotFound:
                    continue
                except APIError as error:
                    if error.status_code != 409:
                        raise
                    kept.append(f"{name} ({error.explanation})")
        if kept:
            raise UnavailableError(
                f"{len(kept)} of {len(names)} images could not be removed, the others are: {'; '.join(kept[:5])}. "
                "Remove the containers that use them, and prune again"
            )

    def push_base(self, reference: str) -> None:
        """Push an image to the registry that its name begins with, with the credentials of Docker's configuration.

        Raises:
            UnavailableError: engine or registry do not answer.
            ConfigError: the registry refuses it, or the engine does not have it.
        """
        with _answering(f"pushing {reference}"):
            _follow(self._client.api.push(reference, stream=True, decode=True), f"{reference} was not pushed")

    def _loading(self, images: list[Image], registry: str | None) -> Future[list[Loaded]]:
        """Begin to load an archive in a thread, which does not keep the process from ending."""
        loading: Future[list[Loaded]] = Future()

        def load() -> None:
            try:
                loading.set_result(self._load(images, registry))
            except BaseException as error:
                loading.set_exception(error)

        threading.Thread(target=load, daemon=True, name="datadriver-load").start()
        return loading

    def _load(self, images: list[Image], registry: str | None) -> list[Loaded]:
        if not images:
            return []
        about = f"loading {len(images)} images, {full_name(images[0], registry)} first"
        with _answering(about), self._saved(images[0].base) as saved:
            archive = write_archive(images, registry, saved)
            _follow(self._client.api.load_image(archive), f"{about} failed")
        wanted = {full_name(image, registry): image.id for image in images}
        there = self.ids(list(wanted))
        for name, identity in wanted.items():
            if there.get(name) != identity:
                raise UnavailableError(
                    f"{self.name} was given {name} as {identity} and has {there.get(name, 'no such image')}. Somebody "
                    "else gives or takes this name at the same time: run it again when they are done"
                )
        return [Loaded(*one) for one in wanted.items()]

    @contextmanager
    def _saved(self, base: BaseImage) -> Iterator[Path | None]:
        """Give the layers of a base to an engine that wants archives without holes; None to others."""
        if not self._whole:
            yield None
            return
        with tempfile.NamedTemporaryFile(suffix=".tar") as file:
            for piece in self._client.api.get_image(base.reference):
                file.write(piece)
            file.flush()
            yield Path(file.name)

    def _inspect(self, name: str) -> dict[str, Any] | None:
        from docker.errors import ImageNotFound  # noqa: PLC0415

        with _answering(f"looking for {name}"):
            try:
                found: dict[str, Any] = self._client.api.inspect_image(name)
            except ImageNotFound:
                return None
            return found

    def _id(self, inspected: dict[str, Any]) -> str:
        return sha256(_as_base("", inspected).config) if self._whole else inspected["Id"]


def _as_base(reference: str, inspected: dict[str, Any]) -> BaseImage:
    return BaseImage(
        reference=reference,
        architecture=inspected["Architecture"],
        os=inspected["Os"],
        variant=inspected.get("Variant") or None,
        created=inspected.get("Created") or None,
        settings=settings_of(inspected["Config"] or {}),
        diff_ids=tuple(inspected["RootFS"].get("Layers") or ()),
    ).without_empty_end()


def _groups(images: Iterable[Image]) -> Iterator[list[Image]]:
    group: list[Image] = []
    size = 0
    for image in images:
        if group and (len(group) == _GROUP or size + len(image.layer) > _GROUP_BYTES):
            yield group
            group, size = [], 0
        group.append(image)
        size += len(image.layer)
    yield group


def _client() -> DockerClient:
    try:
        import docker  # noqa: PLC0415 - takes a third of a second, and only images need it
    except ImportError:
        raise MissingExtraError("docker", "a Docker engine") from None
    try:
        return docker.from_env(timeout=_SECONDS)
    except docker.errors.DockerException as error:
        raise UnavailableError(_unreachable(error)) from error


def _unreachable(error: Exception) -> str:
    text = str(error)
    if "Permission denied" in text or "PermissionError" in text:
        return (
            f"the Docker engine does not let this user in ({text}). Add the user to the group `docker` and log in "
            "again, or use `--to registry`, which needs no engine"
        )
    return (
        f"no Docker engine answers ({text}). Start it, or name another one in DOCKER_HOST; a push to a registry needs "
        "no engine once the base image is there"
    )


def _follow(events: Iterable[dict[str, Any]], failed: str) -> None:
    """Go through what the engine reports while it works; its own failures are among that."""
    for event in events:
        if "error" in event:
            raise _said(failed, str(event["error"]))


def _said(failed: str, text: str) -> DatadriverError:
    if "no space left" in text:
        return UnavailableError(
            f"{failed}: the engine's disk is full ({text}). Make room, for example with `docker image prune`, and run "
            "it again: what is there is not made again"
        )
    if "layer.tar: no such file" in text:
        return ConfigError(f"{failed}: the engine does not have the base image any more ({text}); package again")
    outside = ("connection refused", "timeout", "EOF", "no such host", "503", "502", "500", "reset by peer")
    if any(word in text for word in outside):
        return UnavailableError(f"{failed}: {text}. Run it again when the other side answers")
    return ConfigError(f"{failed}: {text}")


@contextmanager
def _answering(doing: str) -> Iterator[None]:
    """Turn the engine's failures into errors that say what was being done."""
    from docker.errors import APIError, DockerException  # noqa: PLC0415
    from requests.exceptions import RequestException  # noqa: PLC0415
    from urllib3.exceptions import HTTPError  # noqa: PLC0415

    try:
        yield
    except APIError as error:
        raise _said(f"{doing} failed", str(error.explanation or error)) from error
    except (RequestException, HTTPError, OSError) as error:
        raise UnavailableError(
            f"the Docker engine stopped answering while {doing} ({error}). What was done stays: run it again when the "
            "engine is back"
        ) from error
    except DockerException as error:
        raise UnavailableError(f"{doing} failed: {error}") from error
