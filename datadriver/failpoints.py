"""Named moments at which a process kills itself if it is told to, so that tests see what the next run has to mend.

`DATADRIVER_FAILPOINT=artefacts-laid:3` is SIGKILL when the process gets to that place for the third time; without a
number, for the first. Nothing else in datadriver depends on it.
"""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from functools import cache
from typing import Literal, get_args

from datadriver.errors import ConfigError, nearest

VARIABLE = "DATADRIVER_FAILPOINT"

Name = Literal[
    "batch-started",  # in the ledger; MLflow does not know of it
    "parent-started",  # MLflow has the batch's parent run, nothing else
    "leases-taken",  # instances are leased, no job is handed out
    "results-announced",  # MLflow knows what will be written, nothing is
    "artefacts-laid",  # under their final ids, without a row that says so
    "rows-pending",  # in MLflow's transaction, before it is committed
    "rows-written",  # MLflow has runs and versions, the ledger does not
    "ledger-pending",  # in the ledger's transaction, before it is committed
    "ledger-written",  # outcomes are recorded, the leases are still held
    "parent-finished",  # MLflow says that the batch is done, the ledger that it runs
    "release-written",  # the ledger has new champions, MLflow the old aliases
    "aliases-set",  # both have them, but the promotion has not ended
    "dataset-drafted",  # a Parquet file of scores, facts or readings is written under the name of a draft
    "scores-written",  # the files are there, the ledger does not know of them
    "facts-recorded",  # the ledger has what monitoring found, MLflow does not
    "report-drafted",  # all pages are written, the old report is still in place
]
NAMES: tuple[Name, ...] = get_args(Name)


@dataclass
class _Trap:
    name: str
    left: int

    def spring(self, name: str) -> None:
        if name == self.name:
            self.left -= 1
            if not self.left:
                os.kill(os.getpid(), signal.SIGKILL)


def reach(name: Name) -> None:
    """Say that the process got there; it ends here if it was told to."""
    trap = armed()
    if trap is not None:
        trap.spring(name)


@cache
def armed() -> _Trap | None:
    """Read what the environment says, once.

    Raises:
        ConfigError: it names no failpoint, or no number of times.
    """
    text = os.environ.get(VARIABLE, "")
    if not text:
        return None
    name, _, times = text.partition(":")
    if name not in NAMES:
        raise ConfigError(f"{VARIABLE}: there is no failpoint {name!r}{nearest(name, NAMES)}")
    if times and (not times.isdecimal() or int(times) < 1):
        raise ConfigError(f"{VARIABLE}: {times!r} in {text!r} is no number of times; write for example {name}:3")
    return _Trap(name, int(times or 1))
