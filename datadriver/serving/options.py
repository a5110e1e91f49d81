"""The options of a server, the same for `datadriver serve` and `datadriver-model serve`."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import click

from datadriver.serving.settings import Limits, Settings

F = TypeVar("F", bound=Callable[..., Any])

_OPTIONS = (
    click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen at; 0.0.0.0 is all."),
    click.option("--port", default=8080, show_default=True, type=click.IntRange(0, 65535), help="0 is any free one."),
    click.option("--workers", default=1, show_default=True, type=click.IntRange(1), metavar="N", help="Processes."),
    click.option(
        "--limit-concurrency",
        default=256,
        show_default=True,
        type=click.IntRange(1),
        metavar="N",
        help="Requests at a time in each process; more get 503.",
    ),
    click.option(
        "--max-rows", default=100_000, show_default=True, type=click.IntRange(1), metavar="N", help="Rows of a request."
    ),
    click.option(
        "--max-body", default=16, show_default=True, type=click.IntRange(1), metavar="MIB", help="Size of a request."
    ),
    click.option("--access-log", is_flag=True, help="A line on stderr for each request."),
)


def server(command: F) -> F:
    """Add the options of a server; the command gets them as `settings`."""

    @functools.wraps(command)
    def wrapped(  # noqa: PLR0913 - the options
        *args: Any,
        host: str,
        port: int,
        workers: int,
        limit_concurrency: int,
        max_rows: int,
        max_body: int,
        access_log: bool,
        **options: Any,
    ) -> Any:
        limits = Limits(body=max_body * 2**20, rows=max_rows, requests=limit_concurrency)
        return command(*args, settings=Settings(host, port, workers, limits, access_log=access_log), **options)

    for option in reversed(_OPTIONS):
        wrapped = option(wrapped)
    return wrapped  # type: ignore[return-value]
