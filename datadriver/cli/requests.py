"""`datadriver requests`: what monitoring wants to be trained again."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from datadriver.cli import options
from datadriver.cli.output import Output
from datadriver.cli.reports import command_line, plural

if TYPE_CHECKING:
    from datadriver.fleet.selection import Selection
    from datadriver.project import Project


@click.command("requests", short_help="List what monitoring wants to be trained again.")
@click.option(
    "--announce",
    metavar="NAME",
    help="Only those that a scheduler is to start now; it counts as told. The same NAME gets the same answer again.",
)
@options.instances
@options.project
def command(output: Output, project: Project, *, selection: Selection, announce: str | None) -> None:
    """List the open requests to train again, each with the Airflow asset whose events start that training.

    A request is closed by the next training of its instance, however that ends. With --announce, one that stays open
    is given out again after a day, then after two, four and eight.
    """
    from datadriver.orchestration.ids import retrain_event

    found = project.requests(selection, announce=announce)
    listed = [{**asdict(one), "event": retrain_event(project.usecase.name, one.unit)} for one in found]
    output.document({"requests": listed})
    rows = [(one.unit, one.model, one.asset, one.check, one.at, one.announced, one.reason) for one in found]
    if rows:
        output.table(("unit", "model", "asset", "check", "since", "announced", "why"), rows, right=("announced",))
        output.line()
    output.line(plural(len(found), "request"))
    if found and announce is None:
        output.line(f"next:   {command_line(project, 'train')}")
