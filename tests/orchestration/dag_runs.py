"""DAGs of a plan on a database of Airflow's own, without its servers."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from datadriver.orchestration.plan import DagPlan, Header

SCRIPT = Path(__file__).with_name("run_dags.py")
LOADER = """# An airflow dag.
from datadriver.orchestration.airflow.loader import load

globals().update(load(__file__))
"""
INSTANT = "2026-03-09T05:30:00Z"
"""In the hour after the one that runs are about."""


@dataclass(frozen=True)
class Ran:
    """What came of DAGs: by DAG and task how it ended; and all that was said."""

    tasks: Mapping[str, Mapping[str, Mapping[str, object]]]
    log: str

    def task(self, name: str) -> tuple[object, object, object]:
        """Return state, number of tries and outcome of a task; the ids of tasks are different."""
        one = next(tasks[name] for tasks in self.tasks.values() if name in tasks)
        return one["state"], one["tries"], one["outcome"]


@dataclass
class DagRuns:
    """A home of Airflow with tables and a plan."""

    home: Path
    variables: Mapping[str, str] = field(default_factory=dict)

    def plan(self, header: Header, *dags: DagPlan) -> None:
        folder = self.home / "dags"
        folder.mkdir(exist_ok=True)
        (folder / "plan.jsonl").write_text("".join(f"{one.to_line()}\n" for one in (header, *dags)), "utf-8")
        (folder / "plan.py").write_text(LOADER, "utf-8")

    def start(self, instant: str = INSTANT) -> subprocess.Popen[str]:
        """Start running all DAGs of the plan."""
        return subprocess.Popen(
            [sys.executable, SCRIPT, self.home / "dags" / "plan.jsonl", instant],
            env=environment(self.home) | dict(self.variables),
            cwd=self.home,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, instant: str = INSTANT) -> Ran:
        """Run all DAGs of the plan to their end."""
        with self.start(instant) as process:
            try:
                said, _ = process.communicate(timeout=800)
            finally:
                process.kill()
        last = said.rstrip().splitlines()[-1]
        assert last.startswith("{"), said
        return Ran(json.loads(last), said)


def environment(home: Path) -> dict[str, str]:
    settings = {"AIRFLOW_HOME": str(home), "AIRFLOW__CORE__LOAD_EXAMPLES": "False", "NO_COLOR": "1"}
    return {**{name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}, **settings}


def migrate(home: Path) -> None:
    command = [sys.executable, "-m", "airflow", "db", "migrate"]
    subprocess.run(command, env=environment(home), check=True, capture_output=True, timeout=240)


def copied(template: Path, home: Path) -> Path:
    home.mkdir()
    shutil.copy(template / "airflow.db", home / "airflow.db")
    return home


def heard(process: subprocess.Popen[str], pattern: str, seconds: float = 120) -> re.Match[str]:
    """Read the output of a process until something is said."""
    assert process.stdout is not None
    end, said = time.monotonic() + seconds, []
    for line in process.stdout:
        said.append(line)
        if found := re.search(pattern, line):
            return found
        assert time.monotonic() < end, "".join(said)
    raise AssertionError("".join(said))
