"""How long work tells its onlooker where it is."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """An onlooker: a progress bar, lines of a log, or nobody."""

    def begin(self, what: str, total: int) -> None:
        """Say that work on `total` things starts."""

    def advance(self, *, failed: bool = False) -> None:
        """Say that one more of them is done."""

    def end(self) -> None:
        """Say that the work is over, however it ended."""


class Silent:
    """Nobody looks on."""

    def begin(self, what: str, total: int) -> None:
        """Ignore it."""

    def advance(self, *, failed: bool = False) -> None:
        """Ignore it."""

    def end(self) -> None:
        """Ignore it."""
