"""`datadriver metrics`: how the fleet stands, for Prometheus and its like."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from datadriver.cli import options
from datadriver.cli.output import Output

if TYPE_CHECKING:
    from datadriver.project import Project


class _Address(click.ParamType):  # type: ignore[type-arg]
    """`HOST:PORT`, an IPv6 host in brackets; port 0 is any that is free."""

    name = "HOST:PORT"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, int]:
        host, colon, port = value.rpartition(":")
        if not (colon and host and port.isdigit() and int(port) < 65536):
            self.fail(f"{value!r} is not HOST:PORT; write for example 127.0.0.1:9108 or [::]:9108", param, ctx)
        return host.strip("[]"), int(port)


@click.command("metrics", short_help="Print how the fleet stands as OpenMetrics text, or serve it.")
@click.option(
    "--listen",
    type=_Address(),
    metavar="HOST:PORT",
    help="Serve /metrics and /-/healthy there until interrupted, reading the ledger at each scrape.",
)
@options.project
def command(output: Output, project: Project, *, listen: tuple[str, int] | None) -> None:
    """Print how the fleet stands as OpenMetrics text: what `monitor` found, alarms, how old data and runs are."""
    from datadriver.monitoring.openmetrics import exposition

    if listen is None:
        text = exposition(project.ledger, project.usecase, [asset.id for asset in project.assets]).decode()
        output.document({"openmetrics": text})
        for line in text.splitlines():
            output.line(line)
        return
    from datadriver.monitoring.metrics_server import serving

    with serving(project.usecase, project.root, project.ledger, listen) as server:
        output.document({"url": server.url})
        output.line(f"serving {server.url}")
        output.stdout.flush()
        server.wait()
