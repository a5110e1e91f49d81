"""Where paths and database URLs of `usecase.yaml` lead: relative ones start at the use case's folder."""

from __future__ import annotations

import re
from pathlib import Path

_SQLITE_FILE = re.compile(r"(sqlite(?:\+\w+)?:///)(?!:memory:)([^?]+)(\?.*)?")


def is_url(path: str) -> bool:
    """Tell an fsspec URL such as `s3://bucket/key` from a path of the file system.

    >>> is_url("s3://plant/a.parquet"), is_url("data/a.parquet")
    (True, False)
    """
    return "://" in path


def rooted_path(path: str, root: Path) -> str:
    """Return a path that holds from anywhere; URLs and absolute paths stay.

    >>> rooted_path("data/a.csv", Path("/srv/pumps"))
    '/srv/pumps/data/a.csv'
    """
    return path if is_url(path) else str(root.absolute() / path)


def rooted_uri(uri: str, root: Path) -> str:
    """Return a SQLAlchemy URL that holds from anywhere: a relative SQLite file is under the use case.

    >>> rooted_uri("sqlite:///plant.db", Path("/srv/pumps"))
    'sqlite:////srv/pumps/plant.db'
    """
    found = _SQLITE_FILE.fullmatch(uri)
    return f"{found[1]}{root.absolute() / found[2]}{found[3] or ''}" if found else uri
