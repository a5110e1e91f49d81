"""What an image holds: the models of one instance or asset, each with its digest, and what they were made with.

`datadriver package` writes it into the image's own layer, the commands inside of the image read it. It says nothing
about when or where it was written, so that the same versions on the same base give the same image.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from datadriver.config.fleet import Asset
from datadriver.errors import UntrustedModelError

FOLDER = "/model"
"""Where the layer of an image puts its files."""
USECASE = "/usecase"
"""Where the base image has `usecase.yaml` and the contracts."""
MANIFEST = "manifest.json"
FORMAT = 1


@dataclass(frozen=True)
class PackagedModel:
    """One model version in an image.

    Attributes:
        path: of its archive, relative to the manifest's folder.
        sha256: of the archive; it is checked before the archive is read.
        size: of the archive, bytes.
        assets: ids of the assets that it scores.
        features: names and dtypes of the feature columns that it was fitted on.
        threshold: of its alarm.
        tags: names of the tags that it was trained with, and two values (or the text) that each often has.
        mixed: whether overrides that do not concern the model differ between the assets of its unit.
        code_digest: of the use case's package when it was trained.
        contract_digest: of the suite when it was trained.
        versions: of the distributions that a stored model needs, when it was trained.
    """

    unit: str
    model: str
    version: int
    role: str
    method: str
    path: str
    sha256: str
    size: int
    assets: tuple[str, ...]
    features: tuple[tuple[str, str], ...]
    result_key: str
    threshold: float | None = None
    tags: Mapping[str, Sequence[float] | str | None] = field(default_factory=dict)
    mixed: bool = False
    code_digest: str | None = None
    contract_digest: str | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    python: str | None = None
    platform: str | None = None

    @property
    def name(self) -> str:
        """For people: `P-101/motor_temperature v3`."""
        return f"{self.unit}/{self.model} v{self.version}"


@dataclass(frozen=True)
class PackageManifest:
    """The models of an image, and the assets that they score with the attributes they had.

    The digests are those of the use case when it was packaged, which may be younger than a model: the base that the
    image stands on must have the same code and contract, so that scores are those of `datadriver score`.
    """

    usecase: str
    assets: tuple[Asset, ...]
    models: tuple[PackagedModel, ...]
    env: str | None = None
    """The environment of `usecase.yaml` that applies, as with `--env`."""
    code_digest: str | None = None
    """Of the use case's package."""
    contract_digest: str | None = None
    """Of what the contract expects of each of the assets."""

    def to_bytes(self) -> bytes:
        """Return it as JSON: the same bytes for the same content."""
        return json.dumps({"format": FORMAT, **asdict(self)}, sort_keys=True, separators=(",", ":")).encode() + b"\n"

    @classmethod
    def read(cls, folder: Path) -> PackageManifest:
        """Read the manifest in a folder.

        Raises:
            UntrustedModelError: there is none, or it cannot be understood.
        """
        path = folder / MANIFEST
        try:
            return cls._of(json.loads(path.read_bytes()))
        except OSError as error:
            raise UntrustedModelError(
                f"{path}: cannot be read ({error.strerror}). A model image has it; make one with `datadriver package`"
            ) from None
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise UntrustedModelError(
                f"{path}: is not a manifest of this version of datadriver ({error!r}). Make the image again with "
                "`datadriver package`"
            ) from None

    @classmethod
    def _of(cls, known: dict[str, Any]) -> PackageManifest:
        if known.pop("format") != FORMAT:
            raise ValueError("another format")
        assets = tuple(Asset(**one) for one in known.pop("assets"))
        models = tuple(
            PackagedModel(**{**one, "assets": tuple(one["assets"]), "features": tuple(map(tuple, one["features"]))})
            for one in known.pop("models")
        )
        return cls(assets=assets, models=models, **known)
