"""Airflow in the tests' own process has a home of its own, from before its first import."""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

if "AIRFLOW_HOME" not in os.environ:
    os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="datadriver-airflow-")
    atexit.register(shutil.rmtree, os.environ["AIRFLOW_HOME"], ignore_errors=True)

sys.path.insert(0, str(Path(__file__).parent))  # `dag_runs`

collect_ignore = ["run_dags.py", "runner.py"]  # programs that tests start; they import Airflow


@pytest.fixture(scope="session")
def dag_runs() -> ModuleType:
    """What runs DAGs without Airflow's servers."""
    import dag_runs  # noqa: PLC0415 - beside this file

    return dag_runs


@pytest.fixture(scope="session")
def new_runs(dag_runs: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Any]:
    """Makes a home of Airflow with empty tables; its arguments are variables for the workers."""
    template = tmp_path_factory.mktemp("airflow-home")
    dag_runs.migrate(template)

    def create(**variables: str) -> Any:
        return dag_runs.DagRuns(dag_runs.copied(template, tmp_path_factory.mktemp("home") / "airflow"), variables)

    return create
