"""Estimators as bytes: a canonical skops archive, checked by digest and by type before it is loaded."""

from __future__ import annotations

import hashlib
import importlib
import warnings
from collections.abc import Collection
from functools import lru_cache
from pathlib import Path
from typing import Any

from datadriver.config.code import prefer
from datadriver.config.sections import UseCase
from datadriver.errors import UnavailableError, UntrustedModelError, UseCaseError
from datadriver.tracking import canonical
from datadriver.tracking.records import Version
from datadriver.tracking.skops_names import skops_io
from datadriver.tracking.trusted_types import REVIEWED

ARCHIVE = "model.skops"


def dump(estimator: Any) -> bytes:
    """Write a fitted estimator as a skops archive whose bytes depend on nothing but the estimator.

    Raises:
        UseCaseError: the estimator holds something that cannot be stored or read back.
    """
    return dumped(estimator)[0]


def dumped(estimator: Any) -> tuple[bytes, tuple[str, ...]]:
    """Return what `dump` does, and the types in it that skops itself does not vouch for."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # skops looks numpy's functions up in every module
            archive = canonical.archive(estimator)
        types = _untrusted_in(archive)
        if (
            set(types) - REVIEWED
        ):  # some can be written, but not read: lambdas, pandas' own, classes inside of functions
            skops_io().loads(archive.data, trusted=list(types))
    except Exception as error:  # user classes raise what they like from __getstate__ and __setstate__
        raise UseCaseError(
            f"the fitted {type(estimator).__name__} cannot be stored: {error}. Estimators may hold numbers, text, "
            "arrays, scikit-learn objects, and functions and objects of classes that have a name at the top level of "
            "a module; no pandas objects, open files or lambdas"
        ) from error
    return archive.data, types


@lru_cache(maxsize=256)
def _untrusted_in(archive: canonical.Archive) -> tuple[str, ...]:
    """Types that skops does not vouch for, of which the models of a fleet have the same: skops is asked once."""
    return untrusted_by_skops(archive.data)


def untrusted_by_skops(archive: bytes) -> tuple[str, ...]:
    """Full names of the types in an archive that skops itself does not vouch for."""
    return tuple(skops_io().get_untrusted_types(data=archive))


def unknown_types(archive: bytes, *, package: str, trusted: Collection[str] = ()) -> tuple[str, ...]:
    """Types in an archive that are neither scikit-learn's, nor datadriver's, nor the package's, nor `trusted`."""
    return unknown_of(untrusted_by_skops(archive), package=package, trusted=trusted)


def unknown_of(types: Collection[str], *, package: str, trusted: Collection[str] = ()) -> tuple[str, ...]:
    """Those of an archive's types that nobody vouches for; listing the types takes longest."""
    vouched = REVIEWED | set(trusted)
    return tuple(
        name
        for name in types
        if name not in vouched and not any(_defined_in(owner, name) for owner in (package, "datadriver"))
    )


def load(source: bytes | Path, *, sha256: str, package: str, trusted: Collection[str] = ()) -> Any:
    """Read an estimator back, after its digest and the types in it were checked.

    Args:
        source: an archive, or the file that holds it.
        sha256: what the archive must hash to, from the ledger.
        package: name of the use case's package; what it defines is trusted.
        trusted: full names of further types, `tracking.trusted_types`.

    Raises:
        UntrustedModelError: other bytes than were recorded, or a type that nobody vouched for.
        UnavailableError: the file cannot be read.
    """
    where, archive = ("the model", source) if isinstance(source, bytes) else (str(source), _read(source))
    _check_digest(archive, sha256, where)
    try:
        unknown = unknown_types(archive, package=package, trusted=trusted)
        if unknown:
            raise UntrustedModelError(f"{where}: {explain(unknown)}")
        return skops_io().loads(archive, trusted=list(untrusted_by_skops(archive)))
    except (ImportError, AttributeError) as error:
        raise UntrustedModelError(
            f"{where}: the model was made by code that is not there any more ({error}). Restore that code or the "
            "installed version that had it, or train again with --force"
        ) from error


def _check_digest(archive: bytes, recorded: str, where: str) -> None:
    found = hashlib.sha256(archive).hexdigest()
    if found != recorded:
        raise UntrustedModelError(
            f"{where}: the file was changed after it was recorded (sha256 {found[:12]}…, recorded {recorded[:12]}…). "
            "It was not loaded; restore it from a backup, or train again with --force"
        )


def explain(unknown: Collection[str]) -> str:
    """Sentence for types that nobody vouched for: which, and the key that vouches for them."""
    names = ", ".join(unknown)
    return (
        f"the model contains {names}, which is neither scikit-learn's nor the use case's own. If you know what "
        f"it does, list it under tracking.trusted_types in usecase.yaml"
    )


def load_version(version: Version, usecase: UseCase, root: Path) -> Any:
    """Load the estimator of a recorded version.

    A remote archive is fetched once and kept in the use case's `.datadriver/models`; MLflow is imported only for that.
    """
    prefer(root, usecase.name)
    return load(
        archive_file(version, usecase, root),
        sha256=version.sha256,
        package=usecase.name,
        trusted=usecase.tracking.trusted_types,
    )


def read_version(version: Version, usecase: UseCase, root: Path) -> bytes:
    """Return the archive of a recorded version after its digest was checked; nothing of it is loaded.

    Raises:
        UntrustedModelError: other bytes than were recorded.
        UnavailableError: the file cannot be read.
    """
    path = archive_file(version, usecase, root)
    archive = _read(path)
    _check_digest(archive, version.sha256, str(path))
    return archive


def kept_archive(version: Version, root: Path) -> Path:
    """Where the archive of a remote version is kept once it was fetched."""
    return root / ".datadriver" / "models" / f"{version.sha256}.skops"


def archive_file(version: Version, usecase: UseCase, root: Path) -> Path:
    """Return the file of a recorded version; a remote one is fetched once and kept."""
    kept = kept_archive(version, root)
    if ":/" not in version.path:
        place = root / version.path / ARCHIVE
        # One that waited for MLflow when it was looked up may have gone there since.
        return place if place.exists() or not kept.exists() else kept
    if not kept.exists():
        from datadriver.tracking.mlflow_store import fetch  # noqa: PLC0415 - importing MLflow takes 2 s

        fetch(f"{version.path}/{ARCHIVE}", kept, usecase.tracking, root)
    return kept


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise UntrustedModelError(
            f"{path}: the file of this model version is gone. Restore it from a backup, roll back to a version that "
            "has its file, or train again with --force. If it was trained on another machine and waits for MLflow, "
            "`datadriver track` sends it from there"
        ) from None
    except OSError as error:
        raise UnavailableError(f"{path}: the model cannot be read: {error.strerror or error}") from error


def _defined_in(package: str, name: str) -> bool:
    """Whether the code behind a full name was defined in a package, not merely imported there.

    Without this, `pumps.features.system` would vouch for the `os.system` that `pumps.features` imported.
    """
    if not name.startswith(f"{package}."):
        return False
    module, _, path = name.rpartition(".")
    parts = [path]
    while module:
        try:
            found: Any = importlib.import_module(module)
            break
        except ModuleNotFoundError as error:
            if error.name is None or not f"{module}.".startswith(f"{error.name}."):
                raise
            module, _, head = module.rpartition(".")
            parts.insert(0, head)
    for part in parts:
        found = getattr(found, part)
    owner = getattr(found, "__module__", None)
    return isinstance(owner, str) and f"{owner}.".startswith(f"{package}.")
