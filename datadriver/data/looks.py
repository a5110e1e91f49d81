"""One look for many: inside of `one_look`, what all assets share is looked at once.

A directory of a thousand files is listed once, a table of a database asked for its columns once, not once per asset.
Outside of it every call looks anew, so that a notebook sees what has changed since.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

T = TypeVar("T")

_seen: ContextVar[dict[Hashable, Any] | None] = ContextVar("seen", default=None)


@contextmanager
def one_look() -> Iterator[None]:
    """Let `looked_at` remember until the block ends; a block inside of a block remembers with the outer one."""
    if _seen.get() is not None:
        yield
        return
    token = _seen.set({})
    try:
        yield
    finally:
        _seen.reset(token)


def looked_at(key: Hashable, look: Callable[[], T]) -> T:
    """Return what `look` returns, or has returned for this key in this block.

    Keys are for what assets share: one entry per asset would make memory grow with the fleet.
    """
    seen = _seen.get()
    if seen is None:
        return look()
    if key not in seen:
        seen[key] = look()
    found: T = seen[key]
    return found


def forget(key: Hashable) -> None:
    """Look again next time: what was seen is out of date."""
    seen = _seen.get()
    if seen is not None:
        seen.pop(key, None)
