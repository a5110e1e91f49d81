"""The command line: one module per command, the only place that prints."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and end the process with its exit code."""
    from datadriver.cli.boundary import run

    raise SystemExit(run(sys.argv[1:] if arguments is None else list(arguments)))
