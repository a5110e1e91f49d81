"""The one layer that an image adds to its base: a tar archive that is the same for the same models, to the byte.

Everything that usually makes two archives differ is left out or fixed: order, times, owners, permissions, padding.
"""

from __future__ import annotations

import hashlib
import re
import tarfile
from collections.abc import Mapping
from pathlib import PurePosixPath

from datadriver.errors import UntrustedModelError
from datadriver.serving.manifest import FOLDER, MANIFEST, PackageManifest

_BLOCK = tarfile.BLOCKSIZE
_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*")


def build_layer(manifest: PackageManifest, archives: Mapping[str, bytes]) -> bytes:
    """Return the layer of an image: `/model/manifest.json` and the archives that the manifest names.

    It is an uncompressed tar archive in ustar format: entries sorted, folders 0555, files 0444, all of root, all of
    1970-01-01, and two empty blocks at the end.

    Args:
        manifest: What the image holds.
        archives: Content of each model's archive by its path in the manifest.

    Raises:
        UntrustedModelError: an archive is not what the manifest says, is missing, or is one too many.
        ValueError: a path is not a plain relative one.
    """
    _check(manifest, archives)
    files = {MANIFEST: manifest.to_bytes(), **archives}
    root = PurePosixPath(FOLDER).relative_to("/")
    contents = {str(root / path): content for path, content in files.items()}
    folders = {str(parent) for path in contents for parent in PurePosixPath(path).parents} - {"."}
    entries = [
        _file(path, contents[path]) if path in contents else _folder(path) for path in sorted({*folders, *contents})
    ]
    return b"".join(entries) + bytes(2 * _BLOCK)


def _check(manifest: PackageManifest, archives: Mapping[str, bytes]) -> None:
    named = {model.path: model for model in manifest.models}
    if len(named) < len(manifest.models) or MANIFEST in named:
        raise ValueError(f"two files of an image have the same path: {sorted(model.path for model in manifest.models)}")
    if wrong := [path for path in named if not _SAFE.fullmatch(path)]:
        raise ValueError(f"path of a model in an image: {wrong[0]!r} is not a plain relative one")
    if strangers := sorted(archives.keys() - named.keys()):
        raise UntrustedModelError(f"an image of {manifest.usecase}: its manifest does not name {strangers[0]!r}")
    for path, model in named.items():
        found = hashlib.sha256(archives.get(path, b"")).hexdigest()
        if found != model.sha256:
            received = f"one with sha256 {found[:12]}…" if path in archives else "none"
            raise UntrustedModelError(
                f"{model.name}: its archive has sha256 {model.sha256[:12]}… on record, received was {received}. "
                "Restore the artefacts, or train the model again"
            )


def _file(path: str, content: bytes) -> bytes:
    entry = tarfile.TarInfo(path)
    entry.mode, entry.size = 0o444, len(content)
    return _header(entry) + content + bytes(-len(content) % _BLOCK)


def _folder(path: str) -> bytes:
    entry = tarfile.TarInfo(path)
    entry.type, entry.mode = tarfile.DIRTYPE, 0o555
    return _header(entry)


def _header(entry: tarfile.TarInfo) -> bytes:
    return entry.tobuf(tarfile.USTAR_FORMAT, "ascii", "strict")
