"""The table of commands, and a group that imports a command's module only when it is asked for."""

from __future__ import annotations

import importlib
from typing import Any

import click

from datadriver import __version__
from datadriver.errors import nearest

COMMANDS: dict[str, str] = {
    "new": "Start a use case: render the skeleton into a new folder.",
    "check": "Find every mistake that can be found without touching data.",
    "schema": "Print the JSON Schema of usecase.yaml, for editors.",
    "validate": "Judge the data of each asset by the contract.",
    "contract": "Draft a data contract from good history.",
    "train": "Train every instance that is due.",
    "promote": "Make challengers champions where they beat what serves.",
    "rollback": "Go back to the champions before a release.",
    "releases": "List what became champion, when, why and by whom.",
    "diff": "Show what a promotion would change.",
    "package": "Make an image of each model in service.",
    "dags": "Write the plan of Airflow's DAGs, show it, or look whether Airflow will run it.",
    "score": "Score a window with the champions.",
    "publish": "Take over scores that score --out has made.",
    "monitor": "Judge data and models window by window; alarms, messages, requests to train again.",
    "requests": "List what monitoring wants to be trained again.",
    "report": "Write the report: fleet, assets and models as static pages.",
    "run": "Validate, train, promote, score, monitor and report: the whole chain in one command.",
    "track": "Write to MLflow what it does not know yet, where it is written behind the run.",
    "airflow": "Run Airflow on this machine, without Docker.",
    "serve": "Score over HTTP with the champions.",
    "metrics": "Print how the fleet stands as OpenMetrics text, or serve it.",
    "failures": "List the tasks of a scheduler that failed and have not succeeded since.",
    "status": "Show the fleet: champions, last train, last score, health, reasons.",
}
"""Name and one-line help of each command; its module in this package has the same name."""


class Commands(click.Group):
    """A group whose commands are modules of `datadriver.cli`, each with a click command named `command`."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names in the order of the work."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:  # noqa: ARG002
        """Import the module of one command."""
        if name not in COMMANDS:
            return None
        command = importlib.import_module(f"datadriver.cli.{name}").command
        assert isinstance(command, click.Command)  # noqa: S101 - a mistake of ours, found by the first test
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """Find the command; a misspelt name gets the nearest ones."""
        if args and not args[0].startswith("-") and args[0] not in COMMANDS:
            raise click.UsageError(f"there is no command {args[0]!r}{nearest(args[0], COMMANDS)}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the table without importing a single command."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, message="datadriver %(version)s")
def app() -> None:
    """From one notebook to a fleet of per-asset models: contracts, training, release, scoring, monitoring.

    Run inside a use case, or name it with --project. Exit codes: 0 done; 1 a bug in datadriver; 2 usage or
    configuration; 3 data rejected; 4 the use case's own code raised; 5 something outside is unavailable, a retry
    may help; 6 some assets failed, the rest are done.
    """
