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
    """Start one command after the other; the id of one that has ended is nobody else's until the next one starts."""
    child = 0
    for line in sys.stdin:
        if child:
            os.waitpid(child, 0)
        child = os.fork()
        if not child:
            _be(json.loads(line))
        _say(child)
        ended = os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
        _say(ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status)


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
