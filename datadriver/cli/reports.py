"""How reports of the fleet's work read: misses grouped by reason, and what to do next."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datadriver.cli.output import Output
from datadriver.cli.progress import length
from datadriver.errors import DatadriverError
from datadriver.fleet.outcomes import Miss, grouped

if TYPE_CHECKING:
    from datadriver.fleet.projection import Lag
    from datadriver.project import Project
    from datadriver.tracking.backlog import Backlog

_SHOWN = 20
_KINDS = {3: "data", 4: "use case", 5: "unavailable", 1: "bug", 2: "configuration"}


def say_misses(output: Output, misses: Sequence[Miss], traces: Mapping[str, str]) -> None:
    """List what failed: one line each, or one for many that share a reason; tracebacks with -v, and of our bugs."""
    groups = grouped(misses)
    for group in groups[:_SHOWN]:
        who = group.names[0] if len(group.names) == 1 else f"{len(group.names)} times: {_few(group.names)}"
        kind = _KINDS.get(group.exit_code, f"exit {group.exit_code}")
        reason = group.reason.replace("…", group.names[0], 1) if len(group.names) == 1 else group.reason
        output.line(f"  {who}  [{kind}]")
        for line in reason.splitlines():
            output.line(f"    {line}")
    if len(groups) > _SHOWN:
        output.line(f"  and {len(groups) - _SHOWN} more reasons: see datadriver status or --json")
    bugs = {miss.name for miss in misses if miss.exit_code == DatadriverError.exit_code}
    for name, trace in traces.items():
        if output.verbose or name in bugs:
            output.note(f"{name}:\n{trace}")


def error_document(error: DatadriverError | None, misses: Sequence[Miss]) -> dict[str, Any]:
    """Return the `error` of a JSON document whose command did part of its work; nothing if all went well."""
    if error is None:
        return {}
    problems = [str(miss) for miss in misses]
    return {"error": {"message": error.message, "problems": problems, "exit_code": error.exit_code}}


def misses_document(misses: Sequence[Miss]) -> list[dict[str, Any]]:
    """Return misses as plain values."""
    return [{"name": miss.name, "reason": miss.reason, "exit_code": miss.exit_code} for miss in misses]


def mlflow_hint(project: Project) -> str:
    """Return the command that shows runs and models in a browser."""
    uri = project.usecase.tracking.uri
    prefix = "sqlite:///"
    if uri.startswith(prefix) and not Path(uri.removeprefix(prefix)).is_absolute():
        uri = prefix + shown_path(project.root / uri.removeprefix(prefix))
    if uri.startswith(("http://", "https://")):
        return uri
    return f"mlflow ui --backend-store-uri {uri}"


def say_lag(output: Output, project: Project, lag: Lag | None) -> None:
    """Say how far MLflow is behind, and why, if it is."""
    if lag is None or not lag.left.total:
        return
    output.line(f"MLflow: {lag_text(lag.left)}")
    if lag.error is not None:
        output.line(f"        {lag.error.message}")
    output.line(f"        nothing is lost: {command_line(project, 'track')} writes them, as the next run does")


def lag_text(left: Backlog) -> str:
    """Say how much MLflow lacks, and since when."""
    parts = [plural(left.versions, "version")] if left.versions else []
    if others := left.others - left.running:
        parts.append(f"{others:,} other {'entry' if others == 1 else 'entries'}")
    oldest = "" if left.age is None else f"; the oldest has waited for {length(left.age)}"
    return f"{' and '.join(parts)} not there yet{oldest}"


def lag_document(lag: Lag | None) -> dict[str, Any] | None:
    """Return how far MLflow is behind as plain values; None where it is written at once."""
    if lag is None:
        return None
    return {**backlog_document(lag.left), "why": None if lag.error is None else lag.error.message}


def backlog_document(left: Backlog) -> dict[str, Any]:
    """Return a backlog as plain values."""
    return {
        "pending": left.total,
        "versions": left.versions,
        "others": left.others - left.running,
        "oldest": left.oldest,
        "age_seconds": left.age,
        "problem": left.problem,
    }


def shown_path(path: Path) -> str:
    """Return a path as one would type it from here."""
    try:
        relative = os.path.relpath(path)
    except ValueError:  # another drive
        return str(path)
    return str(path) if relative.startswith(".." + os.sep + "..") else relative


def command_line(project: Project, command: str) -> str:
    """Return a datadriver command that works from here."""
    elsewhere = "" if Path.cwd().is_relative_to(project.root) else f" --project {shown_path(project.root)}"
    return f"datadriver {command}{elsewhere}" + (f" --env {project.env}" if project.env else "")


def plural(count: int, noun: str) -> str:
    """Write a count with its noun.

    >>> plural(1, "instance"), plural(1200, "instance")
    ('1 instance', '1,200 instances')
    """
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def _few(names: Sequence[str]) -> str:
    more = f", … {len(names) - 4} more" if len(names) > 4 else ""
    return ", ".join(names[:4]) + more
