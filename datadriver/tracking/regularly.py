"""What a process does from time to time while it is at work on something else."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from datadriver.errors import UnavailableError


@contextmanager
def regularly(seconds: float, action: Callable[[], object], *, name: str) -> Iterator[None]:
    """Call an action every so many seconds from a thread of its own, `name`, while the block runs.

    That a store does not answer is passed over: whoever needs it next says so.
    """
    over = threading.Event()

    def keep() -> None:
        while not over.wait(seconds):
            with suppress(UnavailableError):
                action()

    thread = threading.Thread(target=keep, name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
