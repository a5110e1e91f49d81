"""`datadriver releases`: what became champion, when, why and by whom."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from datadriver.cli import options
from datadriver.cli.output import Output

if TYPE_CHECKING:
    from datadriver.project import Project


@click.command("releases", short_help="List what became champion, when, why and by whom.")
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="How many, newest first.")
@options.project
def command(output: Output, project: Project, *, limit: int) -> None:
    """List the releases, newest first; `--json` lists their instances, too."""
    releases = project.releases(limit=limit)
    output.document({"releases": [asdict(release) for release in releases]})
    rows = [(one.id, one.at, one.action, len(one.items), one.by, one.reason) for one in releases]
    if rows:
        output.table(("release", "at", "action", "instances", "by", "reason"), rows, right=("release", "instances"))
    else:
        output.line("no releases yet")
