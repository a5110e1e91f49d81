"""What 10,000 assets cost Airflow to read: a plan of datadriver beside a hand-written loop of the same operators.

The loop is the shortest that runs the same tasks: a DAG to train and one to score each asset, cron texts, three
retries; no data intervals, no spread, no documentation, no owner, no limits. It stands in as many files as the plan.
All is measured in one run, in processes of Airflow's own, on PostgreSQL:

- *build*: make the DAGs of a file and serialise them, a file of each in turn;
- *task parse*: get the one DAG that a task runs out of a file with many, beside a file that has no other;
- *processor*: `airflow dag-processor`, first with an empty database and then again on a plan that was built anew; what
  it takes without any DAG is taken off. `unchanged_versions` are the DAGs that had another digest after that.

    python benchmarks/dags.py                               everything, up to 10,000 assets
    python benchmarks/dags.py --assets 100 --processor 50   smaller
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "benchmarks"), str(ROOT / "tests" / "airflow")]

import sqlalchemy as sa  # noqa: E402 - after the path
from results import merge_results  # noqa: E402 - beside this file
from stack_settings import environment  # noqa: E402 - of the tests
from train_page import RESULTS, write_page  # noqa: E402 - beside this file
from train_servers import create_database, postgres  # noqa: E402 - beside this file

from datadriver.cli.new import render  # noqa: E402 - after the path

SCHEDULE = """
schedule:
  spread: 30min
  tags: [site]
  runtime: {runtime}
  docker: {{mounts: ["./.datadriver:/usecase/.datadriver"]}}
"""
OPERATORS = {"process": "process.ProcessOperator", "docker": "docker.FleetDockerOperator"}
LOOP = '''
"""Train and score every asset, by hand."""

import pendulum
from airflow.sdk import DAG
from datadriver.orchestration.airflow.{module} import {operator}
from datadriver.orchestration.plan import Header, TaskPlan

HEADER = Header("bare", "/srv/bare", runtime="{runtime}")
START = pendulum.datetime(2000, 1, 1)


def command(*arguments):
    task = TaskPlan(arguments[0], command=arguments)
    return {operator}(task_id=arguments[0], task=task, dag_plan=None, header=HEADER, retries=3)


for asset in {assets!r}:
    with DAG(f"bare__{{asset}}__score", schedule="@hourly", start_date=START, catchup=False, tags=["north"]) as dag:
        command("score", "--assets", asset)
    globals()[dag.dag_id] = dag
    with DAG(f"bare__{{asset}}__train", schedule="0 3 * * 0", start_date=START, catchup=False, tags=["north"]) as dag:
        command("validate", "--assets", asset) >> command("train", "--assets", asset)
    globals()[dag.dag_id] = dag
'''


@dataclass(frozen=True)
class Sides:
    """The two folders of DAGs, and what it took to plan one of them."""

    plan: Path
    loop: Path
    plan_s: float


def make_sides(folder: Path, assets: int, runtime: str) -> Sides:
    """Render a use case, plan its DAGs, and write the loop in as many files with as many DAGs each."""
    root = render("planned", problem="regression", ci="none", sample_data=True, folder=folder)
    names = [f"A-{number:05}" for number in range(assets)]
    (root / "fleet.csv").write_text("asset_id,site,type\n" + "".join(f"{name},north,large\n" for name in names))
    with (root / "usecase.yaml").open("a", encoding="utf-8") as file:
        file.write(SCHEDULE.format(runtime=runtime))
    began = time.perf_counter()
    build_plan(root)
    plan_s = time.perf_counter() - began
    module, _, operator = OPERATORS[runtime].partition(".")
    loop = folder / "loop"
    loop.mkdir()
    for plan in sorted((root / "dags" / "plan").glob("*_[0-9]*.jsonl")):
        own = [line.split('"')[3].split("__")[1] for line in plan.read_text("utf-8").splitlines()[1:]]
        text = LOOP.format(module=module, operator=operator, runtime=runtime, assets=sorted(set(own)))
        (loop / f"{plan.stem}.py").write_text(text.lstrip(), "utf-8")
    return Sides(root / "dags" / "plan", loop, plan_s)


def build_plan(root: Path) -> None:
    """Write the plan anew, all files of it."""
    shutil.rmtree(root / "dags" / "plan", ignore_errors=True)
    subprocess.run([sys.executable, "-m", "datadriver", "dags", "build", "-q"], cwd=root, check=True)


def read(home: Path, *arguments: str | Path) -> Any:
    """Run `dags_read.py` and return its answer."""
    command = [sys.executable, "-P", str(ROOT / "benchmarks" / "dags_read.py"), *map(str, arguments)]
    variables = {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
    }
    done = subprocess.run(command, env={**os.environ, **variables}, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def measure_build(folder: Path, assets: int, runtime: str) -> dict[str, float]:
    """Return what a DAG costs to build and serialise, and to find for a task."""
    sides = make_sides(folder, assets, runtime)
    ours, bare = read(folder / "home", "build", sides.plan, sides.loop)
    largest = max(sides.plan.glob("*_[0-9]*.jsonl"), key=lambda path: path.stat().st_size)
    (folder / "one").mkdir()
    many_ms, one_ms = read(folder / "home", "task", largest.with_suffix(".py"), folder / "one")
    per_dag = [1000 * side["cpu_s"] / side["dags"] for side in (ours, bare)]
    return {
        "dags": ours["dags"],
        "plan_s": round(sides.plan_s, 2),
        "ms_per_dag": round(per_dag[0], 3),
        "bare_ms_per_dag": round(per_dag[1], 3),
        "wall_ms_per_dag": round(1000 * ours["s"] / ours["dags"], 3),
        "bare_wall_ms_per_dag": round(1000 * bare["s"] / bare["dags"], 3),
        "ratio_to_bare": round(per_dag[0] / per_dag[1], 2),
        "task_parse_ms": round(many_ms, 2),
        "one_dag_parse_ms": round(one_ms, 2),
        "task_parse_ratio": round(many_ms / one_ms, 2),
    }


@dataclass(frozen=True)
class Processor:
    """Airflow's DAG processor on a database of its own."""

    home: Path
    database: str

    def run(self, folder: Path, *command: str) -> tuple[float, float]:
        """Let it read a folder once; return seconds and processor seconds, PostgreSQL's not among them."""
        variables = environment(
            self.home, database=self.database, folders={"read": folder}, address="", mark="0" * 32, settings={}
        )
        line = [sys.executable, "-P", "-m", "airflow", *(command or ("dag-processor", "--num-runs", "1"))]
        began = time.perf_counter()
        with (self.home / "log").open("ab") as log:
            process = subprocess.Popen(line, env=variables, stdout=log, stderr=log)
            _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(f"{line} failed: {(self.home / 'log').read_text()[-2000:]}")
        return time.perf_counter() - began, used.ru_utime + used.ru_stime

    def digests(self) -> dict[str, tuple[str, int]]:
        """Return the newest digest and version of each DAG."""
        engine = sa.create_engine(self.database.replace("://", "+psycopg://"))
        query = (
            "SELECT s.dag_id, s.dag_hash, v.version_number FROM serialized_dag s "
            "JOIN dag_version v ON v.id = s.dag_version_id ORDER BY v.version_number"
        )
        with engine.connect() as connection:
            found = {name: (digest, version) for name, digest, version in connection.exec_driver_sql(query)}
        engine.dispose()
        return found


def measure_processor(folder: Path, assets: int, server: str) -> dict[str, float]:
    """Return what two passes of the DAG processor take, and how many DAGs the second one finds changed."""
    sides = make_sides(folder, assets, "process")
    passes: dict[str, list[tuple[float, float]]] = {}
    sizes, changed = [], 0
    tables = Processor(folder / "home", f"{server}/tables")
    tables.home.mkdir()
    create_database(server, "tables")
    tables.run(folder, "db", "migrate")
    for name in ("nothing", "plan", "loop"):
        create_database(server, name, template="tables")
        (folder / "nothing").mkdir(exist_ok=True)
    for number in range(2):
        for name, place in (("nothing", folder / "nothing"), ("plan", sides.plan), ("loop", sides.loop)):
            processor = Processor(tables.home, f"{server}/{name}")
            before = processor.digests()
            passes.setdefault(name, []).append(processor.run(place))
            after = processor.digests()
            if name != "nothing":
                sizes.append(len(after))
            if name == "plan" and number:
                changed = sum(before[dag] != after[dag] for dag in after)
        if not number:
            build_plan(sides.plan.parents[1])
    nothing = [min(took) for took in zip(*passes["nothing"], strict=True)]
    net = {
        name: [[one - base for one, base in zip(took, nothing, strict=True)] for took in passes[name]]
        for name in passes
    }
    figures: dict[str, float] = {
        "assets": assets,
        "dags": sizes[0],
        "loop_dags": sizes[1],
        "unchanged_versions": changed,
    }
    for number, which in enumerate(("first", "unchanged")):
        for name in ("plan", "loop"):
            figures[f"{name}_{which}_s"] = round(net[name][number][0], 1)
            figures[f"{name}_{which}_cpu_s"] = round(net[name][number][1], 1)
    figures["wall_ratio_to_bare"] = _ratio(net, sizes, 0)
    figures["ratio_to_bare"] = _ratio(net, sizes, 1)
    return figures


def _ratio(net: Mapping[str, Sequence[Sequence[float]]], sizes: Sequence[int], which: int) -> float:
    """Return ours to theirs per DAG, both passes together."""
    plan, loop = (sum(took[which] for took in net[name]) for name in ("plan", "loop"))
    return round((plan / sizes[0]) / (loop / sizes[1]), 2)


def main() -> None:
    """Measure, and put the figures into the file of results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--assets", default="1000,10000", help="sizes of fleets to build and serialise; may be empty")
    parser.add_argument("--processor", type=int, default=1000, help="assets that the DAG processor reads; 0 for none")
    parser.add_argument("--out", type=Path, default=RESULTS)
    chosen = parser.parse_args()
    sizes = [int(size) for size in chosen.assets.split(",") if size]
    found: dict[str, Any] = {"dags.load": round(os.getloadavg()[0], 1)}
    for runtime in OPERATORS:
        for assets in sizes:
            with tempfile.TemporaryDirectory() as place:
                found[f"dags.{runtime}.{assets}"] = figures = measure_build(Path(place), assets, runtime)
            print(runtime, assets, json.dumps(figures), flush=True)
    for key in ("ms_per_dag", "ratio_to_bare", "task_parse_ratio") if sizes else ():
        found[f"dags.{key}"] = max(found[f"dags.{runtime}.{max(sizes)}"][key] for runtime in OPERATORS)
    if chosen.processor:
        with tempfile.TemporaryDirectory() as place, postgres() as server:
            found["dags.processor"] = figures = measure_processor(Path(place), chosen.processor, server)
        print("processor", json.dumps(figures))
        found["dags.processor_ratio_to_bare"] = figures["ratio_to_bare"]
        found["dags.unchanged_versions"] = figures["unchanged_versions"]
    merge_results(chosen.out, found)
    if chosen.out == RESULTS:
        write_page()


if __name__ == "__main__":
    main()
