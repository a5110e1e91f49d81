"""Whether a container is well, for Docker: `python -m datadriver.images.health` exits with 0 or 1.

A server is well when `/ping` answers. Any other command is well as long as it runs, and Docker asks only while it does.
"""

from __future__ import annotations

import argparse
import http.client
import sys
from collections.abc import Sequence
from pathlib import Path

_SECONDS = 5


def served_port(command: Sequence[str]) -> int | None:
    """Return the port that a command listens on; None where it serves nothing, or on a port of the system's choice.

    >>> served_port(["python", "/opt/venv/bin/datadriver-model", "serve", "--port", "9000"])
    9000
    >>> served_port(["datadriver-model", "serve"]), served_port(["datadriver", "run"])
    (8080, None)
    """
    if "serve" not in command:
        return None
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--port", type=int, default=8080)
    known, _ = parser.parse_known_args(list(command[1:]))
    return known.port or None


def healthy(port: int) -> bool:
    """Whether a server of this machine answers `/ping` with 200."""
    asked = http.client.HTTPConnection("127.0.0.1", port, timeout=_SECONDS)
    try:
        asked.request("GET", "/ping")
        return asked.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        asked.close()


def main() -> int:
    """Judge the first process of the container."""
    command = Path("/proc/1/cmdline").read_text("utf-8", "replace").split("\0")
    port = served_port(command)
    return 0 if port is None or healthy(port) else 1


if __name__ == "__main__":
    sys.exit(main())
