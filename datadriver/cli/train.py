"""`datadriver train`: train every instance that is due, or say with --plan what is due and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from datadriver.cli import options
from datadriver.cli.output import Output
from datadriver.cli.progress import length
from datadriver.cli.reports import command_line, error_document, lag_document, mlflow_hint, plural, say_lag, say_misses

if TYPE_CHECKING:
    from datadriver.fleet.plan import Due
    from datadriver.fleet.selection import Selection
    from datadriver.fleet.train import TrainReport
    from datadriver.project import Project


@click.command("train", short_help="Train every instance that is due.")
@click.option("--plan", "only_plan", is_flag=True, help="Only say what is due and why.")
@click.option("--force", is_flag=True, help="Train whether due or not.")
@click.option(
    "--verify", is_flag=True, help="Also read the data of what is not due, and train what differs all the same."
)
@options.until
@options.workers
@options.no_wait
@options.units
@options.instances
@options.project
def command(
    output: Output,
    project: Project,
    *,
    selection: Selection,
    only_plan: bool,
    force: bool,
    verify: bool,
    until: str | None,
    workers: int | None,
    wait: bool,
) -> int:
    """Train every instance that is due: new, or with changed data, code, configuration or contract.

    Each result becomes a version beside its baseline, in MLflow and in the ledger; `promote` makes champions of those
    that won. A run that was interrupted goes on where it stopped. An MLflow server gets the results behind the run; the
    command stays until it has them all, which Ctrl-C or --no-wait leave to a later one.
    """
    if only_plan:
        say_plan(output, project.plan(selection, force=force, verify=verify, until=until))
        return 0
    report = project.train(selection, force=force, verify=verify, until=until, workers=workers, wait=wait)
    output.document(train_document(report))
    say_training(output, project, report)
    say_lag(output, project, report.lag)
    if any(not outcome.exit_code for outcome in report.outcomes):
        output.line(f"next:   {command_line(project, 'promote')}")
    return report.failure.exit_code if report.failure else 0


def say_plan(output: Output, plan: tuple[Due, ...]) -> None:
    """Print what is due and why."""
    due = [item for item in plan if item.due]
    rows = [(item.instance.unit.key, item.instance.model, item.due, item.reason) for item in plan]
    keys = ("unit", "model", "due", "reason")
    output.document({"due": len(due), "instances": [dict(zip(keys, row, strict=True)) for row in rows]})
    output.table(("unit", "model", "due", "why"), [(u, m, "due" if d else "-", why) for u, m, d, why in rows])
    output.line()
    output.line(f"{len(due):,} of {plural(len(plan), 'instance')} due")


def say_training(output: Output, project: Project, report: TrainReport) -> None:
    """Print what a training batch did."""
    idle = len(report.plan) - len(report.outcomes) - len(report.left)
    if report.batch is None:
        output.line(f"nothing is due: {plural(idle, 'instance')} up to date (--force trains anyway)")
        return
    states = ("trained", "unchanged", "rejected", "failed")
    counts = {state: sum(outcome.state == state for outcome in report.outcomes) for state in states}
    shown = ", ".join(f"{count:,} {state}" for state, count in counts.items() if count)
    tail = f"; {idle:,} not due" if idle else ""
    output.line(
        f"{shown or 'nothing trained'} of {plural(len(report.outcomes), 'instance')} in {length(report.seconds)}{tail}"
    )
    if report.left:
        key, why = next(iter(report.left.items()))
        output.line(f"  {plural(len(report.left), 'instance')} left to another run: {key}: {why}")
    say_misses(output, report.misses, report.traces)
    for model, metrics in report.pooled.items():
        output.line(f"  {model}, pooled: " + ", ".join(f"{name} {value:.4g}" for name, value in metrics.items()))
    output.line(f"runs:   {mlflow_hint(project)}")


def train_document(report: TrainReport) -> dict[str, Any]:
    """Return a training report as plain values."""
    return {
        "batch": report.batch,
        "instances": [
            {
                "unit": outcome.unit,
                "model": outcome.model,
                "state": outcome.state,
                "reason": outcome.reason,
                "exit_code": outcome.exit_code,
                "seconds": outcome.seconds,
            }
            for outcome in report.outcomes
        ],
        "not_due": len(report.plan) - len(report.outcomes) - len(report.left),
        "left": dict(report.left),
        "pooled": report.pooled,
        "seconds": report.seconds,
        "tracking": lag_document(report.lag),
        **error_document(report.failure, report.misses),
    }
