"""`datadriver publish`: take over scores that wait in a folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from datadriver.cli import options
from datadriver.cli.output import Output
from datadriver.cli.score import say_scoring, score_document

if TYPE_CHECKING:
    from datadriver.project import Project


@click.command("publish", short_help="Take over scores that score --out has made.")
@click.argument("path", metavar="DIR")
@options.project
def command(output: Output, project: Project, path: str) -> int:
    """Take scores that `score --out DIR` has made, here or in an image, into the scores table and the ledger.

    What is published is removed from DIR. Again, it changes nothing.
    """
    report = project.publish(path)
    output.document(score_document(report))
    if report.written:
        say_scoring(output, report)
    else:
        output.line(f"nothing is staged in {path}")
    return 0
