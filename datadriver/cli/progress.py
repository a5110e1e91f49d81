"""Progress of long work on stderr: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TextIO

from datadriver.cli.output import Output
from datadriver.fleet.progress import Progress, Silent

if TYPE_CHECKING:
    from rich.progress import Progress as RichBar
    from rich.progress import TaskID

_FIRST_SECONDS, _LATER, _MOST_SECONDS = 5.0, 0.1, 300.0


def onlooker(output: Output) -> Progress:
    """Return what shows progress for this command: nothing with -q."""
    if output.verbosity < 0:
        return Silent()
    return Bar() if sys.stderr.isatty() else Lines(sys.stderr)


class Lines:
    """A plain line now and then, for logs: after five seconds, later after each tenth more of the time."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream, self._clock = stream, clock
        self._what, self._total, self._done, self._told, self._failed = "", 0, 0, 0, 0
        self._started = self._first = self._said = 0.0

    def begin(self, what: str, total: int) -> None:
        """Start the clock."""
        self._what, self._total, self._done, self._told, self._failed = what, total, 0, 0, 0
        self._started = self._said = self._clock()

    def advance(self, *, failed: bool = False) -> None:
        """Count one more, and say so if the last line is old enough."""
        self._done += 1
        self._failed += failed
        if self._done == 1:
            self._first = self._clock()
        now = self._clock()
        if now - self._said >= min(max(_FIRST_SECONDS, _LATER * (now - self._started)), _MOST_SECONDS):
            self._say()

    def end(self) -> None:
        """Say how it went, unless the last line has just said so."""
        if self._done > self._told:
            self._say()

    def _say(self) -> None:
        self._said = now = self._clock()
        self._told = self._done
        parts = [f"{self._what}: {self._done:,} of {self._total:,}"]
        parts.append(f"{self._done / max(now - self._started, 1e-9):.3g}/s")
        if 1 < self._done < self._total:
            # Workers take seconds to start, which says nothing about the rest: count from the first result.
            each = (now - self._first) / (self._done - 1)
            parts.append(f"{length(each * (self._total - self._done))} left")
        if self._failed:
            parts.append(f"{self._failed:,} failed")
        print(", ".join(parts), file=self._stream, flush=True)


class Bar:
    """A bar with rate, time left and failures."""

    def __init__(self) -> None:
        self._bar: RichBar | None = None
        self._task: TaskID | None = None
        self._failed, self._done, self._started = 0, 0, 0.0

    def begin(self, what: str, total: int) -> None:
        """Show the bar."""
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as RichBar

        columns = (
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[failed]}", style="red"),
        )
        self._failed, self._done, self._started = 0, 0, time.monotonic()
        self._bar = RichBar(*columns, console=Console(stderr=True), transient=True)
        self._task = self._bar.add_task(what, total=total, rate="", failed="")
        self._bar.start()

    def advance(self, *, failed: bool = False) -> None:
        """Move the bar."""
        if self._bar is None or self._task is None:
            return
        self._failed += failed
        self._done += 1
        rate = self._done / max(time.monotonic() - self._started, 1e-9)
        text = f"{self._failed:,} failed" if self._failed else ""
        self._bar.update(self._task, advance=1, rate=f"{rate:.3g}/s", failed=text)

    def end(self) -> None:
        """Take the bar away; what follows says how it went."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def length(seconds: float) -> str:
    """Write a length of time for people.

    >>> length(4.2), length(75), length(7300)
    ('4 s', '1 min 15 s', '2 h 1 min')
    """
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
