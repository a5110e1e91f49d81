"""`datadriver package`: make an image of each model in service, into a Docker engine or straight to a registry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from datadriver.cli import options
from datadriver.cli.output import Output
from datadriver.cli.progress import length
from datadriver.cli.reports import error_document, misses_document, plural, say_misses, shown_path

if TYPE_CHECKING:
    from datadriver.fleet.package import PackageReport, Wanted
    from datadriver.fleet.selection import Selection
    from datadriver.project import Project
    from datadriver.tracking.images import ImageRecord


@click.command("package", short_help="Make an image of each model in service.")
@click.option(
    "--push", is_flag=True, help="Straight to the registry of usecase.yaml; needs no engine but for the base."
)
@click.option(
    "--challengers", is_flag=True, help="Of the challengers that `promote` would make champions, not of the champions."
)
@click.option("--proposal", metavar="NAME", help="Of the versions of this proposal: see `datadriver diff --propose`.")
@click.option("--plan", "only_plan", is_flag=True, help="Only say which images there should be.")
@click.option("--base", "only_base", is_flag=True, help="Only build the use case's base image.")
@click.option("--lock", is_flag=True, help="Only write requirements.lock: the versions installed here, for the base.")
@click.option("--prune", is_flag=True, help="Afterwards remove old images: all but the newest few of each name.")
@options.instances
@options.project
def command(
    output: Output,
    project: Project,
    *,
    selection: Selection,
    push: bool,
    challengers: bool,
    proposal: str | None,
    only_plan: bool,
    only_base: bool,
    lock: bool,
    prune: bool,
) -> int:
    """Make an image of each model in service: the use case's base image and one small layer.

    The same version on the same base gives the same image, so one that exists is not made again. An image scores by
    itself: `docker run IMAGE info` says how.
    """
    from datadriver.fleet.selection import choose_assets
    from datadriver.images.base import write_lock

    if lock:
        path = write_lock(project.usecase, project.root)
        output.document({"requirements": str(path)})
        output.line(f"wrote {shown_path(path)}")
        return 0
    packages = project.packages(push=push, challengers=challengers, proposal=proposal)
    if only_base:
        reference = packages.base().reference
        output.document({"base": reference})
        output.line(f"base:   {reference}")
        return 0
    chosen = project.select(selection), choose_assets(project.assets, selection)
    if only_plan:
        say_plan(output, packages.plan(*chosen))
        return 0
    report = packages.make(*chosen, prune=prune)
    output.document(package_document(report))
    say_packaging(output, report)
    return report.failure.exit_code if report.failure else 0


def say_plan(output: Output, plan: tuple[Wanted, ...]) -> None:
    """Print which images there should be, and what is in them."""
    rows = [(one.name, one.repository, one.tag) for one in plan]
    output.document({"images": [dict(zip(("name", "repository", "tag"), row, strict=True)) for row in rows]})
    output.table(("of", "image"), [(name, f"{repository}:{tag or '…'}") for name, repository, tag in rows])
    output.line(plural(len(plan), "image"))


def say_packaging(output: Output, report: PackageReport) -> None:
    """Print what was made and where it is."""
    if report.batch is None:
        output.line(
            f"no image to make: none of {plural(len(report.waiting), 'instance')} has a challenger that would win"
        )
        return
    parts = [f"{len(report.made):,} made", f"{len(report.present):,} there already"]
    if report.pruned:
        parts.append(f"{len(report.pruned):,} pruned")
    if report.waiting:
        parts.append(f"{plural(len(report.waiting), 'instance')} without a version to package")
    total = len(report.made) + len(report.present)
    output.line(f"{plural(total, 'image')} in {report.place}: {', '.join(parts)} in {length(report.seconds)}")
    say_misses(output, report.misses, {})
    for note in report.notes:
        output.line(f"note:   {note}")
    output.line(f"base:   {report.base}")
    made = [*report.made, *report.present]
    if made:
        output.line(f"next:   docker run --rm {_runnable(made[0])} info")


def package_document(report: PackageReport) -> dict[str, Any]:
    """Return a packaging report as plain values."""
    return {
        "batch": report.batch,
        "place": report.place,
        "base": report.base,
        "made": [_image_document(one) for one in report.made],
        "present": [_image_document(one) for one in report.present],
        "pruned": [one.name for one in report.pruned],
        "without_version": report.waiting,
        "failed": misses_document(report.misses),
        "notes": report.notes,
        "seconds": report.seconds,
        **error_document(report.failure, report.misses),
    }


def _image_document(record: ImageRecord) -> dict[str, Any]:
    return {
        "name": record.name,
        "reference": record.reference,
        "image_id": record.image_id,
        "digest": record.digest,
        "size": record.size,
        "models": [packed._asdict() for packed in record.models],
    }


def _runnable(record: ImageRecord) -> str:
    return f"{record.place}/{record.name}" if record.digest else record.reference
