"""`datadriver validate`: the contract's verdict on each asset."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from datadriver.cli import options
from datadriver.cli.output import Output
from datadriver.cli.reports import command_line, error_document, misses_document, plural, say_misses, shown_path

if TYPE_CHECKING:
    from datadriver.fleet.selection import Selection
    from datadriver.fleet.validate import ValidateReport
    from datadriver.project import Project

_SHOWN = 5


@click.command("validate", short_help="Judge the data of each asset by the contract.")
@click.option("--docs", metavar="A,B", multiple=True, help="Also build GX Data Docs of these assets.")
@click.option(
    "--stage",
    type=click.Choice(["train", "score"]),
    default="train",
    show_default=True,
    help="Whose actions of contract.on_breach count.",
)
@options.window
@options.workers
@options.cohort
@options.project
def command(
    output: Output,
    project: Project,
    *,
    selection: Selection,
    docs: tuple[str, ...],
    stage: Any,
    start: str | None,
    end: str | None,
    workers: int | None,
) -> int:
    """Read each asset and judge it by the contract: pass, warn or reject, with the checks that failed."""
    report = project.validate(selection, start=start, end=end, stage=stage, workers=workers)
    built = project.docs(docs, start=start, end=end) if docs else None
    document = {
        "assets": [_verdict_document(verdict) for verdict in report.verdicts],
        "failed": misses_document(report.misses),
        "docs": built,
        **error_document(report.failure, report.misses),
    }
    output.document(document)
    _say(output, report)
    if built is not None:
        output.line(f"docs:   {shown_path(built)}")
    elif report.misses:
        output.line(f"look closer: {command_line(project, f'validate --docs {report.misses[0].name}')}")
    return report.failure.exit_code if report.failure else 0


def _say(output: Output, report: ValidateReport) -> None:
    for verdict in report.verdicts:
        if verdict.action != "warn":
            continue
        output.line(f"  {verdict.asset_id}  [warn]")
        for check in [check for check in verdict.failing if check.action == "warn"][:_SHOWN]:
            output.line(f"    {check.message}")
    say_misses(output, report.misses, report.traces)
    counts = {action: sum(one.action == action for one in report.verdicts) for action in ("pass", "warn", "reject")}
    unread = len(report.misses) - counts["reject"]
    shown = ", ".join(f"{count:,} {action}" for action, count in counts.items() if count or action == "pass")
    total = plural(len(report.verdicts) + unread, "asset")
    output.line(f"{shown} of {total}" + (f"; {unread:,} could not be read" if unread else ""))


def _verdict_document(verdict: Any) -> dict[str, Any]:
    return {
        "asset": verdict.asset_id,
        "action": verdict.action,
        "reason": verdict.reason,
        "rows": verdict.rows,
        "checks": [asdict(check) for check in verdict.failing],
        "issues": [asdict(issue) for issue in verdict.issues],
    }
