"""The archive that an engine loads: many images, and of each only what the engine lacks.

It has the form of `docker save`, https://github.com/moby/docker-image-spec/blob/main/spec.md: `manifest.json`, a
configuration per image, and layers. An engine with the classic store looks for a layer among its own before it opens
the file in the archive, so layers that it has may be left out.
"""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from datadriver.images.spec import Image

_PIECE = 1 << 20


def write_archive(images: Iterable[Image], registry: str | None = None, saved: Path | None = None) -> Iterator[bytes]:
    """Yield the archive in pieces, none larger than a layer; `images` is gone through once.

    Args:
        images: the images, each name once.
        registry: what comes before their names.
        saved: what the engine saved of their base, whose layers are to be in the archive, too.
    """
    written: set[str] = set()
    entries = []
    if saved is not None:
        yield from _layers_of(saved)
    for image in images:
        entries.append(_entry(image, registry))
        yield _member(_config_path(image), image.config)
        if image.layer_digest not in written:
            written.add(image.layer_digest)
            yield _member(_layer_path(image.layer_digest), image.layer)
    yield _member("manifest.json", json.dumps(entries).encode())
    yield bytes(2 * tarfile.BLOCKSIZE)


def full_name(image: Image, registry: str | None) -> str:
    """Return the name that an engine knows an image by."""
    return f"{registry}/{image.name}" if registry else image.name


def _entry(image: Image, registry: str | None) -> dict[str, object]:
    layers = [_layer_path(digest) for digest in (*image.base.diff_ids, image.layer_digest)]
    return {"Config": _config_path(image), "RepoTags": [full_name(image, registry)], "Layers": layers}


def _config_path(image: Image) -> str:
    return f"{image.id.removeprefix('sha256:')}.json"


def _layer_path(diff_id: str) -> str:
    return f"{diff_id.removeprefix('sha256:')}/layer.tar"


def _member(path: str, content: bytes) -> bytes:
    return _header(path, len(content)) + content + _padding(len(content))


def _header(path: str, size: int) -> bytes:
    entry = tarfile.TarInfo(path)
    entry.size = size
    return entry.tobuf(tarfile.GNU_FORMAT)


def _padding(size: int) -> bytes:
    return bytes(-size % tarfile.BLOCKSIZE)


def _layers_of(saved: Path) -> Iterator[bytes]:
    """Yield the layers of a saved image under the names that our entries have for them."""
    with tarfile.open(saved) as archive:
        manifest = json.loads(_read(archive, "manifest.json"))[0]
        diff_ids = json.loads(_read(archive, manifest["Config"]))["rootfs"]["diff_ids"]
        for path, diff_id in dict(zip(manifest["Layers"], diff_ids, strict=True)).items():
            entry = archive.getmember(path)
            while entry.issym():  # a layer that the image has twice
                entry = archive.getmember(str(Path(entry.name).parent.joinpath(entry.linkname)))
            content = archive.extractfile(entry)
            if content is None:
                raise ValueError(f"{saved}: {entry.name} is no file")
            yield _header(_layer_path(diff_id), entry.size)
            while piece := content.read(_PIECE):
                yield piece
            yield _padding(entry.size)


def _read(archive: tarfile.TarFile, path: str) -> bytes:
    member = archive.extractfile(path)
    if member is None:
        raise ValueError(f"{path} is no file")
    return member.read()
