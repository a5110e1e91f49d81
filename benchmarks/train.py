"""What training a fleet costs: a bare loop, MLflow and Great Expectations as they come, and datadriver, side by side.

All train the same models on the same files with two worker processes of one thread each (docs/benchmarks.md says what
is in each). Every way is a command of its own, timed from its start to its end; databases are created before. Ways
that would take hours are measured on fewer models (`--stock`, `--tutorial`, `--http`).

    python benchmarks/train.py --models 100,1000,10000
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from results import merge_results
from train_fleet import END, Fleet, make_data, make_fleet
from train_page import RESULTS, write_page
from train_servers import Missing, mlflow_server, postgres
from train_watch import Watched, disk_bytes, watch

from datadriver.training.pinning import PINNED

HERE = Path(__file__).parent
WORKERS = 2
DAY = pd.Timedelta(days=1)
WAYS = ("bare", "stock", "tutorial", "datadriver_sqlite", "datadriver_postgres", "datadriver_http")


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
        self.figures[key] = {name: _rounded(value) for name, value in found.items()}
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
        bench.figures[f"train.stages.{bench.kind}"] = {name: _rounded(value) for name, value in found.items()}
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


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")


def _skipped(way: str, why: object) -> None:
    print(f"{'':9} {'':6} {way}: skipped, {why}", flush=True)


def measure(bench: Bench, sizes: Sequence[int], chosen: argparse.Namespace) -> None:
    """Measure every way with one kind of model."""
    for models in sizes:
        loop(bench, "bare", models)
        datadriver(bench, "datadriver_sqlite", models)
    most = max(sizes)
    stages(bench, min(most, 200))
    if bench.kind not in {"ridge_1", "forest_1"}:
        return
    loop(bench, "stock", min(most, chosen.stock))
    if bench.kind != "ridge_1":
        return
    resume(bench, min(most, 1000))
    loop(bench, "tutorial", min(most, chosen.tutorial))
    try:
        with postgres() as server:
            stores = {"tracking": f"{server}/mlflow", "ledger": f"{server}/ledger"}
            datadriver(bench, "datadriver_postgres", min(most, chosen.postgres), after=False, **stores)
    except Missing as why:
        _skipped("datadriver_postgres", why)
    try:
        with mlflow_server(bench.place / "server") as address:
            datadriver(bench, "datadriver_http", min(most, chosen.http), after=False, tracking=address)
    except Missing as why:
        _skipped("datadriver_http", why)


def headlines(figures: Mapping[str, Any]) -> dict[str, Any]:
    """Return the figures that the aims are about: Ridge, one model an asset, each way at its most models."""
    found: dict[str, Any] = {}
    sizes = [(*key.split(".")[3:], values) for key, values in figures.items() if key.startswith("train.sizes.ridge_1.")]
    for models, way, values in sorted(sizes, key=lambda entry: int(entry[0])):  # the greatest is written last
        if way in WAYS:
            found[f"train.{way}.ms_per_model"] = values["ms_per_model"]
            found[f"train.{way}.models"] = int(models)
        elif way.startswith("score_"):
            found[f"score.{way.removeprefix('score_')}.ms_per_model"] = values["ms_per_model"]
        if models != "10000":
            continue
        if way == "datadriver_sqlite":
            found["train.models_per_second_10k"] = _rounded(10000 / values["seconds"])
            found["train.peak_mb_10k"] = values["peak_mb"]
            early, late = values["ms_per_model_500_to_1000"], values["ms_per_model_5000_to_10000"]
            found["train.marginal_growth"] = _rounded(late / early)
        elif way == "nothing_to_do":
            found["resume.nothing_to_do_s_10k"] = values["seconds"]
    if "train.stages.ridge_1" in figures:
        found["train.tracking_ms_per_model"] = figures["train.stages.ridge_1"]["tracking"]
    return found


def main() -> None:
    """Measure, print and merge the figures into the results file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default="100,1000", help="sizes, for example 100,1000,10000")
    parser.add_argument("--kinds", default="ridge_1,ridge_10,forest_1,forest_10", help="estimator and models an asset")
    for way, models in (("stock", 200), ("tutorial", 4), ("postgres", 1000), ("http", 20)):
        parser.add_argument(f"--{way}", type=int, default=models, help=f"most models for {way}")
    parser.add_argument("--place", type=Path, help="where fleets are made; default: the folder for temporary files")
    parser.add_argument("--results", type=Path, default=RESULTS)
    chosen = parser.parse_args()
    sizes = sorted(int(size) for size in chosen.models.split(","))
    figures: dict[str, Any] = {"train.load_before": _rounded(os.getloadavg()[0])}
    with tempfile.TemporaryDirectory(prefix="datadriver-bench-", dir=chosen.place) as folder:
        for kind in chosen.kinds.split(","):
            estimator, _, per_asset = kind.partition("_")
            bench = Bench(Path(folder), estimator, int(per_asset), figures)
            measure(bench, sizes if kind == "ridge_1" else [min(max(sizes), 1000)], chosen)
    figures["train.load_after"] = _rounded(os.getloadavg()[0])
    found = headlines(figures)
    for key, value in found.items():
        print(f"{key:45}{value:10,.4g}")
    fresh = {"train": {}, "score": {}, "resume": {}}  # what an earlier run measured does not stand beside this one
    merge_results(chosen.results, {**fresh, **figures, **found})
    if chosen.results == RESULTS:
        write_page()


if __name__ == "__main__":
    main()
