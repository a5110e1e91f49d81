"""How much of the dirt that the simulator plants the contract of examples/pumps catches, and how often it is wrong.

On the same seeded pumps one kind of dirt is planted at a time; the same pumps without dirt are the controls. Recall is
the share of dirty pumps on which a check meant for that kind breaches; the false-alarm rate is the share of clean
pumps on which one of those checks breaches. Faults, trips and repairs are left in: a failing pump is not dirt.

    python benchmarks/dirt.py --assets 60 --days 120
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from datadriver.config.load import load_usecase
from datadriver.config.resolve import resolve
from datadriver.data.assets import load_assets
from datadriver.data.contract.verdict import judge
from datadriver.data.read import read_frame
from datadriver.data.window import Window

ROOT = Path(__file__).parents[1]
PUMPS = ROOT / "examples" / "pumps"
sys.path[:0] = [str(PUMPS / "src"), str(ROOT / "benchmarks")]

from pumps.simulate import Settings, make_fleet  # noqa: E402 - the use case is not installed
from pumps.simulator.dirt import SHARES  # noqa: E402
from results import merge_results  # noqa: E402 - beside this file

FROZEN = "expect_column_values_to_not_be_frozen"
BETWEEN = "expect_column_values_to_be_between"
CHECKS: Mapping[str, tuple[str, ...]] = {
    "frozen": (FROZEN,),
    "swapped": ("expect_column_pair_values_a_to_be_greater_than_b", FROZEN, BETWEEN),
    "unit": ("out_of_range", BETWEEN, "expect_column_pair_values_a_to_be_greater_than_b"),
    "text": ("unexpected_text", "listed_null"),
    "clock_step": ("backward_jump", "unsorted"),
    "gap": ("expect_column_gaps_to_be_at_most",),
    "late": ("expect_data_to_be_fresh",),
    "duplicate": ("duplicate",),
    "unsorted": ("unsorted", "backward_jump"),
}
"""Which checks are meant for a kind of dirt: expectations by type, read issues by their kind."""


def breaches(asset_id: str, root: Path, end: pd.Timestamp) -> frozenset[str]:
    """Return the checks that breach on one pump; read issues by their kind."""
    usecase = load_usecase(root)
    asset = next(asset for asset in load_assets(usecase, root) if asset.id == asset_id)
    own = resolve(usecase, asset)
    sensor = read_frame(own, asset, Window(None, end), root)
    verdict = judge(sensor, own.contract, "train", root)
    suite = json.loads((root / "contracts" / "sensors.json").read_text())["expectations"]
    return frozenset(
        item["kwargs"].get("kind", item["type"])
        for item, check in zip(suite, verdict.checks, strict=True)
        if not check.success
    )


def judge_fleet(root: Path, settings: Settings, assets: int, *, workers: int) -> list[frozenset[str]]:
    """Make a fleet in the use case `root` and return what breaches on each of its pumps."""
    shutil.rmtree(root / "data", ignore_errors=True)
    make_fleet(assets, settings, root / "data", workers=workers)
    ids = list(pd.read_csv(root / "data" / "fleet.csv", dtype=str)["asset_id"])
    end = pd.Timestamp(settings.start, tz="UTC") + timedelta(days=settings.days)
    with ProcessPoolExecutor(workers) as pool:
        return list(pool.map(partial(breaches, root=root, end=end), ids, chunksize=4))


def measure(assets: int, days: float, seed: int, workers: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the figures of each kind of dirt, and of the clean controls last."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "pumps"
        shutil.copytree(PUMPS, root, ignore=shutil.ignore_patterns("data", ".datadriver"))
        fleet = partial(judge_fleet, root, assets=assets, workers=workers)
        clean = fleet(Settings(days=days, seed=seed, kinds=()))
        for kind in SHARES:
            dirty = fleet(Settings(days=days, seed=seed, kinds=(kind,)))
            yield kind, _figures(CHECKS[kind], clean, dirty, planted_hours(root))
        yield "all", {"false_alarm_rate": _share([bool(found) for found in clean]), "pumps": assets, "days": days}


def planted_hours(root: Path) -> list[float]:
    """Return how long the dirt of each pump lasts, in the order of the fleet."""
    truth = pd.read_csv(root / "data" / "truth" / "dirt.csv", parse_dates=["start", "end"])
    return list((truth["end"] - truth["start"]) / pd.Timedelta(hours=1))


def _figures(
    meant: tuple[str, ...], clean: list[frozenset[str]], dirty: list[frozenset[str]], hours: list[float]
) -> dict[str, Any]:
    missed = [length for found, length in zip(dirty, hours, strict=True) if found.isdisjoint(meant)]
    named = Counter(check for found in dirty for check in found.intersection(meant))
    return {
        "recall": _share([not found.isdisjoint(meant) for found in dirty]),
        "false_alarm_rate": _share([not found.isdisjoint(meant) for found in clean]),
        "longest_missed_h": round(max(missed), 1) if missed else None,
        "caught_by": [check for check, _ in named.most_common(2)],
    }


def _share(flags: list[bool]) -> float:
    return round(sum(flags) / len(flags), 4)


def _line(kind: str, figures: Mapping[str, Any]) -> str:
    recall = f"{figures['recall']:.1%}" if "recall" in figures else ""
    missed = figures.get("longest_missed_h")
    length = "" if missed is None else f"missed up to {missed} h"
    return (
        f"{kind:11}{recall:>7}{figures['false_alarm_rate']:7.1%}  {length:22}{', '.join(figures.get('caught_by', ()))}"
    )


def main() -> None:
    """Measure, print a table and merge the figures into the results file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--assets", type=int, default=60)
    parser.add_argument("--days", type=float, default=120)
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--results", type=Path, default=ROOT / "benchmarks" / "results.json")
    chosen = parser.parse_args()
    began, dirt = time.perf_counter(), {}
    for kind, figures in measure(chosen.assets, chosen.days, chosen.seed, chosen.workers):
        dirt[kind] = figures
        print(_line(kind, figures), flush=True)
    merge_results(chosen.results, {"contract.dirt": dirt})
    print(f"{chosen.assets} pumps x {len(SHARES) + 1} fleets in {time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
