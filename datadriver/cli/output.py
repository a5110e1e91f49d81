"""What a command says: results on stdout, notes and progress on stderr, or one JSON document."""

from __future__ import annotations

import json
import math
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TextIO

import click

Document = Mapping[str, Any]


@dataclass
class Output:
    """The one place that prints.

    Attributes:
        json: one JSON document on stdout and nothing else there.
        verbosity: -1 quiet, 0 normal, 1 tracebacks and what libraries say, 2 more of it.
        stdout: where results go.
    """

    json: bool = False
    verbosity: int = 0
    stdout: TextIO = field(default_factory=lambda: sys.stdout)

    @property
    def verbose(self) -> bool:
        """Whether tracebacks and library output are wanted."""
        return self.verbosity > 0

    def document(self, value: Document) -> None:
        """Print the JSON document, if one was asked for."""
        if self.json:
            print(json.dumps(plain(value), indent=2, ensure_ascii=False, allow_nan=False), file=self.stdout)

    def line(self, text: str = "") -> None:
        """Print one line of a result."""
        if not self.json and self.verbosity >= 0:
            click.echo(text, file=self.stdout)

    def note(self, text: str) -> None:
        """Print a remark that is no result, on stderr."""
        if self.verbosity >= 0:
            click.echo(text, err=True)

    def table(self, head: Sequence[str], rows: Iterable[Sequence[object]], *, right: Iterable[str] = ()) -> None:
        """Print aligned columns; the columns named in `right` are numbers. Lines are cut to the width of a terminal."""
        width = shutil.get_terminal_size().columns if self.stdout.isatty() else None
        for line in layout(head, rows, right=right):
            self.line(line if width is None or len(line) <= width else line[: width - 1] + "…")


def layout(head: Sequence[str], rows: Iterable[Sequence[object]], *, right: Iterable[str] = ()) -> list[str]:
    """Align columns with two spaces between them and nothing after the last.

    >>> layout(["unit", "mae"], [["P-101", 1.5], ["P-7", None]], right=["mae"])
    ['unit   mae', 'P-101  1.5', 'P-7      -']
    """
    cells = [list(head), *([cell(value) for value in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    numbers = [name in set(right) for name in head]
    aligned = (
        "  ".join(
            text.rjust(width) if number else text.ljust(width)
            for text, width, number in zip(row, widths, numbers, strict=True)
        ).rstrip()
        for row in cells
    )
    return list(aligned)


def cell(value: object) -> str:
    """Write one value of a table: numbers with 4 significant digits, `-` for nothing.

    >>> cell(0.123456), cell(None), cell(3)
    ('0.1235', '-', '3')
    """
    if value is None or value == "":
        return "-"
    if isinstance(value, float):
        return f"{value:.4g}"
    return " ".join(str(value).split())


def plain(value: object) -> Any:
    """Turn a value into what JSON knows: no NaN, no numpy, times as ISO 8601.

    >>> plain({"mae": float("nan"), "seen": (1, 2)})
    {'mae': None, 'seen': [1, 2]}
    """
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    if hasattr(value, "isoformat"):
        return None if value != value else value.isoformat()  # noqa: PLR0124 - NaT is not equal to itself
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, (str, int, bool)) else str(value)
