"""Starts commands of datadriver as processes of their own, without paying seconds of imports for each.

A line of JSON on stdin is one command: `{"arguments": [...], "environment": {...}, "log": "..."}`. Its process id comes
back at once on stdout, and its exit code when it has ended. Each is forked, has a session of its own, starts its own
workers and can be killed like any other process.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from typing import Any

_WHAT_COMMANDS_IMPORT = """
    cli.boundary cli.app cli.run cli.train cli.promote fleet.leftovers fleet.train fleet.score fleet.monitor
    fleet.monitor_outputs monitoring.check monitoring.notify monitoring.openmetrics project reporting.gather
    reporting.keep reporting.write tracking.api_writer tracking.bulk_writer tracking.migrations tracking.monitor_runs
    tracking.releases training.metrics training.fit
"""


def serve() -> None:
    """Start one command after the other."""
    for line in sys.stdin:
        child = os.fork()
        if not child:
            _be(json.loads(line))
        _say(child)
        _say(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


def _say(number: int) -> None:
    sys.stdout.write(f"{number}\n")
    sys.stdout.flush()


def _be(command: dict[str, Any]) -> None:
    from datadriver.cli.boundary import run  # noqa: PLC0415 - imported already

    os.setsid()
    log = os.open(command["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream, replaced in ((os.open(os.devnull, os.O_RDONLY), 0), (log, 1), (log, 2)):
        os.dup2(stream, replaced)
    os.environ.update(command["environment"])
    code = run(command["arguments"])
    sys.stdout.flush()
    os._exit(code)


if __name__ == "__main__":
    for name in _WHAT_COMMANDS_IMPORT.split():
        importlib.import_module(f"datadriver.{name}")
    serve()
