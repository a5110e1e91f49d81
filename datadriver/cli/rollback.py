"""`datadriver rollback`: go back to the champions before a release."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from datadriver.cli import options
from datadriver.cli.output import Output
from datadriver.cli.reports import command_line, lag_text, plural
from datadriver.fleet.selection import Selection

if TYPE_CHECKING:
    from datadriver.project import Project


@click.command("rollback", short_help="Go back to the champions before a release.")
@click.option("--release", type=click.IntRange(min=1), metavar="N", help="Undo this release. Default: the newest.")
@click.option("--reason", default="", metavar="TEXT", help="Why; kept with the release that this makes.")
@options.no_wait
@options.instances
@options.project
def command(
    output: Output,
    project: Project,
    *,
    selection: Selection,
    release: int | None,
    reason: str,
    wait: bool,
) -> None:
    """Give instances back the champion that they had before; of one release, all or the chosen ones."""
    chosen = None if selection == Selection() else selection
    undone = project.rollback(chosen, release=release, reason=reason, wait=wait)
    items = [
        {"unit": one.unit, "model": one.model, "version": one.version, "previous": one.previous} for one in undone.items
    ]
    output.document({"release": undone.id, "instances": items})
    output.line(f"release {undone.id}: {plural(len(items), 'instance')} back to the champion before")
    output.table(
        ("unit", "model", "champion", "was"),
        [(one["unit"], one["model"], one["version"], one["previous"]) for one in items],
        right=("champion", "was"),
    )
    if project.backlog().total:
        output.line(f"MLflow: {lag_text(project.backlog())}; {command_line(project, 'track')} writes them")
