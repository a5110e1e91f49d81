"""A folder in which something is made beside its place, to be moved there whole; killed makers leave none for long."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # not on every system; there, what killed makers leave stays
    fcntl = None  # type: ignore[assignment]

_YOUNG_SECONDS = 1.0
"""So old a draft must be before it is taken for dead: its maker may be about to lock it."""


@contextmanager
def draft_folder(place: Path) -> Iterator[Path]:
    """Give an empty folder beside `place`; it goes in the end, and with it those whose maker was killed.

    A maker holds a lock on its folder, which ends with the process however that ends.
    """
    place.parent.mkdir(parents=True, exist_ok=True)
    clear_drafts(place)
    made = tempfile.TemporaryDirectory(prefix=_prefix(place), dir=place.parent, ignore_cleanup_errors=True)
    with made as name, _locked(Path(name)):
        yield Path(name)


def clear_drafts(place: Path) -> None:
    """Remove the drafts beside a place whose maker was killed."""
    for other in place.parent.iterdir():
        if other.name.startswith(_prefix(place)) and _is_dead(other):
            shutil.rmtree(other, ignore_errors=True)


def _prefix(place: Path) -> str:
    return f".{place.name}-"


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder.

    Raises:
        BlockingIOError: another process holds it.
    """
    if fcntl is None:
        yield
        return
    number = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(number)


def _is_dead(folder: Path) -> bool:
    with suppress(OSError):
        if fcntl is not None and time.time() - folder.stat().st_mtime > _YOUNG_SECONDS:
            with _locked(folder):
                return True
    return False
