"""A small fleet of simulated pumps, and commands on it that are killed and started again."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from datadriver.failpoints import VARIABLE

PUMPS = Path(__file__).parents[2] / "examples" / "pumps"
QUICK = {  # models that fit in milliseconds, a pooled one among them
    "params: {trees: 120}": "params: {trees: 5}",
    "grid: {horizon: [3d, 7d]}": "grid: {horizon: [7d]}",
    "min_events: 3": "min_events: 1",
    "min_rows: 1000": "min_rows: 200",
    "min_rows: 5000": "min_rows: 500",
    "holdout: 14d": "holdout: 10d",
    "scores: {window: 14d}": "scores: {window: 3d}",
}
_PUMPS = 4
_LONGEST = 240


@dataclass
class Zygote:
    """The process that commands are forked from; one at a time."""

    process: subprocess.Popen[str]

    def start(self, *arguments: str, root: Path, environment: dict[str, str]) -> int:
        """Start a command and return its process id."""
        line = {
            "arguments": [*arguments, "--project", str(root)],
            "environment": environment,
            "log": str(root.with_name(f"{root.name}.log")),
        }
        self.process.stdin.write(json.dumps(line) + "\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def wait(self) -> int:
        """Return the exit code of the command, or the number of the signal that ended it, negative."""
        return int(self.process.stdout.readline())


@dataclass
class PumpFleet:
    """A use case on disk whose commands can be killed."""

    root: Path
    zygote: Zygote
    workers: int = 1
    seconds: dict[str, float] = field(default_factory=dict)

    def do(self, command: str) -> int:
        """Have a command done to its end; some instances of the fleet are rejected, which is exit code 6."""
        pid = self._start(command)
        code = self.zygote.wait()
        self.seconds[command] = _worked(pid)
        assert code in {0, 6}, f"{command} ended with {code}:\n{self.said}"
        return code

    def kill(self, command: str, at: str | float, *, workers: bool = False) -> bool:
        """Start a command and kill it, if it is still there; tells whether it was.

        Args:
            command: which one.
            at: a failpoint, or after how many seconds of work, its workers' included: a busy machine moves no kill.
            workers: kill its workers with it; else they have to notice by themselves.
        """
        family: set[int] = set()
        pid = self._start(command, at if isinstance(at, str) else "")
        if isinstance(at, float):
            while _lives(pid) and _worked(pid) < at:
                time.sleep(0.005)
            family.update(_children(pid))
            for one in [pid, *(family if workers else ())]:
                with suppress(ProcessLookupError):
                    os.kill(one, signal.SIGKILL)
        code = self.zygote.wait()
        _until(lambda: not any(_lives(one) for one in family), "its workers end")
        assert code in {0, 6, -signal.SIGKILL}, f"{command} ended with {code}:\n{self.said}"
        return code == -signal.SIGKILL

    @property
    def said(self) -> str:
        """What all commands printed."""
        return self.root.with_name(f"{self.root.name}.log").read_text("utf-8")

    def _start(self, command: str, failpoint: str = "") -> int:
        numbered = [] if command == "promote" else ["--workers", str(self.workers)]
        return self.zygote.start(command, *numbered, root=self.root, environment={VARIABLE: failpoint})


def _children(pid: int) -> list[int]:
    """Processes that any thread of a process has started."""
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        return [int(child) for task in tasks for child in (task / "children").read_text().split()]
    except OSError:
        return []


def _worked(pid: int) -> float:
    """Processor time of a process and of those that it has started, in seconds; also of one nobody has waited for."""
    with suppress(OSError):
        ours = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:15]
        ticks = sum(map(int, ours))  # its own, and of the children that it has waited for
        for child in _children(pid):
            with suppress(OSError):
                ticks += sum(map(int, Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[11:13]))
        return ticks / os.sysconf("SC_CLK_TCK")
    return 0.0


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _until(condition: Callable[[], bool], what: str) -> None:
    until = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < until, f"waited too long: {what}"
        time.sleep(0.02)


@pytest.fixture(scope="session")
def zygote() -> Iterator[Zygote]:
    alone = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # threads do not survive a fork
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", str(Path(__file__).with_name("zygote.py"))],
        env={**os.environ, **alone},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    yield Zygote(process)
    process.stdin.close()
    process.stdout.close()
    process.wait(timeout=60)


@pytest.fixture(scope="session")
def pristine(tmp_path_factory: pytest.TempPathFactory, mlflow_tables: Path) -> Path:
    """A fleet of pumps to which nothing was done yet; its tracking store has its tables."""
    root = tmp_path_factory.mktemp("soak") / "pristine"
    shutil.copytree(PUMPS, root, ignore=shutil.ignore_patterns("data", ".*", "__pycache__", "notebooks", "tests"))
    text = (root / "usecase.yaml").read_text("utf-8")
    for old, new in {**QUICK, "\nseed: 0": "\nseed: 0\ntracking: {plots: false}"}.items():
        assert old in text
        text = text.replace(old, new)
    (root / "usecase.yaml").write_text(text, "utf-8")
    asked = ["--assets", str(_PUMPS), "--days", "40", "--resolution", "30min", "--clean", "--workers", "1"]
    subprocess.run(
        [sys.executable, "-m", "pumps.simulate", *asked, "--out", str(root / "data")],
        env={**os.environ, "PYTHONPATH": str(root / "src")},
        check=True,
        capture_output=True,
        timeout=_LONGEST,
    )
    (root / ".datadriver").mkdir()
    shutil.copy(mlflow_tables, root / ".datadriver" / "mlflow.db")
    return root


@pytest.fixture
def new_fleet(
    request: pytest.FixtureRequest, tmp_path: Path, pristine: Path, zygote: Zygote
) -> Callable[..., PumpFleet]:
    """Makes a fleet with stores of its own in SQLite or in PostgreSQL, with or without MLflow's tables."""

    def make(store: str, *, tables: bool = True, workers: int = 1) -> PumpFleet:
        root = tmp_path / f"fleet-{len(list(tmp_path.iterdir()))}"
        shutil.copytree(pristine, root)
        if not tables or store == "postgresql":
            (root / ".datadriver" / "mlflow.db").unlink()
        if store == "postgresql":
            new_database = request.getfixturevalue("new_database")
            tracking = new_database(request.getfixturevalue("migrated_database") if tables else None)
            text = (root / "usecase.yaml").read_text("utf-8")
            text = text.replace("tracking: {", f"ledger: {{uri: '{new_database()}'}}\ntracking: {{uri: '{tracking}', ")
            (root / "usecase.yaml").write_text(text, "utf-8")
        return PumpFleet(root, zygote, workers)

    return make


@pytest.fixture(scope="session")
def reference(tmp_path_factory: pytest.TempPathFactory, pristine: Path, zygote: Zygote) -> PumpFleet:
    """The fleet after an uninterrupted run."""
    root = tmp_path_factory.mktemp("reference") / "fleet"
    shutil.copytree(pristine, root)
    fleet = PumpFleet(root, zygote)
    fleet.do("run")
    return fleet
