"""`datadriver promote`: make challengers champions where they beat what serves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from datadriver.cli import options
from datadriver.cli.output import Output
from datadriver.cli.reports import command_line, error_document, lag_text, plural, say_misses
from datadriver.errors import PartialFailure
from datadriver.fleet.outcomes import Miss

if TYPE_CHECKING:
    from collections.abc import Sequence

    from datadriver.fleet.selection import Selection
    from datadriver.project import Project
    from datadriver.tracking.proposals import Approval
    from datadriver.tracking.records import Release
    from datadriver.tracking.releases import Candidate


@click.command("promote", short_help="Make challengers champions where they beat what serves.")
@click.option("--version", type=click.IntRange(min=1), metavar="N", help="This version instead of the newest.")
@click.option("--force", is_flag=True, help="Whatever the gate says; the release records that it was forced.")
@click.option("--proposal", metavar="NAME", help="Exactly what `datadriver diff --propose NAME` kept; or its number.")
@click.option(
    "--approval", type=click.Choice(("auto", "manual")), help="Of a proposal, only models with this approval."
)
@click.option("--packaged", is_flag=True, help="Of a proposal, only versions that have an image.")
@click.option("--refuse", is_flag=True, help="Never: the gate does not let the versions of the proposal through again.")
@click.option("--by", default="", metavar="NAME", help="Who answers for it. Default: the user of this process.")
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
    proposal: str | None,
    approval: Approval | None,
    packaged: bool,
    refuse: bool,
    by: str,
    reason: str,
    reconcile: bool,
    wait: bool,
) -> int:
    """Make challengers champions where they beat baseline and champion, in one release that `rollback` takes back."""
    if proposal is None and (approval or packaged or refuse):
        raise click.UsageError("--approval, --packaged and --refuse are about a --proposal")
    if proposal is not None and (version or force):
        raise click.UsageError("--version and --force go by the gate, and a --proposal is what the gate let through")
    if reconcile:
        _reconcile(output, project)
        return 0
    if proposal is not None and refuse:
        _refuse(output, project, proposal, approval, by=by, reason=reason)
        return 0
    held: list[Miss] = []
    if proposal is None:
        release, candidates = project.promote(selection, version=version, force=force, by=by, reason=reason, wait=wait)
    else:
        release, candidates = project.promote_proposal(
            proposal, selection, approval=approval, packaged=packaged, by=by, reason=reason, wait=wait
        )
        held = _held(candidates)
    error = _not_whole(held, candidates)
    output.document({**promotion_document(release, candidates), **error_document(error, held)})
    say_promotion(output, project, release, candidates if proposal is None else ())
    say_misses(output, held, {})
    if project.backlog().total:
        output.line(f"MLflow: {lag_text(project.backlog())}; {command_line(project, 'track')} writes them")
    if release is not None:
        output.line(f"next:   {command_line(project, 'score')}")
    return error.exit_code if error else 0


def _reconcile(output: Output, project: Project) -> None:
    repaired = [
        {"unit": one.key.unit, "model": one.key.model, "ledger": one.ledger, "mlflow": one.mlflow}
        for one in project.drift(repair=True)
    ]
    output.document({"repaired": repaired})
    output.line(f"{plural(len(repaired), 'alias').replace('aliass', 'aliases')} in MLflow repaired")


def _refuse(output: Output, project: Project, name: str, approval: Approval | None, *, by: str, reason: str) -> None:
    found, count = project.refuse_proposal(name, approval=approval, by=by, reason=reason)
    output.document({"release": None, "proposal": found.number, "refused": count})
    output.line(f"proposal {found.number}: {plural(count, 'version')} refused, nothing released")


def _held(candidates: Sequence[Candidate]) -> list[Miss]:
    """Return what was proposed and could not be released: that is no success, whoever else it is."""
    from datadriver.tracking.proposals import held_back

    return [Miss(str(one.key), one.reason, PartialFailure.exit_code) for one in held_back(candidates)]


def _not_whole(held: Sequence[Miss], candidates: Sequence[Candidate]) -> PartialFailure | None:
    if not held:
        return None
    return PartialFailure(f"{len(held):,} of {plural(len(candidates), 'proposed version')} held back, the rest serve")


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
