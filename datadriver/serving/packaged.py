"""The models of an image, opened: every archive checked before it is loaded, on the base that it was packaged for."""

from __future__ import annotations

import hashlib
import importlib.util
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from datadriver.config.code import code_digest, prefer
from datadriver.config.fleet import Asset, Instance
from datadriver.config.load import read_document, validated
from datadriver.config.messages import sentence
from datadriver.config.overlays import overlay
from datadriver.config.resolve import expand, resolve
from datadriver.config.sections import UseCase
from datadriver.config.variables import substitute_variables
from datadriver.data.contract.compiled.plan import plan_of
from datadriver.data.contract.suite import load_suite
from datadriver.errors import ConfigError, UnavailableError, UntrustedModelError, nearest
from datadriver.serving.manifest import FOLDER, USECASE, PackagedModel, PackageManifest
from datadriver.serving.packing import contract_digest
from datadriver.tracking.artefacts import load

_NEEDED = frozenset({"name", "data", "contract", "models", "overrides", "scores", "seed"})
_AGAIN = "Pull the image again, or make it again with `datadriver package`"


@dataclass(frozen=True)
class Loaded:
    """A model of an image: what the manifest says of it, the instance that it is of, and its archive, checked."""

    packaged: PackagedModel
    instance: Instance
    archive: bytes = field(repr=False)


@dataclass(frozen=True)
class Package:
    """An opened image.

    Attributes:
        manifest: what the image holds.
        usecase: the configuration in its base, environment applied, before overrides; without the sections that
            scoring does not need.
        root: folder of the use case in the base.
        models: in the order of the manifest.
    """

    manifest: PackageManifest
    usecase: UseCase
    root: Path
    models: tuple[Loaded, ...]
    _estimators: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)

    @property
    def main(self) -> str:
        """Name of the source that gives the clock."""
        return next(name for name, source in self.usecase.data.sources.items() if source.join == "bin")

    def asset(self, asset_id: str | None = None) -> Asset:
        """Return an asset by its id; without one, the only asset of the image.

        Raises:
            ConfigError: there is no such asset, or it does not go without saying.
        """
        known = {asset.id: asset for asset in self.manifest.assets}
        if asset_id is None and len(known) == 1:
            return self.manifest.assets[0]
        if asset_id is None:
            some = ", ".join(list(known)[:5]) + (", ..." if len(known) > 5 else "")
            raise ConfigError(f"the image is for {len(known)} assets; say which: {some}")
        if asset_id not in known:
            raise ConfigError(f"the image has no asset {asset_id!r}{nearest(asset_id, known)}")
        return known[asset_id]

    def models_of(self, asset: Asset, names: Sequence[str] | None = None) -> tuple[Loaded, ...]:
        """Return the models that score an asset, or those of them that are named; a grid's name means its variants.

        Raises:
            ConfigError: a name that no model of the image has, or none of the named ones scores the asset.
        """
        known = {name for one in self.models for name in (one.packaged.model, one.packaged.model.partition("[")[0])}
        for name in names or ():
            if name not in known:
                raise ConfigError(f"the image has no model {name!r}{nearest(name, known)}")
        found = tuple(
            one
            for one in self.models
            if asset.id in one.packaged.assets
            and (not names or {one.packaged.model, one.packaged.model.partition("[")[0]} & set(names))
        )
        if not found:
            raise ConfigError(f"none of the models {', '.join(names or known)} scores {asset.id}")
        return found

    def estimator(self, one: Loaded) -> Any:
        """Return a model's estimator, loaded at its first use after the types in its archive were checked.

        Raises:
            UntrustedModelError: it holds a type that nobody vouches for.
        """
        path = one.packaged.path
        if path not in self._estimators:
            prefer(self.root, self.usecase.name)
            self._estimators[path] = load(
                one.archive,
                sha256=one.packaged.sha256,
                package=self.usecase.name,
                trusted=one.instance.usecase.tracking.trusted_types,
            )
        return self._estimators[path]

    def load_all(self) -> Package:
        """Load every model now, as a server does before it answers; return the package."""
        for one in self.models:
            self.estimator(one)
        return self


def open_package(folder: Path | None = None, root: Path | None = None) -> Package:
    """Open the models in a folder: digests of the archives, of the code and of the contract are checked.

    What an archive holds is checked when it is loaded, by `Package.estimator` or `Package.load_all`.

    Args:
        folder: with the manifest; default: `DATADRIVER_MODEL`, else `/model`.
        root: of the use case in the base; default: `DATADRIVER_ROOT`, else `/usecase`.

    Raises:
        UntrustedModelError: a manifest or an archive is missing, or not what was packaged.
        ConfigError: the base has another use case, other code or another contract than the models were packaged with.
        UnavailableError: a file cannot be read.
    """
    folder = folder or Path(os.environ.get("DATADRIVER_MODEL", FOLDER))
    root = (root or Path(os.environ.get("DATADRIVER_ROOT", USECASE))).absolute()
    manifest = PackageManifest.read(folder)
    archives = {model.path: _checked(folder, model) for model in manifest.models}
    usecase = read_usecase(root, manifest.env)
    _require_same_base(manifest, usecase, root)
    instances = {(one.unit.key, one.model): one for one in expand(usecase, manifest.assets)}
    models = tuple(
        Loaded(model, _instance(instances, model, usecase), archives[model.path]) for model in manifest.models
    )
    return Package(manifest, usecase, root, models)


def read_usecase(
    root: Path, env: str | None, variables: Mapping[str, str] = os.environ, *, also: Collection[str] = ()
) -> UseCase:
    """Read what scoring needs of a `usecase.yaml`: nothing of tracking, ledger, monitoring or packaging.

    Sections in `also` are read, too.

    An environment variable that a source asks for may be missing: rows can be given instead of being read.

    Raises:
        ConfigError: with every mistake found.
    """
    document = read_document(root)
    if document.problems:
        raise ConfigError(document.problems)
    whole = overlay(document.tree, env)
    tree: dict[str, Any] = {key: value for key, value in whole.items() if key in _NEEDED or key in also}
    tree["fleet"] = {"assets": "fleet.csv"}  # the manifest lists the assets
    trusted = (whole.get("tracking") or {}).get("trusted_types")
    tree["tracking"] = {} if trusted is None else {"trusted_types": trusted}
    if isinstance(tree.get("overrides"), list):
        tree["overrides"] = [_needed_settings(override) for override in tree["overrides"]]
    filled, missing = substitute_variables(tree, variables)
    problems = [f"{'.'.join(map(str, path))}: {text}" for path, text in missing if path[:2] != ("data", "sources")]
    usecase, found = validated(filled)
    if usecase is None or problems:
        raise ConfigError([*problems, *(sentence(problem, document.lines) for problem in found)])
    return usecase


def _needed_settings(override: Any) -> Any:
    """Leave out what an override says of sections that are left out."""
    if not isinstance(override, dict) or not isinstance(override.get("set"), dict):
        return override
    kept = {
        path: value
        for path, value in override["set"].items()
        if str(path).partition(".")[0] in _NEEDED or path == "tracking.trusted_types"
    }
    return {**override, "set": kept}


def _checked(folder: Path, model: PackagedModel) -> bytes:
    """Read an archive, and refuse it unless it is the one that was packaged."""
    path = folder / model.path
    if Path(model.path).name != model.path:
        raise UntrustedModelError(f"{model.name}: its path {model.path!r} leads out of {folder}. {_AGAIN}")
    try:
        archive = path.read_bytes()
    except FileNotFoundError:
        raise UntrustedModelError(f"{path}: the archive of {model.name} is missing. {_AGAIN}") from None
    except OSError as error:
        raise UnavailableError(f"{path}: the archive of {model.name} cannot be read: {error.strerror}") from error
    found = hashlib.sha256(archive).hexdigest()
    if found != model.sha256:
        raise UntrustedModelError(
            f"{path}: the archive of {model.name} is not the one that was packaged (sha256 {found[:12]}…, packaged "
            f"{model.sha256[:12]}…). It was not loaded. {_AGAIN}"
        )
    return archive


def _require_same_base(manifest: PackageManifest, usecase: UseCase, root: Path) -> None:
    """Refuse a base that would score otherwise than the use case that the models were packaged with."""
    wrong = "the models were packaged for another base image"
    if usecase.name != manifest.usecase:
        raise ConfigError(f"{wrong}: this one has the use case {usecase.name!r}, not {manifest.usecase!r}")
    code = code_digest(root, usecase.name)
    if manifest.code_digest is not None and code != manifest.code_digest:
        raise ConfigError(
            f"{wrong}: the code of {usecase.name!r} is another here (sha256 {code[:12]}…, packaged with "
            f"{manifest.code_digest[:12]}…), and features would be others. {_AGAIN}"
        )
    contract = contract_digest(usecase, manifest.assets, root)
    if contract != manifest.contract_digest:
        raise ConfigError(
            f"{wrong}: the contract is another here (sha256 {str(contract)[:12]}…, packaged with "
            f"{str(manifest.contract_digest)[:12]}…). {_AGAIN}"
        )
    _require_judge(manifest, usecase, root)


def _require_judge(manifest: PackageManifest, usecase: UseCase, root: Path) -> None:
    """Refuse a contract that needs Great Expectations where that is not installed."""
    suites = {load_suite(resolve(usecase, asset).contract, root) for asset in manifest.assets} - {None}
    left = {suite.expectations[place]["type"] for suite in suites if suite for place in plan_of(suite).left}
    if left and importlib.util.find_spec("great_expectations") is None:
        raise ConfigError(
            f"the contract has expectations that only Great Expectations can judge ({', '.join(sorted(left))}), and "
            "it is not installed in this image: add great-expectations to the requirements of the base image, or "
            "replace them"
        )


def _instance(instances: Mapping[tuple[str, str], Instance], model: PackagedModel, usecase: UseCase) -> Instance:
    found = instances.get((model.unit, model.model))
    if found is None:
        raise ConfigError(
            f"usecase.yaml of the base image has no {model.model!r} for {model.unit!r}: the models were packaged for "
            f"another base image. {_AGAIN}"
        )
    return replace(found, usecase=usecase) if model.mixed else found
