"""What any exception means for one job: the deliberate error that says it in a sentence."""

from __future__ import annotations

import errno
import sqlite3
import traceback
from collections.abc import Iterator
from pathlib import Path

from datadriver.errors import DatadriverError, UnavailableError, UseCaseError

MORE_MEMORY = "read less (`window.train`, `tags`), start fewer `--workers`, or give each more with `workers.memory`"
"""What to do when a worker needs more memory than it may have."""

_FULL = {errno.ENOSPC, errno.EDQUOT}


def full_disk(error: BaseException) -> UnavailableError | None:
    """Recognise a full disk anywhere in a chain of exceptions, whichever library met it."""
    for cause in _chain(error):
        if isinstance(cause, OSError) and cause.errno in _FULL:
            where = f" while writing {cause.filename}" if cause.filename else ""
            return UnavailableError(f"the disk is full{where}; make room and run the command again: it resumes")
        if isinstance(cause, sqlite3.OperationalError) and "database or disk is full" in str(cause):
            return UnavailableError("the disk under a SQLite database is full; make room and run the command again")
    return None


def deliberate(error: BaseException) -> DatadriverError | None:
    """Return the error to report for `error`, or None where it is a bug of ours."""
    if isinstance(error, MemoryError):
        said = f" ({error})" if str(error) else ""
        return UseCaseError(f"its worker ran out of memory{said}; {MORE_MEMORY}")
    if isinstance(error, UnavailableError) or not isinstance(error, DatadriverError):
        return full_disk(error) or (error if isinstance(error, DatadriverError) else None)
    return error


def explained(error: BaseException) -> DatadriverError:
    """Return the deliberate error of an exception; of any other, one that says where the bug is and whose it is."""
    text = f"a bug in datadriver: {type(error).__name__}: {error} ({_place(error)}); please report it"
    return deliberate(error) or DatadriverError(text)


def _place(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    return f"{Path(frames[-1].filename).name}, line {frames[-1].lineno}" if frames else "unknown place"


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__
