"""`datadriver serve`: score over HTTP with the champions."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from datadriver.cli import options
from datadriver.cli.output import Output
from datadriver.cli.reports import plural
from datadriver.errors import ConfigError
from datadriver.serving.options import server

if TYPE_CHECKING:
    from datadriver.fleet.selection import Selection
    from datadriver.project import Project
    from datadriver.serving.answering import Answering
    from datadriver.serving.settings import Limits, Settings


@dataclass(frozen=True)
class _Champions:
    """What each worker process opens for itself."""

    root: Path
    env: str | None
    selection: Selection
    limits: Limits

    def __call__(self) -> Answering:
        from datadriver.fleet.selection import choose_assets
        from datadriver.project import Project
        from datadriver.serving.answering import Answering
        from datadriver.serving.hosted import open_champions
        from datadriver.tracking import queries
        from datadriver.tracking.records import Key

        project = Project.open(self.root, self.env)
        chosen, champions = project.select(self.selection), queries.champions(project.ledger)
        pairs = [(one, champions[key]) for one in chosen if (key := Key(one.unit.key, one.model)) in champions]
        if not pairs:
            raise ConfigError(
                f"none of the {len(chosen)} chosen instances has a champion; run datadriver train and promote first"
            )
        assets = choose_assets(project.assets, self.selection)
        package = open_champions(project.usecase, project.root, assets, pairs, env=self.env)
        return Answering(package.load_all(), self.limits)


@click.command("serve", short_help="Score over HTTP with the champions.")
@server
@options.instances
@options.project
def command(output: Output, project: Project, *, selection: Selection, settings: Settings) -> None:
    """Score over HTTP with the champions: MLflow's /invocations with raw sensor rows, /ping, /version, /metrics.

    Until told to stop (SIGTERM, Ctrl-C), with the champions of its start.
    """
    _pin()
    from datadriver.serving.server import serve

    def ready(url: str) -> None:
        output.document({"url": url})
        output.line(f"serving {url} with {plural(settings.workers, 'worker')}")
        output.stdout.flush()

    serve(_Champions(project.root, project.env, selection, settings.limits), settings, ready=ready)


def _pin() -> None:
    """Start this process again if floating point is not pinned: that must be done before numpy is imported."""
    from datadriver.training.pinning import PINNED, missing

    if missing():
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], {**os.environ, **PINNED})  # noqa: S606
