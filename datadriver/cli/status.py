"""`datadriver status`: the fleet table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from datadriver.cli import options
from datadriver.cli.failures import failure_document, say_failures
from datadriver.cli.output import Output, cell
from datadriver.cli.reports import backlog_document, command_line, lag_text, plural

if TYPE_CHECKING:
    from datadriver.fleet.selection import Selection
    from datadriver.fleet.status import AssetStatus, InstanceStatus
    from datadriver.project import Project

_BAD = ("alarm", "pending", "silenced")
_SHOWN = 10


@click.command("status", short_help="Show the fleet: champions, last train, last score, health, reasons.")
@click.option("--mlflow", is_flag=True, help="Also compare the ledger with MLflow's aliases.")
@options.instances
@options.project
def command(output: Output, project: Project, *, selection: Selection, mlflow: bool) -> None:
    """Show where each instance stands: who serves it, how good that is, what needs attention and why."""
    from datadriver.fleet.status import counts

    lines, data = project.status(selection), project.data_status(selection)
    drift = project.drift() if mlflow else ()
    apart = [{"unit": o.key.unit, "model": o.key.model, "ledger": o.ledger, "mlflow": o.mlflow} for o in drift]
    document: dict[str, object] = {
        "instances": [asdict(line) for line in lines],
        "assets": [asdict(one) for one in data],
    }
    left, failed = project.backlog(), project.failures()
    document["failures"] = [failure_document(one) for one in failed]
    document["tracking"] = backlog_document(left)
    output.document({**document, **({"drift": apart} if mlflow else {})})
    output.table(
        ("unit", "model", "state", "health", "version", "metric", "baseline", "trained", "scored until", "why"),
        [_row(line) for line in lines],
        right=("version", "baseline"),
    )
    output.line()
    shown = ", ".join(f"{count:,} {state}" for state, count in counts(lines).items())
    output.line(f"{plural(len(lines), 'instance')}: {shown}")
    looked = Counter(one.health for one in data if one.health is not None)
    if looked:
        output.line(
            f"data of {plural(len(data), 'asset')}: " + ", ".join(f"{n:,} {h}" for h, n in looked.most_common())
        )
        _say_data(output, data)
    say_failures(output, failed)
    if left.total:
        output.line(f"MLflow: {lag_text(left)}; {command_line(project, 'track')} writes them")
        if left.problem:
            output.line(f"        {left.problem}")
    if drift:
        output.line(
            f"{len(drift):,} aliases in MLflow differ from the ledger: "
            f"{command_line(project, 'promote --reconcile')} repairs them"
        )


def _row(line: InstanceStatus) -> tuple[object, ...]:
    primary = line.primary or next(iter(line.metrics), "")
    value = line.metrics.get(primary)
    return (
        line.unit,
        line.model,
        line.state,
        line.health,
        line.champion_version,
        f"{primary} {cell(value)}" if line.metrics else "",
        line.baseline_metrics.get(primary),
        (line.last_train or "")[:16].replace("T", " "),
        (line.scored_until or "")[:16].replace("T", " "),
        line.health_reason if line.health in _BAD else line.reason,
    )


def _say_data(output: Output, data: Sequence[AssetStatus]) -> None:
    """List the assets whose data are not well, the gravest first."""
    bad = sorted((one for one in data if one.health in _BAD), key=lambda one: _BAD.index(one.health))
    for one in bad[:_SHOWN]:
        output.line(f"  {one.asset}  [{one.health}] {one.health_reason}")
    if len(bad) > _SHOWN:
        output.line(f"  and {len(bad) - _SHOWN:,} more: see --json")
