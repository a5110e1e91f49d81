"""Files behind a source, on disk or behind any fsspec URL, and what their errors mean."""

from __future__ import annotations

import contextlib
import posixpath
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datadriver.config.fleet import Asset
from datadriver.data.looks import looked_at
from datadriver.data.readers.origin import Origin, fill_template
from datadriver.errors import ConfigError, DatadriverError, DataError, MissingExtraError, UnavailableError

# Clients of object stores whose errors are no OSErrors.
_REMOTE = frozenset({"aiohttp", "azure", "botocore", "gcsfs", "google", "s3fs"})


@dataclass(frozen=True)
class Files:
    """The files of a source for one asset: one file, or the sorted files of a directory."""

    fs: Any
    path: str
    names: tuple[str, ...]
    directory: bool

    @property
    def local(self) -> bool:
        """Whether the files are on this machine, where libraries have faster ways than fsspec."""
        return "file" in ([self.fs.protocol] if isinstance(self.fs.protocol, str) else self.fs.protocol)


def find_files(origin: Origin, asset: Asset, suffixes: tuple[str, ...]) -> Files:
    """Find the files that hold a source's rows of one asset; in a directory those with the suffixes, if any have them.

    Raises:
        ConfigError: if the path needs an attribute that the asset lacks, or the URL's protocol is unknown.
        DataError: if there is no such file.
        UnavailableError: if the file system does not answer.
    """
    if not origin.source.path:
        raise ConfigError(f"data.sources.{origin.name}.path: missing; a {origin.source.format} source needs a path")
    path = fill_template(origin.source.path, asset, origin)
    with file_errors(origin, asset):
        if "{asset_id}" in origin.source.path:
            return _find(path, origin, suffixes)
        key = "files", origin.root, path, suffixes, repr(origin.source.options.get("storage_options"))
        return looked_at(key, lambda: _find(path, origin, suffixes))


def _find(path: str, origin: Origin, suffixes: tuple[str, ...]) -> Files:
    fs, path = _open(path, origin)
    if fs.isfile(path):
        return Files(fs, path, (path,), directory=False)
    found = sorted(name for name in fs.find(path) if not _hidden(name, path))
    names = tuple([name for name in found if name.endswith(suffixes)] or found)
    if not names:
        raise FileNotFoundError(path)
    return Files(fs, path, names, directory=True)


def _open(path: str, origin: Origin) -> tuple[Any, str]:
    from fsspec.core import url_to_fs  # noqa: PLC0415 - rows that are handed over come from no file

    url = path if "://" in path else str(origin.root / Path(path))
    try:
        fs, inner = url_to_fs(url, **origin.source.options.get("storage_options", {}))
    except ImportError as error:
        protocol = url.partition("://")[0]
        raise MissingExtraError("cloud", f"source {origin.name}: reading {protocol}:// ({error})") from error
    except (ValueError, TypeError) as error:
        raise ConfigError(f"data.sources.{origin.name}.path: {path!r} cannot be opened: {error}") from error
    return fs, inner


def _hidden(name: str, base: str) -> bool:
    return any(part.startswith((".", "_")) for part in posixpath.relpath(name, base).split("/"))


@contextlib.contextmanager
def file_errors(origin: Origin, asset: Asset) -> Iterator[None]:
    """Turn errors of the file system into ours: what is not there is a fault of the data, the rest of the outside."""
    try:
        yield
    except DatadriverError:
        raise
    except FileNotFoundError as error:
        path = error.filename or error
        raise DataError(
            f"{origin.where(asset)}: {path} does not exist; check `path` and the asset's id and attributes"
        ) from error
    except Exception as error:
        if isinstance(error, OSError) or type(error).__module__.partition(".")[0] in _REMOTE:
            raise UnavailableError(f"{origin.where(asset)}: the file system did not answer: {error}") from error
        raise


def files_state(files: Files) -> tuple[tuple[object, ...], ...]:
    """Return name, size and time of change of every file."""
    return tuple(file_state(files, name) for name in files.names)


def file_state(files: Files, name: str) -> tuple[object, ...]:
    """Return name, size and time of change of one file; over a network it is asked for once in `one_look`."""
    short = posixpath.relpath(name, files.path) if files.directory else posixpath.basename(name)
    if files.local:
        stat = Path(name).stat()
        return short, stat.st_size, stat.st_mtime_ns
    info = looked_at(("info", str(files.fs.protocol), name), lambda: files.fs.info(name))
    changed = next((info[key] for key in ("ETag", "etag", "mtime", "LastModified", "created") if key in info), None)
    return short, info.get("size"), str(changed)
