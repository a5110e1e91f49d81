"""What Airflow adds to scoring: a DAG an asset, from one event to the last score, beside as many tasks that do nothing.

Both on the same stack in one run: Airflow 3 with its LocalExecutor on PostgreSQL, one slot a core. An event of an
Airflow asset starts every DAG at once. The model's own work is the command of a task, run by itself on other assets;
what is to be expected is the time of the tasks that do nothing and that work divided by the slots.

    python benchmarks/airflow.py --assets 100
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "benchmarks"), str(ROOT / "tests" / "airflow")]

from results import merge_results  # noqa: E402 - beside this file
from stack import Stack, migrate, recover_quickly  # noqa: E402 - of the tests
from train_page import RESULTS, write_page  # noqa: E402 - beside this file
from train_servers import Missing, create_database, postgres  # noqa: E402 - beside this file

from datadriver.cli.new import render  # noqa: E402 - after the path

SLOTS = os.cpu_count() or 1
ALONE = 5
"""Commands that are run by themselves."""
SCHEDULE = """
ledger: {uri: "${BENCHED_LEDGER}"}
tracking: {plots: false}
scores: {window: 1d}
schedule: {train: null, release: null, monitor: null, score: {on: readings}}
"""
NO_OPS = '''
"""As many DAGs, each with a task that does nothing."""
from airflow.sdk import DAG, Asset, BaseOperator

class Nothing(BaseOperator):
    def execute(self, context):
        return None

for number in range({number}):
    with DAG(f"nothing__{{number:04}}", schedule=[Asset("nothing")]) as dag:
        Nothing(task_id="nothing")
    globals()[dag.dag_id] = dag
'''


@dataclass(frozen=True)
class Benched:
    """A use case whose assets have champions, and its variables."""

    root: Path
    variables: Mapping[str, str]

    def run(self, *arguments: str) -> float:
        """Run a command and return its seconds."""
        started = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "datadriver", *arguments, "-q"],
            cwd=self.root,
            env={**os.environ, **self.variables},
            check=True,
            stdout=subprocess.DEVNULL,
        )
        return time.perf_counter() - started


def make_use_case(folder: Path, assets: int, ledger: str) -> Benched:
    """Render a use case, train it and promote."""
    root = render("benched", problem="regression", ci="none", sample_data=True, folder=folder)
    names = [f"A-{number:04}" for number in range(assets + ALONE)]
    (root / "fleet.csv").write_text("asset_id,site,type\n" + "".join(f"{name},north,large\n" for name in names))
    with (root / "usecase.yaml").open("a", encoding="utf-8") as file:
        file.write(SCHEDULE)
    case = Benched(root, {"BENCHED_LEDGER": ledger})
    case.run("train")
    case.run("promote")
    return case


def end_to_end(stack: Stack, event: str, prefix: str, number: int) -> float:
    """Return the seconds from an event to the end of the last run that it starts."""
    [asset] = [one["id"] for one in stack.call("GET", "assets?limit=100")["assets"] if one["name"] == event]
    began = time.time()
    stack.call("POST", "assets/events", {"asset_id": asset})
    stack.until(lambda: len(stack.runs(f"{prefix}%")) >= number, f"runs of {prefix} are made", 300)
    ended = stack.wait([(one.dag_id, one.run_id) for one in stack.runs(f"{prefix}%")], seconds=3600)
    if set(ended.values()) != {"success"}:
        raise SystemExit(f"{prefix}: {[run for run, state in ended.items() if state != 'success'][:5]} failed")
    return max(one.finished.timestamp() for one in stack.runs(f"{prefix}%") if one.finished) - began


def measure(folder: Path, server: str, assets: int) -> dict[str, float]:
    """Run both on one stack."""
    migrate(create_database(server, "airflow_tables"), folder / "tables")
    airflow = create_database(server, "airflow", template="airflow_tables")
    recover_quickly(airflow)
    case = make_use_case(folder, assets, f"{server}/ledger")
    case.run("dags", "build")
    nothing = folder / "nothing"
    nothing.mkdir()
    (nothing / "nothing.py").write_text(NO_OPS.format(number=assets))
    own = median(case.run("score", "--assets", f"A-{assets + number:04}") for number in range(ALONE))
    folders = {"benched": case.root / "dags", "nothing": nothing}
    settings = {"CORE__PARALLELISM": str(SLOTS)}
    dags = [f"nothing__{number:04}" for number in range(assets)]
    dags += [f"benched__A-{number:04}__score" for number in range(assets)]
    with Stack(folder / "home", airflow, folders, settings=settings, variables=case.variables) as stack:
        stack.wait_for_dags(dags, seconds=300)
        for number in range(assets, assets + ALONE):
            stack.pause(f"benched__A-{number:04}__score")
        no_op = end_to_end(stack, "nothing", "nothing__", assets)
        scoring = end_to_end(stack, "readings", "benched__", assets)
    expected = no_op + assets * own / SLOTS
    return {
        "assets": assets,
        "slots": SLOTS,
        "noop_seconds_per_asset": round(no_op / assets, 2),
        "own_seconds": round(own, 2),
        "e2e_seconds_per_asset": round(scoring / assets, 2),
        "e2e_ratio_to_noop": round(scoring / expected, 2),
        "assets_per_hour": round(3600 * assets / scoring),
    }


def main() -> None:
    """Measure, print and record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--assets", type=int, default=100)
    parser.add_argument("--results", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    load = round(os.getloadavg()[0], 1)
    try:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, postgres() as server:
            figures = measure(Path(folder), server, arguments.assets) | {"load": load}
    except Missing as reason:
        print(f"not measured: {reason}")
        return
    for name, value in figures.items():
        print(f"airflow.{name}: {value}")
    merge_results(arguments.results, {f"airflow.{name}": value for name, value in figures.items()})
    if arguments.results == RESULTS:
        write_page()


if __name__ == "__main__":
    main()
