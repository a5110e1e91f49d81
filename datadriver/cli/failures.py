"""`datadriver failures`: tasks of a scheduler that failed."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, TextIO

import click

from datadriver.cli import options
from datadriver.cli.output import Output
from datadriver.cli.reports import plural
from datadriver.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from datadriver.project import Project
    from datadriver.tracking.task_failures import TaskFailure


@click.command("failures", short_help="List the tasks of a scheduler that failed and have not succeeded since.")
@click.option(
    "--record",
    type=click.File(encoding="utf-8"),
    metavar="FILE",
    help="Put failures on record and send messages of them: a JSON list, as --json lists them. `-` for stdin.",
)
@options.project
def command(output: Output, project: Project, *, record: TextIO | None) -> int:
    """List the tasks of Airflow that failed and have not succeeded since, each with its newest failure."""
    if record is not None:
        return _record(output, project, record)
    found = project.failures()
    output.document({"failures": [failure_document(one) for one in found]})
    rows = [(one.subject, one.work, one.at[:16].replace("T", " "), one.owner, one.reason) for one in found]
    if rows:
        output.table(("of", "failed", "at", "owner", "why"), rows)
        output.line()
    output.line(f"{plural(len(found), 'failed task')}")
    return 0


def failure_document(failure: TaskFailure) -> dict[str, Any]:
    """Return a failure as plain values."""
    return asdict(failure)


def say_failures(output: Output, failures: Sequence[TaskFailure], *, shown: int = 10) -> None:
    """List failed tasks, a sentence each."""
    if not failures:
        return
    output.line(f"{plural(len(failures), 'failed task')}:")
    for one in failures[-shown:]:
        output.line(f"  {one.subject}: {one}")
    if len(failures) > shown:
        output.line(f"  and {len(failures) - shown:,} more: datadriver failures")


def _record(output: Output, project: Project, file: TextIO) -> int:
    from datadriver.tracking.task_failures import TaskFailure

    try:
        listed = json.load(file)
        if not isinstance(listed, list):
            raise TypeError(f"it is a {type(listed).__name__}")
        failures = [TaskFailure(**{**one, "assets": tuple(one.get("assets", ()))}) for one in listed]
    except (ValueError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"--record: that is no JSON list of failures as `datadriver failures --json` lists them: {error}"
        ) from None
    told = project.record_failures(failures)
    unsent = [f"{one.name}: {one.reason}" for one in told.unsent]
    output.document({"recorded": len(failures), "messages": told.messages, "unsent": unsent})
    output.line(f"{plural(len(failures), 'failure')} recorded, {plural(told.messages, 'message')} sent")
    for one in unsent:
        output.line(f"  not sent yet: {one}")
    return max((one.exit_code for one in told.unsent), default=0)
