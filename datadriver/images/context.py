"""What a build of the base image is given: the use case's files that `.dockerignore` lets through."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from datadriver.errors import ConfigError, MissingExtraError


def context_files(root: Path, dockerfile: str) -> tuple[str, ...]:
    """Return the files of the build context, relative to the use case, in order.

    `.dockerignore` is applied as Docker does, or `<dockerfile>.dockerignore` where that exists.

    Raises:
        ConfigError: there is no such Dockerfile.
        MissingExtraError: the extra `docker` is not installed.
    """
    try:
        from docker.utils.build import exclude_paths  # noqa: PLC0415 - only packaging needs it
    except ImportError:
        raise MissingExtraError("docker", "building a base image") from None
    if not (root / dockerfile).is_file():
        raise ConfigError(
            f"package.dockerfile: there is no file {dockerfile!r} in {root}. `datadriver new` writes one; copy it from "
            "a new use case"
        )
    found = exclude_paths(str(root), _patterns(root, dockerfile), dockerfile=dockerfile)
    return tuple(sorted(path for path in found if _is_content(root / path)))


def digest_of(root: Path, files: tuple[str, ...]) -> str:
    """Return the sha256 over paths, whether they may be executed, and content; nothing of where and when."""
    digest = hashlib.sha256()
    for name in files:
        path = root / name
        content = str(path.readlink()).encode() if path.is_symlink() else path.read_bytes()
        kind = "link" if path.is_symlink() else "program" if path.stat().st_mode & 0o100 else "file"
        digest.update(f"{name}\0{kind}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def copy_files(root: Path, files: tuple[str, ...], folder: Path) -> None:
    """Copy the files of a context, with the same permissions whatever they are here."""
    for name in files:
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(root / name, target, follow_symlinks=False)
        if not target.is_symlink():
            target.chmod(0o755 if (root / name).stat().st_mode & 0o100 else 0o644)


def _patterns(root: Path, dockerfile: str) -> list[str]:
    for name in (f"{dockerfile}.dockerignore", ".dockerignore"):
        if (root / name).is_file():
            return list(_lines((root / name).read_text("utf-8-sig")))
    return []


def _lines(text: str) -> Iterator[str]:
    for line in map(str.strip, text.splitlines()):
        if line and not line.startswith("#"):
            yield line


def _is_content(path: Path) -> bool:
    return path.is_symlink() or path.is_file()
