"""Reads files of DAGs as Airflow's processes do, in a process of its own, and says how long it took.

python -P benchmarks/dags_read.py build FOLDER FOLDER      build and serialise, one file of each folder in turn
python -P benchmarks/dags_read.py task FILE FOLDER         the DAG of a task, in a file with many and alone
"""

from __future__ import annotations

import gc
import json
import os
import random
import sys
import time
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from statistics import median
from typing import Any

from airflow.dag_processing.dagbag import BundleDagBag
from airflow.sdk import DAG
from airflow.serialization.serialized_objects import DagSerialization

DAGS, TRIES = 40, 10
CONTEXT = "_AIRFLOW_PARSING_CONTEXT_DAG_ID"


def build(file: Path) -> int:
    """Build the DAGs of a file, serialise them and return their number."""
    loader = SourceFileLoader(f"read_{file.stem}", str(file))
    spec = spec_from_loader(loader.name, loader)
    assert spec is not None
    module = module_from_spec(spec)
    loader.exec_module(module)
    dags = [value for value in vars(module).values() if isinstance(value, DAG)]
    return len([DagSerialization.to_dict(dag) for dag in dags])


def build_all(folders: list[Path]) -> list[dict[str, float]]:
    """Return DAGs, seconds and processor seconds of each folder; what is imported is not counted."""
    files = [sorted(folder.glob("*_[0-9]*.py")) for folder in folders]
    for first, *_ in files:
        build(first)
    found = [{"dags": 0.0, "s": 0.0, "cpu_s": 0.0} for _ in folders]
    for group in zip(*files, strict=True):
        for sums, file in zip(found, group, strict=True):
            gc.collect()
            began, cpu = time.perf_counter(), time.process_time()
            sums["dags"] += build(file)
            sums["s"] += time.perf_counter() - began
            sums["cpu_s"] += time.process_time() - cpu
    return found


def dag_ids(plan: Path) -> list[str]:
    """Return the ids of a plan's file, whose first line is about the whole file."""
    return [json.loads(line)["dag_id"] for line in plan.read_text("utf-8").splitlines()[1:]]


def task_parse(many: Path, folder: Path) -> list[float]:
    """Return the ms to get the DAG of a task out of a file, and out of one that has no other.

    Of several tries the fastest, the median of DAGs from all over the file.
    """
    taken: list[list[float]] = [[], []]
    names = dag_ids(many.with_suffix(".jsonl"))
    for name in random.Random(1).sample(names, min(DAGS, len(names))):
        os.environ[CONTEXT] = name
        files = (many, one_dag(many, name, folder))
        fastest = [float("inf")] * 2
        for _ in range(TRIES):
            for which, file in enumerate(files):
                began = time.perf_counter()
                bag = BundleDagBag(dag_folder=file, bundle_path=file.parent, bundle_name="plan")
                fastest[which] = min(fastest[which], time.perf_counter() - began)
                assert list(bag.dags) == [name]
        for times, one in zip(taken, fastest, strict=True):
            times.append(1000 * one)
    return [median(times) for times in taken]


def one_dag(many: Path, name: str, folder: Path) -> Path:
    """Write the plan of one DAG, with its loader."""
    header, *lines = many.with_suffix(".jsonl").read_text("utf-8").splitlines()
    own = next(line for line in lines if json.loads(line)["dag_id"] == name)
    file = folder / f"{name}.py"
    file.write_text(many.read_text("utf-8"), "utf-8")
    file.with_suffix(".jsonl").write_text(f"{header}\n{own}\n", "utf-8")
    return file


if __name__ == "__main__":
    places = [Path(name) for name in sys.argv[2:]]
    answer: Any = build_all(places) if sys.argv[1] == "build" else task_parse(*places)
    print(json.dumps(answer))
