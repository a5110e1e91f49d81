"""`datadriver check`: every mistake that can be found without touching data."""

from __future__ import annotations

from pathlib import Path

import click

from datadriver.cli import options
from datadriver.cli.output import Output
from datadriver.errors import ConfigError


@click.command("check", short_help="Find every mistake that can be found without touching data.")
@options.usecase
def command(output: Output, *, project: Path, env: str | None) -> None:
    """Look at configuration, fleet table, contract and references to code; list every mistake at once."""
    from datadriver.config.load import find_root
    from datadriver.monitoring.check import check

    root = find_root(project)
    problems = check(root, env)
    if problems:
        raise ConfigError(problems)
    output.document({"problems": []})
    output.line(f"{root.name}: no mistakes found")
