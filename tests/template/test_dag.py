"""The DAGs of a new use case: planned by the command line, read by real Airflow."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

READ = """
import json, sys
from airflow.dag_processing.dagbag import DagBag

bag = DagBag(dag_folder=sys.argv[1], bundle_path=sys.argv[1], bundle_name="dags")
dags = {
    dag.dag_id: [dag.relative_fileloc, sorted(f"{task.task_id}: {type(task).__name__}" for task in dag.tasks)]
    for dag in bag.dags.values()
}
folders = sorted({task.header.folder for dag in bag.dags.values() for task in dag.tasks})
print(json.dumps([bag.import_errors, dags, folders]))
"""


def airflow_reads(folder: Path, home: Path) -> tuple[dict[str, str], dict[str, tuple[str, list[str]]], list[str]]:
    """Return import errors, file and tasks of each DAG, and the folders that commands run in."""
    done = subprocess.run(
        [sys.executable, "-c", READ, str(folder)],
        env={**os.environ, "AIRFLOW_HOME": str(home), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    errors, dags, folders = json.loads(done.stdout.splitlines()[-1])
    return errors, dags, folders


def test_airflow_reads_a_dag_per_machine_of_a_new_use_case(copied, tmp_path: Path) -> None:
    folder = copied("regression")
    name = folder.name
    command = [sys.executable, "-m", "datadriver", "dags", "build", "--project", str(folder)]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    errors, dags, folders = airflow_reads(folder / "dags", tmp_path)
    assert errors == {}
    assets = [line.split(",")[0] for line in (folder / "fleet.csv").read_text("utf-8").splitlines()[1:]]
    assert {dag for dag in dags if dag.endswith(("__train", "__score"))} == {
        f"{name}__{asset}__{kind}" for asset in assets for kind in ("train", "score")
    }
    assert set(dags) >= {f"{name}__release", f"{name}__monitor"}
    assert dags[f"{name}__{assets[0]}__train"][1] == ["train: ProcessOperator", "validate: ProcessOperator"]
    assert all(file.startswith("plan/") for file, _ in dags.values()), "beside the use case's own loader is no plan"
    assert folders == [str(folder)]


def test_the_loader_is_short(rendered) -> None:
    folder = rendered("regression")
    assert len((folder / "dags" / f"{folder.name}.py").read_text("utf-8").splitlines()) <= 15
