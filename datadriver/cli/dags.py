"""`datadriver dags`: write the plan of Airflow's DAGs, show it, or look whether Airflow here will run it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from datadriver.cli import options
from datadriver.cli.output import Output
from datadriver.cli.progress import length
from datadriver.cli.reports import command_line, plural, shown_path

if TYPE_CHECKING:
    from datadriver.orchestration.plan import DagPlan, Trigger
    from datadriver.orchestration.shards import Written
    from datadriver.project import Project


@click.group("dags", short_help="Write the plan of Airflow's DAGs, show it, or look whether Airflow will run it.")
def command() -> None:
    """One Airflow DAG to train and one to score each asset, and those of the whole use case."""


out = click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Folder of the plan. Default: dags/plan in the use case.",
)


@command.command("build", short_help="Write the plan from usecase.yaml and the fleet.")
@out
@options.project
def build(output: Output, project: Project, *, out: Path | None) -> None:
    """Write what Airflow reads: files of plain data, each with many DAGs and a small loader beside it.

    The same fleet gives the same files. What has not changed is not touched, so that Airflow does not read it again.
    """
    started = time.monotonic()
    dags = project.dags(out)
    plan = dags.plan()
    written = dags.build(plan)
    seconds = time.monotonic() - started
    output.document(build_document(plan, written, seconds))
    kinds = Counter(dag.kind for dag in plan)
    output.line(f"{plural(len(plan), 'DAG')} in {shown_path(written.folder)} in {length(seconds)}")
    output.line("  " + ", ".join(f"{count:,} {kind}" for kind, count in kinds.most_common()))
    output.line(f"  files: {', '.join(_counted(written))}")


@command.command("list", short_help="Show the DAGs of the plan.")
@out
@options.cohort
@options.project
def list_(output: Output, project: Project, *, selection: Any, out: Path | None) -> None:
    """Show the DAGs as they are in the folder of the plan, which is what Airflow has; `--json` shows all of each."""
    from datadriver.fleet.selection import Selection, choose_assets
    from datadriver.orchestration.read import changes, read_plan

    dags = project.dags(out)
    present = read_plan(dags.out, project.usecase.name)
    shown = present
    if selection != Selection():
        chosen = {asset.id for asset in choose_assets(project.assets, selection)}
        shown = tuple(dag for dag in present if chosen.intersection(dag.assets))
    behind = changes(present, dags.plan())
    output.document({"folder": str(dags.out), "dags": [_document(dag) for dag in shown], "stale": behind})
    rows = ((one.dag_id, _when(one.trigger), len(one.assets) or None, " ".join(one.tags), one.team) for one in shown)
    output.table(("dag", "runs", "assets", "tags", "team"), rows, right=("assets",))
    output.line()
    output.line(plural(len(shown), "DAG"))
    if any(behind.values()):
        said = ", ".join(f"{len(ids):,} {word}" for word, ids in behind.items() if ids)
        output.line(f"the fleet or usecase.yaml say otherwise by now: {said}; {command_line(project, 'dags build')}")


@command.command("doctor", short_help="Look whether Airflow here will run the plan.")
@out
@options.project
def doctor(output: Output, project: Project, *, out: Path | None) -> int:
    """Say what of Airflow's settings is wrong for the plan, what is a risk, and what to set, each with its reason.

    Run it where a process of Airflow runs, with the same environment: it reads Airflow's configuration, asks Airflow's
    database, and parses every file of the plan. Nothing is changed. Exit code 0: nothing is wrong; 2: something is;
    5: the database does not answer.
    """
    from dataclasses import asdict

    from datadriver.orchestration.doctor import examine

    diagnosis = examine(project.dags(out))
    counts = Counter(one.state for one in diagnosis.findings)
    output.document(
        {
            "folder": str(diagnosis.folder),
            "dags": diagnosis.dags,
            "versions": diagnosis.versions,
            "counts": counts,
            "findings": [asdict(one) for one in diagnosis.findings],
        }
    )
    for one in diagnosis.findings:
        output.line(f"{one.state:5}  {one.what}: {one.found}")
        if one.advice:
            output.line(f"       {one.advice}")
    output.line()
    said = ", ".join(f"{counts[word]} {word}" for word in ("wrong", "risk", "right") if counts[word])
    output.line(f"Airflow {diagnosis.versions.get('apache-airflow')}, {plural(diagnosis.dags, 'DAG')}: {said}")
    return diagnosis.exit_code


def build_document(plan: tuple[DagPlan, ...], written: Written, seconds: float) -> dict[str, Any]:
    """Return what a build did as plain values."""
    return {
        "folder": str(written.folder),
        "dags": len(plan),
        "kinds": Counter(dag.kind for dag in plan),
        "written": written.written,
        "unchanged": len(written.unchanged),
        "removed": written.removed,
        "seconds": seconds,
    }


def _counted(written: Written) -> Iterable[str]:
    parts = {"written": written.written, "unchanged": written.unchanged, "removed": written.removed}
    for word, names in parts.items():
        if names:
            yield f"{len(names):,} {word}"


def _document(dag: DagPlan) -> dict[str, Any]:
    from dataclasses import asdict

    return asdict(dag)


def _when(trigger: Trigger) -> str:
    """Say when a DAG runs, in a few words.

    >>> from datadriver.orchestration.plan import Trigger
    >>> _when(Trigger("@hourly", "Europe/Oslo", 90)), _when(Trigger(assets=("sensors/P-1",))), _when(Trigger())
    ('@hourly (Europe/Oslo) + 90 s', 'on sensors/P-1', 'by hand')
    """
    zone = "" if trigger.timezone == "UTC" else f" ({trigger.timezone})"
    offset = f" + {trigger.offset:,} s" if trigger.offset else ""
    parts = [f"{trigger.cron}{zone}{offset}"] if trigger.cron else []
    if trigger.assets:
        more = f" and {len(trigger.assets) - 1:,} more" if len(trigger.assets) > 1 else ""
        parts.append(f"on {trigger.assets[0]}{more}")
    return ", ".join(parts) or "by hand"
