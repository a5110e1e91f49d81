"""An image as plain data: the base it stands on, its one layer, and the bytes that make its digest.

The configuration of an image is written here from a few fields of the base, in one order, with no time and no history:
so it has the same digest whether the base was seen in an engine or in a registry. Fields are those of the OCI image
specification 1.1, https://github.com/opencontainers/image-spec/blob/main/config.md.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar"
"""Not compressed: compressors differ between machines, and a model is a few kilobytes."""

_EMPTY = "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef"
"""An archive without entries: what Docker makes of a `WORKDIR` that is there already, mostly at a base's end."""

_SETTINGS = (
    "Cmd",
    "Entrypoint",
    "Env",
    "ExposedPorts",
    "Healthcheck",
    "Labels",
    "Shell",
    "StopSignal",
    "User",
    "Volumes",
    "WorkingDir",
)
"""What counts of an image's `config`: the fields of the specification, and Docker's `Healthcheck` and `Shell`."""


@dataclass(frozen=True)
class Descriptor:
    """A blob in a registry: what it is, its sha256 as `sha256:<hex>`, its length in bytes."""

    media_type: str
    digest: str
    size: int


@dataclass(frozen=True)
class BaseImage:
    """The base image of a use case, as an engine or a registry has it.

    Attributes:
        reference: where it was found, `localhost:5000/pumps/base:3f2a…` or the engine's name of it.
        architecture: `amd64`; `os`: `linux`; `variant`: of some architectures, `v8`.
        created: RFC 3339 time of the base, taken over by every image on it; None where it has none.
        settings: its `config` (`Env`, `User`, `WorkingDir`, `Labels`, `Healthcheck`, ...), empty values left out.
        diff_ids: sha256 of each uncompressed layer.
        layers: its compressed layers in a registry; empty where it was seen in an engine only.
    """

    reference: str
    architecture: str
    os: str
    settings: Mapping[str, Any]
    diff_ids: tuple[str, ...]
    variant: str | None = None
    created: str | None = None
    layers: tuple[Descriptor, ...] = ()

    @cached_property
    def id(self) -> str:
        """What images on it depend on: sha256 over everything but where it was found and how it is compressed."""
        said = (self.architecture, self.os, self.variant, self.created, self.settings, self.diff_ids)
        return sha256(_json(said))

    def without_empty_end(self) -> BaseImage:
        """Return it without empty layers at its end, each of which would cost every push of an image a request.

        Those in between stay: an engine knows a layer by all that are below it.
        """
        filled = len(self.diff_ids)
        while filled and self.diff_ids[filled - 1] == _EMPTY:
            filled -= 1
        return replace(self, diff_ids=self.diff_ids[:filled], layers=self.layers[:filled])

    @cached_property
    def config(self) -> bytes:
        """Its configuration as we would write it."""
        known = {
            "architecture": self.architecture,
            "os": self.os,
            "variant": self.variant,
            "created": self.created,
            "config": self.settings,
            "rootfs": {"type": "layers", "diff_ids": self.diff_ids},
        }
        return _json({name: value for name, value in known.items() if value is not None})


@dataclass(frozen=True)
class Image:
    """An image to be loaded or pushed.

    Attributes:
        repository: its name without registry and tag, `pumps/p-101.motor_temperature`.
        tag: `v3`.
        base: what it stands on.
        layer: its own layer, an uncompressed tar archive.
        annotations: OCI annotations, also its labels.
        command: what runs after the entrypoint where nothing is given.
        entrypoint: of every image of models.
    """

    repository: str
    tag: str
    base: BaseImage
    layer: bytes
    annotations: Mapping[str, str] = field(default_factory=dict)
    entrypoint: tuple[str, ...] = ("datadriver-model",)
    command: tuple[str, ...] = ("info",)

    @property
    def name(self) -> str:
        """`pumps/p-101.motor_temperature:v3`."""
        return f"{self.repository}:{self.tag}"

    @cached_property
    def layer_digest(self) -> str:
        """Digest of the layer, which is its diff id too."""
        return sha256(self.layer)

    @cached_property
    def config(self) -> bytes:
        """The image configuration; its sha256 is the image's id in an engine."""
        base = self.base
        labels = {**base.settings.get("Labels", {}), **self.annotations}
        settings = {
            **base.settings,
            "Labels": labels,
            "Entrypoint": list(self.entrypoint),
            "Cmd": list(self.command),
        }
        return replace(base, settings=settings, diff_ids=(*base.diff_ids, self.layer_digest)).config

    @cached_property
    def id(self) -> str:
        """The image's id in an engine: sha256 of its configuration."""
        return sha256(self.config)

    @cached_property
    def manifest(self) -> bytes:
        """The OCI manifest, for a base whose compressed layers are known."""
        own = Descriptor(LAYER_TYPE, self.layer_digest, len(self.layer))
        return _json(
            {
                "schemaVersion": 2,
                "mediaType": MANIFEST_TYPE,
                "config": _descriptor(Descriptor(CONFIG_TYPE, self.id, len(self.config))),
                "layers": [_descriptor(one) for one in (*self.base.layers, own)],
                "annotations": dict(self.annotations),
            }
        )

    @cached_property
    def digest(self) -> str:
        """The image's digest in a registry: sha256 of its manifest."""
        return sha256(self.manifest)


def settings_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return what counts of an image's `config`, empty values left out: the same from an engine and a registry.

    >>> settings_of({"User": "10001", "Hostname": "vm", "Volumes": None, "Labels": {}})
    {'User': '10001'}
    """
    return {name: config[name] for name in _SETTINGS if config.get(name)}


def sha256(content: bytes) -> str:
    """Return the digest of a blob as registries write it."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _descriptor(one: Descriptor) -> dict[str, Any]:
    return {"mediaType": one.media_type, "digest": one.digest, "size": one.size}


def _json(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
