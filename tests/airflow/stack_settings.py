"""Settings of the Airflow of the tests: lean, with two ways to recover, and nothing of whoever runs the tests."""

from __future__ import annotations

import base64
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

MARK = "DATADRIVER_TEST_STACK"
"""Variable by which the processes of a stack are found again."""
PASSWORD = "correct-horse"
USERS = {"ada": "admin", "grace": "admin", "victor": "viewer"}

LEAN = {
    "API__WORKERS": "1",
    "CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
    "CORE__LOAD_EXAMPLES": "False",
    "CORE__MIN_SERIALIZED_DAG_UPDATE_INTERVAL": "0",
    "CORE__PARALLELISM": "4",
    "DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "600",
    "DATABASE__CHECK_MIGRATIONS": "False",
    "SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "1",
    "SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.2",
    "USAGE_DATA_COLLECTION__ENABLED": "False",
}
RESILIENT = {
    "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "300",
    "WORKERS__EXECUTION_API_RETRIES": "20",
    "WORKERS__EXECUTION_API_RETRY_WAIT_MAX": "5",
    "WORKERS__MAX_FAILED_HEARTBEATS": "30",
}
"""An api-server that is away for a minute fails no task."""
FAST_DETECTION = {
    "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "15",
    "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "2",
    "WORKERS__MIN_HEARTBEAT_INTERVAL": "2",
}
"""A task whose worker has died is tried again within seconds."""


def environment(  # noqa: PLR0913 - what differs between stacks
    home: Path, *, database: str, folders: Mapping[str, Path], address: str, mark: str, settings: Mapping[str, str]
) -> dict[str, str]:
    """Return the variables of all processes; `settings` are Airflow's, named `SECTION__KEY`."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("AIRFLOW", "PYTEST"))}
    local = "airflow.dag_processing.bundles.local.LocalDagBundle"
    bundles = [
        {"name": name, "classpath": local, "kwargs": {"path": str(folder), "refresh_interval": 3}}
        for name, folder in folders.items()
    ]
    fernet = base64.urlsafe_b64encode(mark.encode()).decode()
    driver = database.replace("://", "+psycopg://")
    own = {
        "API__BASE_URL": address,
        "API__SECRET_KEY": mark * 2,
        "API_AUTH__JWT_SECRET": mark * 2,
        "CORE__DAGS_FOLDER": str(home / "dags"),
        "CORE__EXECUTION_API_SERVER_URL": f"{address}/execution/",
        "CORE__EXECUTOR": "LocalExecutor",
        "CORE__FERNET_KEY": fernet,
        "CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(home / "passwords.json"),
        "CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(f"{user}:{role}" for user, role in USERS.items()),
        "DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps(bundles),
        "DATABASE__SQL_ALCHEMY_CONN": driver,
        "DATABASE__SQL_ALCHEMY_CONN_ASYNC": driver,  # by default it is asyncpg, which nothing else needs
        "LOGGING__BASE_LOG_FOLDER": str(home / "logs"),
    }
    return {
        **kept,
        "AIRFLOW_HOME": str(home),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{kept.get('PATH', '')}",
        "SPT_NOENV": "1",  # titles of processes leave the environment, and with it our mark, readable
        MARK: mark,
        **{f"AIRFLOW__{key}": value for key, value in {**own, **LEAN, **settings}.items()},
    }
