"""What goes into the layer of an image: the archives of some champions, and the manifest that says what they are."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datadriver.config.code import code_digest
from datadriver.config.fleet import Asset, Instance
from datadriver.config.resolve import resolve
from datadriver.config.sections import UseCase
from datadriver.config.slugs import slug
from datadriver.data.contract.suite import load_suite
from datadriver.serving.manifest import PackagedModel, PackageManifest
from datadriver.tracking.artefacts import read_version
from datadriver.tracking.manifests import manifest_of
from datadriver.tracking.records import Version


@dataclass(frozen=True)
class Packed:
    """The content of a layer: the manifest, and the archives of its models by path."""

    manifest: PackageManifest
    archives: Mapping[str, bytes]


@dataclass(frozen=True)
class Packer:
    """A use case whose champions are packed.

    Attributes:
        usecase: its configuration, environment applied, before overrides.
        root: its folder.
        env: the environment that applies.
        code: digest of its package, worked out once for all images.
    """

    usecase: UseCase
    root: Path
    env: str | None
    code: str

    @classmethod
    def of(cls, usecase: UseCase, root: Path, env: str | None = None) -> Packer:
        """Start packing a use case as it is now."""
        return cls(usecase, root, env, code_digest(root, usecase.name))

    def pack(self, assets: Sequence[Asset], champions: Sequence[tuple[Instance, Version]]) -> Packed:
        """Return the content of an image for some assets, with the champions that score them.

        Raises:
            UntrustedModelError: an archive is not what was recorded.
            UnavailableError: an archive cannot be read.
            ConfigError: the contract of an asset is wrong.
        """
        archives: dict[str, bytes] = {}
        models = []
        for instance, version in champions:
            path = f"{slug(instance.model)}.skops"
            if path in archives:  # another unit's, where one package has several
                path = f"{slug(instance.key)}.skops"
            archives[path] = read_version(version, instance.usecase, self.root)
            models.append(self._model(instance, version, path, len(archives[path]), assets))
        manifest = PackageManifest(
            usecase=self.usecase.name,
            assets=tuple(assets),
            models=tuple(models),
            env=self.env,
            code_digest=self.code,
            contract_digest=contract_digest(self.usecase, assets, self.root),
        )
        return Packed(manifest, archives)

    def _model(
        self, instance: Instance, version: Version, path: str, size: int, assets: Sequence[Asset]
    ) -> PackagedModel:
        noted: Mapping[str, Any] = manifest_of(version, instance.usecase, self.root) or {}
        wanted = {asset.id for asset in assets}
        return PackagedModel(
            unit=instance.unit.key,
            model=instance.model,
            version=version.version,
            role=version.role,
            method=version.method,
            path=path,
            sha256=version.sha256,
            size=size,
            assets=tuple(asset.id for asset in instance.unit.assets if asset.id in wanted),
            features=tuple((name, dtype) for name, dtype in noted.get("features", ())),
            result_key=version.result_key,
            threshold=version.threshold,
            tags=(noted.get("reference") or {}).get("tags") or {},
            mixed=bool(instance.usecase.overrides),  # left only where its assets differ
            code_digest=noted.get("code_digest"),
            contract_digest=noted.get("contract_digest"),
            versions=noted.get("versions", {}),
            python=noted.get("python"),
            platform=noted.get("platform"),
        )


def contract_digest(usecase: UseCase, assets: Sequence[Asset], root: Path) -> str | None:
    """Return the sha256 of what the contract expects of each asset; None where no asset has a contract.

    Raises:
        ConfigError: a suite is wrong.
    """
    said = []
    for asset in assets:
        contract = resolve(usecase, asset).contract
        suite = load_suite(contract, root)
        said.append(None if suite is None else [suite.digest, contract.on_breach.model_dump(mode="json")])
    return hashlib.sha256(json.dumps(said).encode()).hexdigest() if any(said) else None
