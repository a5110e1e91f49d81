"""`datadriver airflow`: Airflow on this machine, to look at and to try things with."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

import click

from datadriver.cli import options
from datadriver.cli.output import Output
from datadriver.cli.progress import length
from datadriver.cli.reports import shown_path
from datadriver.errors import ConfigError, UnavailableError

if TYPE_CHECKING:
    from datadriver.orchestration.local import Place
    from datadriver.orchestration.local_api import Api, Span
    from datadriver.orchestration.local_processes import Processes
    from datadriver.orchestration.plan import DagPlan
    from datadriver.project import Project

_LOOK_SECONDS = 0.5
_PATIENCE_SECONDS = 300
"""So long a start may take, and so long a DAG may take to be read: on a machine that has other things to do."""


@click.group("airflow", short_help="Run Airflow on this machine, without Docker.")
def command() -> None:
    """Run Airflow on this machine, without Docker, with the use case loaded."""


@command.command("up", short_help="Start Airflow and stay until told to stop.")
@click.option(
    "--port", type=click.IntRange(1, 65535), metavar="N", help="Of the pages. Default: 8080, or where taken a free one."
)
@click.option("--live", is_flag=True, help="New DAGs follow their schedules at once; else when you switch them on.")
@click.option("--score", multiple=True, metavar="A,B", help="Score these assets as soon as Airflow is ready.")
@options.window
@options.project
def up(
    output: Output,
    project: Project,
    *,
    port: int | None,
    live: bool,
    score: tuple[str, ...],
    start: str | None,
    end: str | None,
) -> None:
    """Write the plan of DAGs, start Airflow with it on this machine, stay until told to stop (Ctrl-C, SIGTERM).

    It can be reached from this machine only, and asks for no password. Plan, history and logs stay in
    .datadriver/airflow. --start and --end are the window of --score. Needs the extra `airflow`.
    """
    from datadriver.orchestration.local import Place, choose_port, home_of, only_one, require_airflow, write_plan

    require_airflow()
    chosen, span = _chosen(project, score), _span(project, start, end)
    with only_one(home_of(project.root)) as tell:
        place = Place(project.root, choose_port(port), live)
        tell(place.url)
        dags = write_plan(place, project.usecase, project.assets, project.instances, env=project.env)
        _stay(output, place, _scoring(dags, chosen), span)
    output.note(f"ended; the history stays in {shown_path(place.home)}")


def _stay(output: Output, place: Place, scoring: Mapping[str, str], span: Span | None) -> None:
    """Run Airflow until somebody ends it."""
    from datadriver.orchestration.local import settings
    from datadriver.orchestration.local_api import Api
    from datadriver.orchestration.local_processes import Processes

    output.note(f"starting Airflow; what it has to say is in {shown_path(place.home / 'logs')}")
    with Processes(place.home, settings(place)) as processes:
        api = Api(place.url)
        _wait(processes, api.is_ready, "Airflow is not ready")
        output.document({"url": place.url, "home": str(place.home)})
        output.line(f"Airflow: {place.url} (Ctrl-C ends it)")
        output.stdout.flush()
        try:
            _score(output, processes, api, scoring, span)
            while True:
                processes.check()
                time.sleep(_LOOK_SECONDS)
        except KeyboardInterrupt:
            output.note("ending Airflow; tasks at work get some seconds")


def _span(project: Project, start: str | None, end: str | None) -> Span | None:
    """Return the window of --score as Airflow takes it."""
    if start is None and end is None:
        return None
    window = project.window(start, end)
    if window.start is None or window.end is None or isinstance(window.start, int) or isinstance(window.end, int):
        raise ConfigError("--score takes both --start and --end or none, and both are times")
    return window.start.to_pydatetime(), window.end.to_pydatetime()


def _chosen(project: Project, names: tuple[str, ...]) -> Sequence[str]:
    """Return the ids of the assets of --score."""
    from datadriver.fleet.selection import Selection, choose_assets

    return [asset.id for asset in choose_assets(project.assets, Selection(assets=names))] if names else []


def _scoring(dags: Sequence[DagPlan], assets: Sequence[str]) -> dict[str, str]:
    """Return the DAG that scores each asset.

    Raises:
        ConfigError: an asset has no model.
    """
    scoring = {asset: dag.dag_id for dag in dags if dag.kind == "score" for asset in dag.assets}
    if without := [asset for asset in assets if asset not in scoring]:
        raise ConfigError(f"{without[0]} cannot be scored: no model of usecase.yaml is for it")
    return {asset: scoring[asset] for asset in assets}


def _score(output: Output, processes: Processes, api: Api, dags: Mapping[str, str], span: Span | None) -> None:
    """Score assets, each once Airflow has read its DAG, and say how it went."""
    for asset, dag_id in dags.items():
        _wait(processes, partial(api.has, dag_id), f"Airflow has not read the DAG {dag_id}")
        began = time.monotonic()
        run = api.trigger(dag_id, span)
        output.line(f"scoring {asset}: {run.url}")
        output.stdout.flush()
        _wait(processes, partial(api.has_ended, run), f"{run.url} has not ended")
        output.line(f"scored {asset}: {api.state(run)} in {length(time.monotonic() - began)}")
        output.stdout.flush()


def _wait(processes: Processes, met: Callable[[], bool], what: str) -> None:
    limit = time.monotonic() + _PATIENCE_SECONDS
    while not met():
        processes.check()
        if time.monotonic() > limit:
            raise UnavailableError(f"{what} after {_PATIENCE_SECONDS} s; the logs may say why")
        time.sleep(_LOOK_SECONDS)
