"""`datadriver report`: the pages that operations open in the morning."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from datadriver.cli import options
from datadriver.cli.output import Output
from datadriver.cli.progress import length
from datadriver.cli.reports import plural

if TYPE_CHECKING:
    from datadriver.project import Project
    from datadriver.reporting.write import ReportResult


@click.command("report", short_help="Write the report: fleet, assets and models as static pages.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Folder of the report, replaced whole. Default: .datadriver/report of the use case.",
)
@click.option("--until", metavar="TIME", help="How checks stood after the last window that ended by then.")
@click.option(
    "--days",
    type=click.IntRange(min=1),
    metavar="N",
    help="How far back pages look: days, or windows where the index is a step. Default: monitor.history windows.",
)
@options.workers
@options.project
def command(
    output: Output, project: Project, *, out: Path | None, until: str | None, days: int | None, workers: int | None
) -> None:
    """Write the report of what `datadriver monitor` found: static pages that need no server and ask nobody anything.

    index.html lists the fleet, worst first; assets/ and models/ have a page for each. A report that cannot be written
    leaves the old one.
    """
    result = project.report(out=out, until=until, days=days, workers=workers)
    output.document(report_document(result))
    say_report(output, result)


def say_report(output: Output, result: ReportResult) -> None:
    """Print what a report shows and where it is."""
    states = ", ".join(f"{count:,} {state}" for state, count in result.states.items())
    output.line(f"{plural(sum(result.states.values()), 'asset')} to {result.end}: {states}")
    for note in (*([result.old] if result.old else ()), *result.notes):
        output.line(f"note:   {note}")
    output.line(f"{plural(result.pages, 'page')}, {result.bytes / 1e6:,.1f} MB, in {length(result.seconds)}")
    output.line(f"report: {result.path.absolute().as_uri()}")


def report_document(result: ReportResult) -> dict[str, Any]:
    """Return what was written as plain values."""
    return {**asdict(result), "path": str(result.path), "url": result.path.absolute().as_uri()}
