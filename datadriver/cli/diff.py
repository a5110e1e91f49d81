"""`datadriver diff`: what a promotion would change."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from datadriver.cli import options
from datadriver.cli.output import Output
from datadriver.cli.promote import candidate_document
from datadriver.cli.reports import plural

if TYPE_CHECKING:
    from datadriver.fleet.selection import Selection
    from datadriver.project import Project


@click.command("diff", short_help="Show what a promotion would change.")
@options.instances
@options.project
def command(output: Output, project: Project, *, selection: Selection) -> None:
    """Show for each instance which version `promote` would put in place of which, or why it would not."""
    candidates = project.diff(selection)
    output.document({"instances": [candidate_document(candidate) for candidate in candidates]})
    rows = [
        (one.key.unit, one.key.model, one.champion, one.challenger, "yes" if one.promotes else "-", one.reason)
        for one in candidates
    ]
    output.table(("unit", "model", "champion", "challenger", "promotes", "why"), rows, right=("champion", "challenger"))
    output.line()
    output.line(f"{sum(one.promotes for one in candidates):,} of {plural(len(candidates), 'instance')} would change")
