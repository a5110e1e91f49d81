"""Options that many commands share, as decorators; each hands the command one plain value."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from datadriver.cli.output import Output

if TYPE_CHECKING:
    from datadriver.project import Project

F = TypeVar("F", bound=Callable[..., Any])

_PROJECT = click.option(
    "--project",
    type=click.Path(path_type=Path),
    default=Path(),
    metavar="DIR",
    help="Folder of the use case. Default: here, or the nearest parent with a usecase.yaml.",
)
_ENV = click.option("--env", metavar="NAME", help="Environment overlay of usecase.yaml.")
_JSON = click.option("--json", is_flag=True, expose_value=False, help="One JSON document on stdout, nothing else.")
_VERBOSE = click.option(
    "-v", "--verbose", count=True, expose_value=False, help="Tracebacks, and what libraries have to say."
)
_QUIET = click.option(
    "-q", "--quiet", is_flag=True, expose_value=False, help="Results and notes only as JSON or exit code."
)


def speaks(command: F) -> F:
    """Add --json, -v, -q; the command gets an `Output` as its first argument."""

    @functools.wraps(command)
    def wrapped(**options: Any) -> Any:
        return command(click.get_current_context().find_object(Output) or Output(), **options)

    return _JSON(_VERBOSE(_QUIET(wrapped)))  # type: ignore[return-value]


def usecase(command: F) -> F:
    """Add --project, --env and what `speaks` adds; the command gets the `Output` and the folder and environment."""
    return _PROJECT(_ENV(speaks(command)))


def project(command: F) -> F:
    """Like `usecase`, but the command gets the opened `Project` as its second argument."""

    @functools.wraps(command)
    def wrapped(output: Output, *, project: Path, env: str | None, **options: Any) -> Any:
        opened = open_project(output, project, env)
        code = command(output, opened, **options)
        if not code:
            _note_success(opened)
        return code

    return usecase(wrapped)  # type: ignore[return-value]


def _note_success(project: Project) -> None:
    """Where a scheduler runs this command, its task does not fail any more; not worth opening a ledger for."""
    from datadriver.errors import DatadriverError

    if "DATADRIVER_TASK" in os.environ and "ledger" in vars(project):
        from datadriver.tracking.task_failures import close_own_failures

        with contextlib.suppress(DatadriverError):
            close_own_failures(project.ledger)


def open_project(output: Output, folder: Path, env: str | None) -> Project:
    """Open the use case in a folder, with progress shown the way the command line wants it."""
    from datadriver.cli.progress import onlooker
    from datadriver.project import Project

    return Project.open(folder, env=env, progress=onlooker(output), verbose=output.verbose)


def cohort(command: F) -> F:
    """Add --where and --assets; the command gets them as `selection`."""
    return _where(_assets(_selecting(command)))


def instances(command: F) -> F:
    """Add --where, --assets and --models; the command gets them as `selection`."""
    return _where(_assets(_models(_selecting(command))))


def units(command: F) -> F:
    """Add --units to what `instances` adds."""
    return click.option(
        "--units",
        multiple=True,
        metavar="A,B",
        help="What is fitted for exactly these, as `status` names them: assets, or groups of them; may be repeated.",
    )(command)


def _selecting(command: F) -> F:
    @functools.wraps(command)
    def wrapped(
        *,
        where: str | None,
        assets: tuple[str, ...],
        models: tuple[str, ...] = (),
        units: tuple[str, ...] = (),
        **options: Any,
    ) -> Any:
        from datadriver.fleet.selection import Selection

        return command(selection=Selection(where, assets, models, units), **options)

    return wrapped  # type: ignore[return-value]


_where = click.option("--where", metavar="EXPR", help="Assets that match, for example 'country == \"NO\"'.")
_assets = click.option(
    "--assets", multiple=True, metavar="A,B", help="Assets by id, separated by commas; may be repeated."
)
_models = click.option(
    "--models",
    multiple=True,
    metavar="A,B",
    help="Models by name, separated by commas; the name of a grid selects its variants.",
)


def until(command: F) -> F:
    """Add --until."""
    return click.option("--until", metavar="TIME", help="Nothing from this instant on counts. Default: all there is.")(
        command
    )


def window(command: F) -> F:
    """Add --start and --end."""
    start = click.option("--start", metavar="TIME", help="First instant of the window.")
    end = click.option("--end", metavar="TIME", help="End of the window; itself not part of it.")
    return start(end(command))


def no_wait(command: F) -> F:
    """Add --no-wait; the command gets it as `wait`, the other way round."""
    return click.option(
        "--no-wait",
        "wait",
        is_flag=True,
        flag_value=False,
        default=True,
        help="Do not stay until MLflow has everything, where it is written behind the run: datadriver track does that.",
    )(command)


def workers(command: F) -> F:
    """Add --workers."""
    return click.option(
        "--workers", type=click.IntRange(min=1), metavar="N", help="Worker processes. Default: one per core."
    )(command)
