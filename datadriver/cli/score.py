"""`datadriver score`: score a window with the champions."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from datadriver.cli import options
from datadriver.cli.output import Output
from datadriver.cli.progress import length
from datadriver.cli.reports import command_line, error_document, misses_document, plural, say_misses, shown_path

if TYPE_CHECKING:
    from datadriver.fleet.score import ScoreReport
    from datadriver.fleet.selection import Selection
    from datadriver.project import Project


@click.command("score", short_help="Score a window with the champions.")
@click.option("--out", metavar="DIR", help="Only put them there, where datadriver publish finds them.")
@options.window
@options.workers
@options.instances
@options.project
def command(
    output: Output,
    project: Project,
    *,
    selection: Selection,
    out: str | None,
    start: str | None,
    end: str | None,
    workers: int | None,
) -> int:
    """Score a window with the champions; without --start, from the last score to the end of the data.

    A later score of the same instant supersedes an earlier one, and both stay on record.
    """
    report = project.score(selection, start=start, end=end, workers=workers, out=out)
    output.document(score_document(report))
    say_scoring(output, report)
    output.line(f"next:   {command_line(project, 'status' if out is None else f'publish {out}')}")
    return report.failure.exit_code if report.failure else 0


def say_scoring(output: Output, report: ScoreReport) -> None:
    """Print what a scoring batch did."""
    parts = ["nothing new to score"]
    if report.written:
        parts = [f"{plural(report.rows, 'score')} of {plural(len({one.asset for one in report.written}), 'asset')}"]
    if report.alarms:
        parts.append(plural(report.alarms, "alarm"))
    if report.current:
        parts.append(f"{report.current:,} up to date")
    if report.waiting:
        parts.append(f"{plural(len(report.waiting), 'instance')} without a champion")
    output.line(", ".join(parts) + f" in {length(report.seconds)}")
    say_misses(output, report.misses, report.traces)
    output.line(f"scores: {report.path if '://' in report.path else shown_path(Path(report.path))}")


def score_document(report: ScoreReport) -> dict[str, Any]:
    """Return a scoring report as plain values."""
    return {
        "batch": report.batch,
        "path": report.path,
        "scored": [asdict(record) for record in report.written],
        "up_to_date": report.current,
        "without_champion": report.waiting,
        "failed": misses_document(report.misses),
        "seconds": report.seconds,
        **error_document(report.failure, report.misses),
    }
