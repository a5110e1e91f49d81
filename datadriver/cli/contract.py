"""`datadriver contract profile`: draft a data contract from good history."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from datadriver.cli import options
from datadriver.cli.output import Output
from datadriver.cli.reports import shown_path
from datadriver.errors import ConfigError

if TYPE_CHECKING:
    from datadriver.fleet.selection import Selection
    from datadriver.project import Project


@click.group("contract", short_help="Draft a data contract from good history.")
def command() -> None:
    """Work on the contract of a use case."""


@command.command("profile", short_help="Draft a suite from good history, for you to edit.")
@click.option(
    "--output",
    "target",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Where the draft goes. Default: contracts/draft.json in the use case.",
)
@click.option("--force", is_flag=True, help="Replace the file if it exists.")
@options.window
@options.cohort
@options.project
def profile(
    output: Output,
    project: Project,
    *,
    selection: Selection,
    target: Path | None,
    force: bool,
    start: str | None,
    end: str | None,
) -> None:
    """Draft a Great Expectations suite from the chosen assets' history; choose good assets and good times."""
    path = target or project.root / "contracts" / "draft.json"
    if path.exists() and not force:
        raise ConfigError(f"{shown_path(path)} exists already; name another file with --output or add --force")
    suite = project.profile(selection, start=start, end=end)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(suite, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    output.document({"path": str(path), "expectations": len(suite["expectations"])})
    output.line(f"{shown_path(path)}: {len(suite['expectations'])} expectations, a draft")
    output.line("Edit it, then name it as contract.suite in usecase.yaml.")
