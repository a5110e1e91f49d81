"""A base image as a registry has it: manifest, configuration and compressed layers, each checked against its digest."""

from __future__ import annotations

import json
import platform
from typing import Any

from datadriver.errors import ConfigError
from datadriver.images.registry_answers import refusal
from datadriver.images.registry_connection import Connection
from datadriver.images.spec import MANIFEST_TYPE, BaseImage, Descriptor, settings_of, sha256

_DOCKER = "application/vnd.docker."
_DOCKER_MANIFEST = f"{_DOCKER}distribution.manifest.v2+json"
_INDEXES = ("application/vnd.oci.image.index.v1+json", f"{_DOCKER}distribution.manifest.list.v2+json")
ACCEPT = ", ".join((MANIFEST_TYPE, _DOCKER_MANIFEST, *_INDEXES))
_LAYERS = {
    f"{_DOCKER}image.rootfs.diff.tar.gzip": "application/vnd.oci.image.layer.v1.tar+gzip",
    f"{_DOCKER}image.rootfs.diff.tar.zstd": "application/vnd.oci.image.layer.v1.tar+zstd",
    f"{_DOCKER}image.rootfs.diff.tar": "application/vnd.oci.image.layer.v1.tar",
}
"""Docker's names of layers, and what the OCI specification calls the same bytes."""
_MACHINES = {"x86_64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


def split_reference(reference: str, host: str) -> tuple[str, str]:
    """Return repository and tag or digest of a reference, with or without the registry in front.

    >>> split_reference("localhost:5000/pumps/base:3f2a", "localhost:5000")
    ('pumps/base', '3f2a')
    >>> split_reference("pumps/base@sha256:00", "localhost:5000")
    ('pumps/base', 'sha256:00')
    """
    name = reference.removeprefix(f"{host}/")
    repository, at, digest = name.partition("@")
    if at:
        return repository, digest
    repository, colon, tag = name.rpartition(":")
    return (repository, tag) if colon else (name, "latest")


async def read_base(connection: Connection, reference: str, *, wanted: str | None) -> BaseImage | None:
    """Read what an image on this base has to know.

    Args:
        connection: to the registry.
        reference: `pumps/base:3f2a`.
        wanted: the platform, `linux/arm64`; default: of several this machine's, otherwise whichever there is.

    Returns:
        None where the registry has no such image.

    Raises:
        ConfigError: it is for another platform, of a kind that is not supported, or not what its digest says.
    """
    repository, tag = split_reference(reference, connection.host)
    reader = _Reader(connection, repository, reference)
    manifest = await reader.manifest(tag)
    if manifest is not None and "manifests" in manifest:
        digest = _choose(manifest["manifests"], wanted, reference)
        manifest = await reader.manifest(digest)
    if manifest is None:
        return None
    config = await reader.config(manifest["config"])
    base = BaseImage(
        reference=reference,
        architecture=config["architecture"],
        os=config["os"],
        variant=config.get("variant") or None,
        created=config.get("created") or None,
        settings=settings_of(config.get("config") or {}),
        diff_ids=tuple(config["rootfs"]["diff_ids"]),
        layers=tuple(_layer(one, reference) for one in manifest["layers"]),
    )
    _check(base, wanted)
    return base.without_empty_end()


class _Reader:
    """Reads the documents of one repository."""

    def __init__(self, connection: Connection, repository: str, reference: str) -> None:
        self._connection = connection
        self._repository = repository
        self._reference = reference

    async def manifest(self, tag: str) -> dict[str, Any] | None:
        content = await self._read(f"manifests/{tag}", {"Accept": ACCEPT})
        if content is None:
            return None
        known = self._parsed(content, tag if tag.startswith("sha256:") else None, "manifest")
        if "manifests" not in known and not {"config", "layers"} <= known.keys():
            raise self._is_no("manifest")
        return known

    async def config(self, descriptor: dict[str, Any]) -> dict[str, Any]:
        digest = str(descriptor.get("digest"))
        content = await self._read(f"blobs/{digest}", {})
        if content is None:
            raise ConfigError(
                f"{self._reference}: its configuration {digest[:19]}… is gone from the registry; push it again"
            )
        known = self._parsed(content, digest, "configuration")
        if not {"architecture", "os", "rootfs"} <= known.keys():
            raise ConfigError(f"{self._reference}: is not an image of a file system, so nothing can be based on it")
        return known

    async def _read(self, path: str, headers: dict[str, str]) -> bytes | None:
        connection, doing = self._connection, f"reading {self._reference}"
        scopes = (f"repository:{self._repository}:pull",)
        answer = await connection.patiently(
            lambda: connection.send(
                "GET", f"/v2/{self._repository}/{path}", scopes=scopes, doing=doing, headers=headers
            )
        )
        if answer.status == 404:
            return None
        if answer.status != 200:
            raise refusal(answer, connection.host, doing)
        return answer.body

    def _parsed(self, content: bytes, digest: str | None, what: str) -> dict[str, Any]:
        if digest is not None and sha256(content) != digest:
            raise ConfigError(
                f"{self._reference}: its {what} should have digest {digest[:19]}…, received was "
                f"{sha256(content)[:19]}…. The registry, or something between it and us, does not give what was pushed"
            )
        try:
            known = json.loads(content)
        except ValueError:
            known = None
        if not isinstance(known, dict) or known.get("schemaVersion", 2) != 2:
            raise self._is_no(what)
        return known

    def _is_no(self, what: str) -> ConfigError:
        return ConfigError(f"{self._reference}: its {what} is not of OCI's or Docker's schema 2. Push the image again")


def _choose(entries: list[dict[str, Any]], wanted: str | None, reference: str) -> str:
    """Choose from an image index."""
    known = {_platform(one.get("platform") or {}): str(one["digest"]) for one in entries}
    known.pop("unknown/unknown", None)  # attestations of a build
    here = f"linux/{_MACHINES.get(platform.machine(), platform.machine())}"
    for name in (wanted,) if wanted else (here, *(known if len(known) == 1 else ())):
        for found, digest in known.items():
            if found == name or found.startswith(f"{name}/"):
                return digest
    raise ConfigError(
        f"{reference}: there is none for {wanted or here}; there are {', '.join(sorted(known)) or 'none at all'}. "
        "Set `package.platform` to one of these, or choose another base image"
    )


def _check(base: BaseImage, wanted: str | None) -> None:
    found = _platform({"os": base.os, "architecture": base.architecture, "variant": base.variant})
    if wanted and found != wanted and not found.startswith(f"{wanted}/"):
        raise ConfigError(
            f"{base.reference}: is for {found}, and `package.platform` is {wanted}. Build the base image for {wanted}, "
            "or change the platform"
        )
    if len(base.layers) != len(base.diff_ids):
        raise ConfigError(
            f"{base.reference}: has {len(base.layers)} layers, and its configuration names {len(base.diff_ids)}. "
            "Push the image again"
        )


def _platform(known: dict[str, Any]) -> str:
    return "/".join(str(known[part]) for part in ("os", "architecture", "variant") if known.get(part))


def _layer(known: dict[str, Any], reference: str) -> Descriptor:
    kind = str(known.get("mediaType"))
    kind = _LAYERS.get(kind, kind)
    if known.get("urls") or not kind.startswith("application/vnd.oci.image.layer.v1."):
        raise ConfigError(f"{reference}: a layer of kind {kind} cannot be passed on; choose another base image")
    return Descriptor(kind, str(known["digest"]), int(known["size"]))
