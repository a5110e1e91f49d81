"""`datadriver diff`: what a promotion would change."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from datadriver.cli import options
from datadriver.cli.output import Output
from datadriver.cli.promote import candidate_document
from datadriver.cli.reports import command_line, plural

if TYPE_CHECKING:
    from collections.abc import Sequence

    from datadriver.fleet.selection import Selection
    from datadriver.project import Project
    from datadriver.tracking.releases import Candidate


@click.command("diff", short_help="Show what a promotion would change.")
@click.option(
    "--propose",
    metavar="NAME",
    help="Keep what would change, so that `promote --proposal NAME` does exactly that; list nothing else.",
)
@click.option("--proposal", metavar="NAME", help="What of this proposal would be released now; or its number.")
@options.instances
@options.project
def command(
    output: Output, project: Project, *, selection: Selection, propose: str | None, proposal: str | None
) -> None:
    """Show for each instance which version `promote` would put in place of which, or why it would not.

    What is kept with --propose can be approved, packaged and released later, whatever was trained in the meantime.
    """
    if propose is not None and proposal is not None:
        raise click.UsageError("--propose makes a proposal, --proposal looks at one: give one of them")
    if propose is None:
        candidates = project.diff(selection) if proposal is None else project.proposed(proposal, selection)
        output.document({"instances": [candidate_document(candidate) for candidate in candidates]})
        _say(output, candidates)
        return
    made, candidates = project.propose(propose, selection)
    approvals = {one.key: one.approval for one in made.items} if made else {}
    winners = [one for one in candidates if one.promotes]
    listed = [{**candidate_document(one), "approval": approvals[one.key]} for one in winners]
    output.document({"proposal": made.number if made else None, "of": len(candidates), "instances": listed})
    _say(output, winners, of=len(candidates))
    if made:
        output.line(f"proposal {made.number}, {propose}: {command_line(project, f'promote --proposal {propose}')}")


def _say(output: Output, candidates: Sequence[Candidate], *, of: int | None = None) -> None:
    rows = [
        (one.key.unit, one.key.model, one.champion, one.challenger, "yes" if one.promotes else "-", one.reason)
        for one in candidates
    ]
    output.table(("unit", "model", "champion", "challenger", "promotes", "why"), rows, right=("champion", "challenger"))
    output.line()
    total = len(candidates) if of is None else of
    output.line(f"{sum(one.promotes for one in candidates):,} of {plural(total, 'instance')} would change")
