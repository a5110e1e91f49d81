"""The pump example with thousands of pumps, from its simulation to its report, step by step.

Each step is the command that anyone would type, timed from its start to its end: simulate, validate, train, promote,
score, monitor, report, and what a second `train` and `status` take then. A pump has two models of its own; the pumps
of a type share two more: 5,000 pumps are 10,000 models. They need 20 GB of disk while it lasts.

    python benchmarks/pumps.py --assets 500
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
from train_page import RESULTS
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
    "train_again": ("train", "--until", UNTIL),
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
    many = ["--workers", str(workers)] if workers and name not in {"promote", "status"} else []
    command = [sys.executable, "-m", "datadriver", *STEPS[name], "--json", *many]
    return watch(command, folder=root, allowed=(0, SOME_FAILED))


def _with(folder: Path) -> str:
    return os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")]))


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")


def main() -> None:
    """Measure step by step; the results file has each figure as soon as there is one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--assets", type=int, default=5000, help="pumps; each has two models")
    parser.add_argument("--workers", type=int, help="processes; default: one per core")
    parser.add_argument("--place", type=Path, help="where the fleet is made; default: the folder for temporary files")
    parser.add_argument("--keep", action="store_true", help="do not remove the fleet in the end")
    parser.add_argument("--results", type=Path, default=RESULTS)
    chosen = parser.parse_args()
    models = PER_PUMP * chosen.assets
    key = f"pumps_{models // 1000}k" if models % 1000 == 0 else f"pumps_{models}"
    place = Path(tempfile.mkdtemp(prefix="datadriver-pumps-", dir=chosen.place))
    try:
        root, peak = prepare(place), 0.0
        merge_results(chosen.results, {key: {"pumps": chosen.assets, "load_before": _rounded(os.getloadavg()[0])}})
        for name in ("simulate", *STEPS):
            cost = simulate(root, chosen.assets) if name == "simulate" else step(root, name, chosen.workers)
            peak = max(peak, cost.peak_mb) if name != "simulate" else peak
            figures = {
                f"{name}_s": cost.seconds,
                f"{name}_cpu_s": cost.cpu,
                f"{name}_mb": cost.peak_mb,
                "peak_mb": peak,
            }
            figures["disk_mb"] = disk_bytes(root / ".datadriver") / 1e6
            merge_results(chosen.results, {f"{key}.{found}": _rounded(value) for found, value in figures.items()})
            print(
                f"{name:12}{cost.seconds:9.1f} s{1000 * cost.seconds / models:9.2f} ms a model"
                f"{1000 * cost.cpu / models:9.2f} ms cpu{cost.peak_mb:8.0f} MB",
                flush=True,
            )
            _keep_output(root, name, cost)
    finally:
        if not chosen.keep:
            shutil.rmtree(place, ignore_errors=True)


def _keep_output(root: Path, name: str, cost: Watched) -> None:
    (root / f"{name}.json").write_text(cost.output or json.dumps(None))


if __name__ == "__main__":
    main()
