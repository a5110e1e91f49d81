"""`datadriver promote`: make challengers champions where they beat what serves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from datadriver.cli import options
from datadriver.cli.output import Output
from datadriver.cli.reports import command_line, lag_text, plural

if TYPE_CHECKING:
    from collections.abc import Sequence

    from datadriver.fleet.selection import Selection
    from datadriver.project import Project
    from datadriver.tracking.records import Release
    from datadriver.tracking.releases import Candidate


@click.command("promote", short_help="Make challengers champions where they beat what serves.")
@click.option("--version", type=click.IntRange(min=1), metavar="N", help="This version instead of the newest.")
@click.option("--force", is_flag=True, help="Whatever the gate says; the release records that it was forced.")
@click.option("--reason", default="", metavar="TEXT", help="Why; kept with the release.")
@click.option("--reconcile", is_flag=True, help="Only set MLflow's aliases to what the ledger says.")
@options.no_wait
@options.instances
@options.project
def command(
    output: Output,
    project: Project,
    *,
    selection: Selection,
    version: int | None,
    force: bool,
    reason: str,
    reconcile: bool,
    wait: bool,
) -> None:
    """Make challengers champions where they beat baseline and champion, in one release that `rollback` takes back."""
    if reconcile:
        repaired = [
            {"unit": one.key.unit, "model": one.key.model, "ledger": one.ledger, "mlflow": one.mlflow}
            for one in project.drift(repair=True)
        ]
        output.document({"repaired": repaired})
        output.line(f"{plural(len(repaired), 'alias').replace('aliass', 'aliases')} in MLflow repaired")
        return
    release, candidates = project.promote(selection, version=version, force=force, reason=reason, wait=wait)
    output.document(promotion_document(release, candidates))
    say_promotion(output, project, release, candidates)
    if project.backlog().total:
        output.line(f"MLflow: {lag_text(project.backlog())}; {command_line(project, 'track')} writes them")
    if release is not None:
        output.line(f"next:   {command_line(project, 'score')}")


def say_promotion(output: Output, project: Project, release: Release | None, candidates: Sequence[Candidate]) -> None:
    """Print what became champion, and what stayed challenger and why."""
    held = [one for one in candidates if not one.promotes and one.challenger not in (None, one.champion)]
    if release is None:
        output.line("nothing to promote")
    else:
        output.line(f"release {release.id}: {plural(len(release.items), 'champion')}")
    if held:
        output.line(f"{plural(len(held), 'challenger')} held back: {command_line(project, 'diff')} says why")


def promotion_document(release: Release | None, candidates: Sequence[Candidate]) -> dict[str, Any]:
    """Return a promotion as plain values."""
    return {
        "release": None if release is None else release.id,
        "instances": [candidate_document(candidate) for candidate in candidates],
    }


def candidate_document(candidate: Candidate) -> dict[str, Any]:
    """Return one candidate as plain values."""
    return {
        "unit": candidate.key.unit,
        "model": candidate.key.model,
        "champion": candidate.champion,
        "challenger": candidate.challenger,
        "promotes": candidate.promotes,
        "reason": candidate.reason,
    }
