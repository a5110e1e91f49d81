"""The ways of training a fleet that `benchmarks/train.py` compares, each measured from its start to its end."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from train_fleet import END, Fleet, make_data, make_fleet
from train_watch import Watched, disk_bytes, watch

from datadriver.training.pinning import PINNED

HERE = Path(__file__).parent
WORKERS = 2
DAY = pd.Timedelta(days=1)


@dataclass
class Bench:
    """One run of the benchmark: where fleets are made, and what was measured so far, by dotted key.

    Attributes:
        place: a folder that goes in the end.
        kind: which models: `ridge_1` is one Ridge an asset, `forest_10` ten forests.
    """

    place: Path
    estimator: str = "ridge"
    per_asset: int = 1
    figures: dict[str, Any] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """Name of the models."""
        return f"{self.estimator}_{self.per_asset}"

    def note(self, way: str, fleet: Fleet, cost: Watched, **more: float) -> None:
        """Keep and print what a way cost."""
        ms = 1000 * cost.seconds / fleet.models
        found = {"ms_per_model": ms, "seconds": cost.seconds, "cpu": cost.cpu, "peak_mb": cost.peak_mb, **more}
        key = f"train.sizes.{self.kind}.{fleet.models}.{way}"
        self.figures[key] = {name: rounded(value) for name, value in found.items()}
        said = [f"{ms:9.1f} ms a model", f"{1000 * cost.cpu / fleet.models:9.1f} ms cpu", f"{cost.peak_mb:7.0f} MB"]
        said += [f"{name} {value:,.4g}" for name, value in more.items()]
        print(f"{self.kind:9} {fleet.models:>6,} {way:20}", ", ".join(said), flush=True)

    @contextmanager
    def fleet(self, models: int, **stores: str) -> Iterator[Fleet]:
        """Give a use case of its own, whose data exist."""
        data = self.place / "data"
        make_data(data, -(-models // self.per_asset), workers=WORKERS)
        root = Path(tempfile.mkdtemp(prefix="fleet-", dir=self.place))
        try:
            yield make_fleet(root, data, models, per_asset=self.per_asset, estimator=self.estimator, **stores)
        finally:
            shutil.rmtree(root, ignore_errors=True)


def loop(bench: Bench, way: str, models: int) -> None:
    """Measure one of the loops of `train_loops.py`; of the bare one also scoring what it dumped."""
    with bench.fleet(models) as fleet:
        if way in {"stock", "tutorial"}:
            _create_mlflow(f"sqlite:///{fleet.root}/stock.db", fleet.root)
        command = [sys.executable, str(HERE / "train_loops.py"), way, str(fleet.root), "--workers", str(WORKERS)]
        before = disk_bytes(fleet.root)
        cost = watch(command, folder=fleet.root, environment=PINNED)
        bench.note(way, fleet, cost, disk_kb_per_model=(disk_bytes(fleet.root) - before) / 1000 / fleet.models)
        if way == "bare":
            command[2] = "score"
            environment = {**PINNED, "SCORE_END": str(END)}
            bench.note("score_bare", fleet, watch(command, folder=fleet.root, environment=environment))


def datadriver(bench: Bench, way: str, models: int, *, after: bool = True, **stores: str) -> None:
    """Measure `datadriver train` and, with `after`, what comes after it: nothing to do, promote, score."""
    with bench.fleet(models, **stores) as fleet:
        _command(fleet, "train", "--plan")  # creates the ledger
        _create_tracking(fleet)
        before = disk_bytes(fleet.root)
        cost = _command(fleet, "train", "--workers", str(WORKERS))
        outcomes = json.loads(cost.output)["instances"]
        assert [one["state"] for one in outcomes].count("trained") == fleet.models, outcomes[:2]
        more = {"disk_kb_per_model": (disk_bytes(fleet.root) - before) / 1000 / fleet.models}
        if "ledger" not in stores:
            more |= growth(fleet)
        bench.note(way, fleet, cost, **more)
        if after:
            bench.note("nothing_to_do", fleet, _command(fleet, "train", "--workers", str(WORKERS)))
            bench.note("promote", fleet, _command(fleet, "promote"))
            start = ["--start", str(END - DAY), "--end", str(END)]
            bench.note("score_datadriver", fleet, _command(fleet, "score", *start, "--workers", str(WORKERS)))


def projection(bench: Bench, models: int, address: str) -> None:
    """Measure the fleet with an MLflow server, which nobody waits for, and then what it takes to write to it."""
    with bench.fleet(models, tracking=address) as fleet:
        _command(fleet, "train", "--plan")  # creates the ledger
        before = disk_bytes(fleet.root)
        cost = _command(fleet, "train", "--no-wait", "--workers", str(WORKERS))
        said = json.loads(cost.output)
        assert [one["state"] for one in said["instances"]].count("trained") == fleet.models, said["instances"][:2]
        disk = (disk_bytes(fleet.root) - before) / 1000 / fleet.models
        left = said["tracking"]["versions"]
        later = _command(fleet, "track")
        assert json.loads(later.output)["tracking"]["pending"] == 0, later.output
        each = {"projection_ms_per_model": 1000 * later.seconds / left} if left else {}
        bench.note("datadriver_http", fleet, cost, disk_kb_per_model=disk, **each)


def resume(bench: Bench, models: int) -> None:
    """Measure the command that finishes a batch which was killed when half of it was done."""
    with bench.fleet(models) as fleet:
        _command(fleet, "train", "--plan")  # creates the ledger
        _create_tracking(fleet)
        command = [sys.executable, "-m", "datadriver", "train", "--workers", str(WORKERS)]
        with subprocess.Popen(command, cwd=fleet.root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            while len(_recorded(fleet)) < models / 2:
                if process.poll() is not None:
                    raise SystemExit("the run that was to be killed ended by itself")
                time.sleep(0.05)
            process.kill()
        done = len(_recorded(fleet))
        cost = _command(fleet, "train", "--workers", str(WORKERS))
        outcomes = json.loads(cost.output)["instances"]
        assert len(outcomes) == models - done, "the second run trains what is missing"
        bench.note("resume", fleet, cost, already_done=done)


def growth(fleet: Fleet) -> dict[str, float]:
    """Return what a model costs early and late in a batch, by when the ledger had each result."""
    at = _recorded(fleet)
    found = {}
    for first, last in ((500, 1000), (5000, 10000)):
        if len(at) >= last:
            began, ended = np.interp([first, last], *_group_ends(at))
            found[f"ms_per_model_{first}_to_{last}"] = 1000 * float(ended - began) / (last - first)
    return found


def _group_ends(at: Sequence[float]) -> tuple[list[int], list[float]]:
    """Return how many results there were whenever a group of them had been recorded, and when that was."""
    ends = [place for place in range(1, len(at)) if at[place] - at[place - 1] > 0.02] + [len(at)]
    return ends, [at[place - 1] for place in ends]


def _recorded(fleet: Fleet) -> list[float]:
    with closing(sqlite3.connect(fleet.root / ".datadriver" / "ledger.db")) as ledger:
        rows = ledger.execute("SELECT at FROM outcomes ORDER BY at").fetchall()
    return [datetime.fromisoformat(text).timestamp() for (text,) in rows]


def stages(bench: Bench, models: int) -> None:
    """Measure where the milliseconds of a model go."""
    with bench.fleet(models) as fleet:
        _command(fleet, "train", "--plan")
        _create_tracking(fleet)
        command = [sys.executable, str(HERE / "train_stages.py"), str(fleet.root)]
        found = json.loads(watch(command, folder=fleet.root, environment=PINNED).output)
        bench.figures[f"train.stages.{bench.kind}"] = {name: rounded(value) for name, value in found.items()}
        for name, value in found.items():
            print(f"{bench.kind:9} {name:20}{value:9.2f} ms a model")
        print(f"{bench.kind:9} {'in one process':20}{sum(found.values()):9.2f} ms a model", flush=True)


def _command(fleet: Fleet, name: str, *options: str) -> Watched:
    return watch([sys.executable, "-m", "datadriver", name, "--json", *options], folder=fleet.root)


def _create_tracking(fleet: Fleet) -> None:
    code = "from datadriver.project import Project; Project.open().tracker"
    watch([sys.executable, "-c", code], folder=fleet.root)


def _create_mlflow(uri: str, folder: Path) -> None:
    code = f"import mlflow; mlflow.set_tracking_uri({uri!r}); mlflow.set_experiment('plant')"
    watch([sys.executable, "-c", code], folder=folder)


def rounded(value: float) -> float:
    """Return a figure with as many digits as mean something."""
    return float(f"{value:.4g}")
