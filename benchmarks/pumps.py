"""The pump example with thousands of pumps, from its simulation to its report, step by step.

Each step is the command that anyone would type, timed from its start to its end: simulate, validate, train, promote,
score, monitor, report, and then what `train --plan` and `status` take. A pump has two models of its own; the pumps of a
type share two more: 5,000 pumps are 10,006 models, need 10 GB of memory (for the models that a type shares: each worker
holds the rows of a third of all pumps) and 10 GB of disk, and take about half an hour on two cores.

    python benchmarks/pumps.py --assets 500
    python benchmarks/pumps.py --root DIR --only train,promote,score    go on with a fleet that --keep left
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from results import merge_results
from train_page import RESULTS, write_page
from train_watch import Watched, disk_bytes, watch

EXAMPLE = Path(__file__).parents[1] / "examples" / "pumps"
UNTIL = "2025-05-01"
PER_PUMP = 2
SOME_FAILED = 6
"""Exit code where some assets failed, which dirty data make sure of."""

STEPS: Mapping[str, tuple[str, ...]] = {
    "validate": ("validate", "--end", UNTIL),
    "train": ("train", "--until", UNTIL),
    "promote": ("promote",),
    "score": ("score", "--end", UNTIL),
    "monitor": ("monitor", "--until", UNTIL),
    "report": ("report",),
    "plan": ("train", "--plan", "--until", UNTIL),
    "status": ("status",),
}


def prepare(place: Path) -> Path:
    """Copy the example without what it made, and return where it is."""
    root = place / "pumps"
    shutil.copytree(EXAMPLE, root, ignore=shutil.ignore_patterns("data", ".datadriver", "__pycache__"))
    return root


def simulate(root: Path, assets: int) -> Watched:
    """Make the data of so many pumps."""
    command = [sys.executable, "-m", "pumps.simulate", "--assets", str(assets), "--out", "data"]
    return watch(command, folder=root, environment={"PYTHONPATH": _with(root / "src")})


def step(root: Path, name: str, workers: int | None) -> Watched:
    """Run one command on the fleet."""
    many = ["--workers", str(workers)] if workers and name not in {"promote", "plan", "status"} else []
    command = [sys.executable, "-m", "datadriver", *STEPS[name], "--json", *many]
    return watch(command, folder=root, allowed=(0, SOME_FAILED))


def _with(folder: Path) -> str:
    return os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")]))


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")


def main() -> None:
    """Measure step by step; the results file has each figure as soon as there is one."""
    names = ("simulate", *STEPS)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--assets", type=int, default=5000, help="pumps; each has two models")
    parser.add_argument("--workers", type=int, help="processes; default: one per core")
    parser.add_argument("--only", default=",".join(names), help="steps, separated by commas")
    parser.add_argument("--place", type=Path, help="where the fleet is made; default: the folder for temporary files")
    parser.add_argument("--root", type=Path, help="a fleet that an earlier run kept")
    parser.add_argument("--keep", action="store_true", help="do not remove the fleet in the end")
    parser.add_argument("--results", type=Path, default=RESULTS)
    chosen = parser.parse_args()
    wanted = [name for name in names if name in chosen.only.split(",")]
    place = None if chosen.root else Path(tempfile.mkdtemp(prefix="datadriver-pumps-", dir=chosen.place))
    try:
        root = prepare(place) if place is not None else chosen.root
        print(f"the fleet is in {root}", flush=True)
        for name in wanted:
            _measure(root, name, chosen)
    finally:
        if place is not None and not chosen.keep:
            shutil.rmtree(place, ignore_errors=True)
    if chosen.results == RESULTS:
        write_page()


def _measure(root: Path, name: str, chosen: argparse.Namespace) -> None:
    """Do one step and put its figures into the results."""
    load = os.getloadavg()[0]
    cost = simulate(root, chosen.assets) if name == "simulate" else step(root, name, chosen.workers)
    (root / f"{name}.json").write_text(cost.output)
    models = PER_PUMP * chosen.assets
    key = f"pumps_{models // 1000}k" if models % 1000 == 0 else f"pumps_{models}"
    figures = {f"{name}_s": cost.seconds, f"{name}_cpu_s": cost.cpu, f"{name}_mb": cost.peak_mb, f"{name}_load": load}
    figures["disk_mb"] = disk_bytes(root / ".datadriver") / 1e6
    found = {f"{key}.{figure}": _rounded(value) for figure, value in figures.items()}
    merge_results(chosen.results, {f"{key}.pumps": chosen.assets, **found})
    ours = json.loads(chosen.results.read_text())[key]
    merge_results(chosen.results, {f"{key}.peak_mb": max(ours.get(f"{one}_mb", 0) for one in STEPS)})
    print(
        f"{name:12}{cost.seconds:9.1f} s{1000 * cost.seconds / models:9.2f} ms a model"
        f"{1000 * cost.cpu / models:9.2f} ms cpu{cost.peak_mb:8.0f} MB",
        flush=True,
    )


if __name__ == "__main__":
    main()
