"""The DAG of a new use case, read by real Airflow."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

READ = """
import json, runpy, sys
from airflow.sdk import DAG

dags = [value for value in runpy.run_path(sys.argv[1]).values() if isinstance(value, DAG)]
print(json.dumps([[dag.dag_id, dag.catchup, [[task.bash_command, task.cwd] for task in dag.tasks]] for dag in dags]))
"""


def test_airflow_reads_the_dag_of_a_new_use_case(copied, tmp_path: Path) -> None:
    folder = copied("regression")
    environment = {**os.environ, "AIRFLOW_HOME": str(tmp_path), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
    done = subprocess.run(
        [sys.executable, "-c", READ, str(folder / "dags" / f"{folder.name}.py")],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == [[folder.name, False, [["datadriver run", str(folder)]]]]
