"""Airflow's tables, made once, and databases with a copy of them; what runs Airflow is in `stack.py`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # the modules of the stack


@pytest.fixture(scope="session")
def airflow() -> ModuleType:
    """What runs Airflow."""
    import stack  # noqa: PLC0415 - beside this file

    return stack


@pytest.fixture(scope="session")
def airflow_tables(
    airflow: ModuleType, new_database: Callable[..., str], tmp_path_factory: pytest.TempPathFactory
) -> str:
    """URL of a PostgreSQL database with Airflow's tables, which nobody is connected to: a template."""
    database = new_database()
    airflow.migrate(database, tmp_path_factory.mktemp("airflow-tables"))
    return database


@pytest.fixture(scope="session")
def airflow_database(airflow: ModuleType, new_database: Callable[..., str], airflow_tables: str) -> Callable[[], str]:
    """Makes a database with Airflow's tables and the setting that makes recovery quick; gives its URL."""

    def create() -> str:
        database = new_database(airflow_tables)
        airflow.recover_quickly(database)
        return database

    return create
