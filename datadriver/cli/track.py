"""`datadriver track`: write to MLflow what it does not know yet."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from datadriver.cli import options
from datadriver.cli.output import Output
from datadriver.cli.reports import lag_document, mlflow_hint, say_lag

if TYPE_CHECKING:
    from datadriver.project import Project


@click.command("track", short_help="Write to MLflow what it does not know yet, where it is written behind the run.")
@options.project
def command(output: Output, project: Project) -> int:
    """Write to MLflow what it does not know yet, and wait until that is done.

    Where the tracking store is a server, results are in the ledger and in the artefact store at once, and MLflow gets
    them behind the run. What it could not get then, because the server was down or nobody waited, this command brings
    there, as the next `train`, `run` or `promote` does. It may be ended at any time. Exit code 5: the server does not
    answer.
    """
    before = project.backlog().total
    lag = project.track()
    written = max(0, before - lag.left.total)
    error = lag.error
    problem = {} if error is None else {"error": {"message": error.message, "exit_code": error.exit_code}}
    output.document({"written": written, "tracking": lag_document(lag), **problem})
    output.line(f"{written:,} entries written to MLflow" if before else "MLflow has everything")
    say_lag(output, project, lag)
    output.line(f"runs:   {mlflow_hint(project)}")
    return error.exit_code if error is not None else 0
