"""`datadriver new`: render the project skeleton into a new folder, all of it or nothing."""

from __future__ import annotations

import importlib.util
import json
import keyword
import re
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import click

from datadriver.cli.options import speaks
from datadriver.cli.output import Output
from datadriver.errors import ConfigError, DatadriverError
from datadriver.fleet.failures import full_disk

PACKAGE = Path(__file__).parents[1]


def template() -> Path:
    """Return the folder of the cookiecutter: inside the installed package, or at the root of a checkout."""
    for folder in (PACKAGE / "project_template", PACKAGE.parent / "project_template"):
        if (folder / "cookiecutter.json").is_file():
            return folder
    raise DatadriverError(f"the project template is missing from {PACKAGE}; install datadriver again")


def choices(question: str) -> list[str]:
    """Return the answers that the template offers for one of its questions, the default first."""
    answers: list[str] = json.loads((template() / "cookiecutter.json").read_text("utf-8"))[question]
    return answers


@click.command("new", short_help="Start a use case: render the skeleton into a new folder.")
@click.argument("name")
@click.option(
    "--problem",
    type=click.Choice(choices("problem")),
    default="regression",
    help="What the model does.",
    show_default=True,
)
@click.option(
    "--ci", type=click.Choice(choices("ci")), default="github", help="Where the checks run.", show_default=True
)
@click.option("--sample-data/--no-sample-data", default=True, help="Start with simulated machines.", show_default=True)
@click.option(
    "--output",
    "folder",
    type=click.Path(path_type=Path),
    default=Path(),
    metavar="DIR",
    help="Where the new folder goes.",
)
@speaks
def command(output: Output, *, name: str, problem: str, ci: str, sample_data: bool, folder: Path) -> None:
    """Start the use case NAME: a folder with everything that a fleet of models needs, and that runs as it is."""
    where = render(name, problem=problem, ci=ci, sample_data=sample_data, folder=folder)
    output.document({"name": name, "path": str(where.resolve()), "files": files(where)})
    output.line(f"{where}: {len(files(where))} files. Start with README.md and usecase.yaml.")
    output.line()
    if not sample_data:
        output.line("Put your data where data/README.md says. Then:")
    output.line(f"  cd {where}")
    output.line("  datadriver run")


def render(name: str, *, problem: str, ci: str, sample_data: bool, folder: Path) -> Path:
    """Render the skeleton into `folder / name` and return that path.

    Raises:
        ConfigError: if the name cannot be used, or something of that name is there already.
    """
    _require_usable(name)
    where = folder / name
    if where.exists() or where.is_symlink():
        raise ConfigError(f"{where} exists already; choose another name, or another place with --output DIR")
    answers = {"name": name, "problem": problem, "ci": ci, "sample_data": "yes" if sample_data else "no"}
    with _scratch(folder, name) as scratch:
        _generate(answers, Path(scratch))
        shutil.move(Path(scratch) / name, where)
    return where


def _scratch(folder: Path, name: str) -> tempfile.TemporaryDirectory[str]:
    """Make a place beside the new folder to render in, so that nothing half-written is ever there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return tempfile.TemporaryDirectory(dir=folder, prefix=f".{name}-", ignore_cleanup_errors=True)
    except OSError as error:
        raise full_disk(error) or ConfigError(
            f"cannot write to {folder}: {error.strerror}; choose another place with --output DIR"
        ) from error


def _generate(answers: dict[str, Any], folder: Path) -> None:
    """Let cookiecutter render; called below its command line, which would write to the home directory."""
    from cookiecutter.generate import generate_files

    generate_files(template(), context={"cookiecutter": answers}, output_dir=folder)


def _require_usable(name: str) -> None:
    """Refuse a name that could not be a Python package of its own."""
    if not re.fullmatch(r"[a-z][a-z0-9_]{1,47}", name):
        raise ConfigError(
            f"{name!r} cannot be the name of a use case: it becomes a Python package, so it needs 2 to 48 "
            "lower-case letters, digits or underscores, a letter first, for example well_pumps"
        )
    if keyword.iskeyword(name) or name in sys.stdlib_module_names or _is_installed(name):
        raise ConfigError(
            f"{name!r} cannot be the name of a use case: a Python module is called that already, and one would "
            f"hide the other; take a longer name, such as {name}_fleet"
        )


def _is_installed(name: str) -> bool:
    """Tell whether a library of that name is installed; a use case installed from its own folder does not count."""
    found = importlib.util.find_spec(name)
    places = [*(found.submodule_search_locations or []), found.origin or ""] if found else []
    return any("site-packages" in place or "dist-packages" in place for place in places)


def files(folder: Path) -> list[str]:
    """List the files below a folder, relative to it."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
