"""`datadriver run`: the whole chain in one command."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from datadriver.cli import options
from datadriver.cli.monitor import monitor_document, say_monitoring
from datadriver.cli.output import Output
from datadriver.cli.promote import promotion_document, say_promotion
from datadriver.cli.report import report_document, say_report
from datadriver.cli.reports import command_line, error_document, lag_document, say_lag
from datadriver.cli.score import say_scoring, score_document
from datadriver.cli.train import say_training, train_document

if TYPE_CHECKING:
    from datadriver.fleet.selection import Selection
    from datadriver.project import Project


@click.command("run", short_help="Validate, train, promote, score, monitor and report: the whole chain in one command.")
@options.until
@options.workers
@options.no_wait
@options.instances
@options.project
def command(
    output: Output,
    project: Project,
    *,
    selection: Selection,
    until: str | None,
    workers: int | None,
    wait: bool,
) -> int:
    """Judge and train what is due, promote what won, score and monitor what is new, write the report. Needs no server.

    Each asset is judged by the contract before it is trained or scored. Models with `approval: manual` wait for
    `datadriver promote`.
    """
    report = project.run(selection, until=until, workers=workers, wait=wait)
    document = {
        "train": train_document(report.trained),
        "promote": promotion_document(report.released, report.candidates),
        "score": None if report.scored is None else score_document(report.scored),
        "monitor": monitor_document(report.monitored),
        "report": None if report.reported is None else report_document(report.reported),
        "tracking": lag_document(report.lag),
        **error_document(report.failure, report.misses),
    }
    output.document(document)
    say_training(output, project, report.trained)
    say_promotion(output, project, report.released, report.candidates)
    if report.scored is not None:
        say_scoring(output, report.scored)
    say_monitoring(output, report.monitored)
    if report.reported is not None:
        say_report(output, report.reported)
    say_lag(output, project, report.lag)
    output.line(f"next:   {command_line(project, 'status')}")
    return report.failure.exit_code if report.failure else 0
