"""Make a fleet: `python -m pumps.simulate --assets 50 --days 120 --seed 7 --out data`.

Writes `fleet.csv`, `sensors/*.parquet`, `failures.csv` and `maintenance.csv`. What was really wrong stands in
`truth/`, for benchmarks; the use case never reads it. Pump number 7 is the same in a fleet of 10 and of 10,000.
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import numpy as np
from datadriver.config.values import parse_duration

from pumps.simulator import dirt, faults, operation, physics, tables
from pumps.simulator.historian import file_stem, write_export
from pumps.simulator.plates import Plate, make_plate

FLEET = ("asset_id", "country", "site", "type", "depth_m", "installed_on", "rated_kw", "rated_flow")


@dataclass(frozen=True)
class Settings:
    """What to simulate; `kinds` plants these kinds of dirt in every pump instead of drawing them."""

    days: float = 120
    resolution_s: float = 600
    seed: int = 7
    start: datetime = datetime(2025, 1, 1)
    kinds: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Pump:
    """One simulated pump: its plate, its export, and the rows that people wrote about it."""

    plate: Plate
    export: dirt.Export
    faults: tuple[faults.Fault, ...]
    planted: tuple[dirt.Planted, ...]
    failures: list[tables.Row] = field(default_factory=list)
    visits: list[tables.Row] = field(default_factory=list)


def simulate_pump(index: int, settings: Settings) -> Pump:
    """Simulate pump number `index`: each step draws from a generator of its own, seeded by pump and step."""
    steps = [np.random.default_rng([settings.seed, index, step]) for step in range(6)]
    plate = make_plate(index, steps[0], today=settings.start.date())
    days = np.arange(0, settings.days, settings.resolution_s / 86_400)
    ends = faults.draw_faults(steps[1], settings.days)
    grown = faults.severity(ends, days)
    stopped = operation.trips(steps[2], days * 24) | faults.under_repair(ends, days)
    hertz = operation.speed(steps[2], days * 24)
    values = physics.sensors(plate, steps[3], days=days, hertz=hertz, running=~stopped, faults=grown)
    stamps = np.datetime64(settings.start, "us") + (days * 86_400_000_000).round().astype("timedelta64[us]")
    export = dirt.Export(stamps, values)
    kinds = dirt.draw_kinds(steps[4]) if settings.kinds is None else settings.kinds
    planted = dirt.plant(steps[4], export, kinds)
    start, length = settings.start, settings.days
    motor = dict(zip(days.astype(int).tolist(), grown["motor"].tolist(), strict=True))
    return Pump(
        plate,
        export,
        ends,
        planted,
        tables.failure_rows(steps[5], plate.asset_id, ends, start=start, days=length),
        tables.visit_rows(steps[5], plate.asset_id, ends, motor, start=start, days=length),
    )


def write_pump(index: int, settings: Settings, folder: Path) -> dict[str, list[tables.Row]]:
    """Simulate one pump, write its export and return its rows of the fleet's tables."""
    pump = simulate_pump(index, settings)
    write_export(pump.export, folder / "sensors" / f"{file_stem(pump.plate.asset_id)}.parquet")
    plate = asdict(pump.plate)
    start = settings.start
    return {
        "fleet": [{name: plate[name] for name in FLEET}],
        "failures": pump.failures,
        "maintenance": pump.visits,
        "truth/faults": [
            {
                "asset_id": pump.plate.asset_id,
                "kind": fault.kind,
                "onset": start + timedelta(days=fault.onset),
                "failure": start + timedelta(days=fault.failure),
            }
            for fault in pump.faults
        ],
        "truth/dirt": [{"asset_id": pump.plate.asset_id, **asdict(planted)} for planted in pump.planted],
    }


def make_fleet(assets: int, settings: Settings, folder: Path, *, workers: int = 1) -> None:
    """Write a fleet of `assets` pumps to `folder`; memory does not grow with the readings."""
    for name in ("sensors", "truth"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    make = partial(write_pump, settings=settings, folder=folder)
    if workers == 1:
        _write_tables(map(make, range(assets)), folder)
        return
    with ProcessPoolExecutor(workers) as pool:
        _write_tables(pool.map(make, range(assets), chunksize=8), folder)


def _write_tables(parts: Iterable[dict[str, list[tables.Row]]], folder: Path) -> None:
    written: dict[str, list[tables.Row]] = {}
    for part in parts:
        for name, rows in part.items():
            written.setdefault(name, []).extend(rows)
    for name, rows in written.items():
        with (folder / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, HEADERS[name])
            writer.writeheader()
            writer.writerows(rows)


HEADERS = {
    "fleet": FLEET,
    "failures": ("asset_id", "failed_at", "reported_at", "cause"),
    "maintenance": ("pump", "done_on", "entered_on", "work", "insulation_megohm"),
    "truth/faults": ("asset_id", "kind", "onset", "failure"),
    "truth/dirt": ("asset_id", "kind", "tag", "start", "end"),
}


def main(arguments: list[str] | None = None) -> None:
    """Read the command line and make the fleet."""
    parser = argparse.ArgumentParser(prog="python -m pumps.simulate", description=__doc__)
    parser.add_argument("--assets", type=int, default=50, help="number of pumps (default 50)")
    parser.add_argument("--days", type=float, default=120, help="length of the history (default 120)")
    parser.add_argument("--resolution", default="10min", help="time between readings (default 10min)")
    parser.add_argument("--seed", type=int, default=7, help="another seed, another fleet (default 7)")
    parser.add_argument("--start", default="2025-01-01", help="first reading, UTC (default 2025-01-01)")
    parser.add_argument("--out", type=Path, default=Path("data"), help="folder to write to (default data)")
    parser.add_argument("--clean", action="store_true", help="plant no dirt")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes (default: all cores)")
    chosen = parser.parse_args(arguments)
    settings = Settings(
        days=chosen.days,
        resolution_s=parse_duration(chosen.resolution).total_seconds(),
        seed=chosen.seed,
        start=datetime.fromisoformat(chosen.start),
        kinds=() if chosen.clean else None,
    )
    make_fleet(chosen.assets, settings, chosen.out, workers=min(chosen.workers, chosen.assets))
    sys.stdout.write(f"{chosen.assets} pumps, {chosen.days:g} days, in {chosen.out}\n")


if __name__ == "__main__":
    main()
