"""The files in deploy/airflow: safe as they are, complete, and what `dags doctor` calls right."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from datadriver.orchestration.advice import Needs, advise
from datadriver.orchestration.airflow.settings import OPTIONS, Database, Facts

FOLDER = Path(__file__).parents[2] / "deploy" / "airflow"
COMPOSE = yaml.safe_load((FOLDER / "compose.yaml").read_text("utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
VALUES = {
    name: yaml.safe_load((FOLDER / f"values-{name}.yaml").read_text("utf-8")) for name in ("celery", "kubernetes")
}
DEFAULTS = {
    "core.multi_team": "False",
    "dag_processor.dag_file_processor_timeout": "50",
    "scheduler.task_instance_heartbeat_timeout": "300",
    "usage_data_collection.enabled": None,
    "workers.execution_api_retry_wait_min": "1",
    "workers.min_heartbeat_interval": "5",
}


def judged(settings: dict[str, str], executor: str, parallelism: str, *, version: str = "3.3.2") -> list[str]:
    """Return what `dags doctor` has to say of settings of a deployment, 2,000 DAGs in 16 files."""
    given = {f"{section}.{option}" for section, option in OPTIONS}
    options = DEFAULTS | {name: value for name, value in settings.items() if name in given}
    facts = Facts(
        versions={"apache-airflow": version},
        options={**options, "core.executor": executor, "core.parallelism": parallelism},
        jwt_secret=True,
        bundles={},
        plugins=["datadriver"],
        plugin_errors={},
        database=Database("postgresql://db/airflow", "postgresql", 10.0, ("default_pool",)),
    )
    assert given == set(facts.options), "an option that is neither set nor a default of Airflow"
    return [
        f"{one.what}: {one.found}" for one in advise(facts, Needs(dags=2000, largest_file=125)) if one.state != "right"
    ]


def test_nothing_of_the_stack_can_be_reached_from_another_machine() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert len(ports) == 3
    assert [port for port in ports if not port.startswith("127.0.0.1:")] == []
    assert [name for name, one in SERVICES.items() if one.get("network_mode") == "host" or one.get("privileged")] == []


def test_only_what_starts_containers_has_the_socket_of_the_engine() -> None:
    assert [name for name, one in SERVICES.items() if "docker.sock" in str(one.get("volumes"))] == ["scheduler"]


def test_services_that_stay_are_watched_and_started_again() -> None:
    stay = {name for name, one in SERVICES.items() if one["restart"] != "no"}
    assert stay == set(SERVICES) - {"prepare"}
    assert {name for name in stay if "healthcheck" not in SERVICES[name]} == {"registry"}


def test_the_compose_file_asks_for_what_the_script_writes_and_holds_no_secret(tmp_path: Path) -> None:
    (tmp_path / "usecase.yaml").touch()
    written = subprocess.run([FOLDER / "environment.sh", tmp_path], check=True, capture_output=True, text=True).stdout
    pairs = dict(line.split("=", 1) for line in written.splitlines() if not line.startswith("#"))
    asked = set(re.findall(r"\$\{(\w+):\?", (FOLDER / "compose.yaml").read_text("utf-8")))
    assert asked <= set(pairs)
    secrets = {name: value for name, value in pairs.items() if name.endswith(("PASSWORD", "KEY", "SECRET"))}
    assert len(set(secrets.values())) == len(secrets) == 8
    assert all(re.fullmatch(r"[\w=-]{16,}", value) for value in secrets.values()), "safe in a URL and in a file"
    text = (FOLDER / "compose.yaml").read_text("utf-8")
    assert re.findall(r"(?i)(?:password|secret|key): (?!\$)\S+", text) == []


def test_the_script_wants_a_use_case(tmp_path: Path) -> None:
    done = subprocess.run([FOLDER / "environment.sh", tmp_path], check=False, capture_output=True, text=True)
    assert done.returncode == 2
    assert "name the folder of a use case" in done.stderr


def test_the_doctor_finds_the_stack_right() -> None:
    environment = SERVICES["scheduler"]["environment"]
    settings = {
        name.removeprefix("AIRFLOW__").lower().replace("__", ".", 1): value
        for name, value in environment.items()
        if name.startswith("AIRFLOW__")
    }
    parallelism = settings["core.parallelism"].removeprefix("${PARALLELISM:-").removesuffix("}")
    assert judged(settings, settings["core.executor"], parallelism) == []


@pytest.mark.parametrize("name", ["celery", "kubernetes"])
def test_the_doctor_finds_the_values_of_the_chart_right(name: str) -> None:
    values = VALUES[name]
    settings = {
        f"{section}.{option}": str(value)
        for section, options in values["config"].items()
        for option, value in options.items()
    }
    found = judged(settings, values["executor"], settings["core.parallelism"], version=values["airflowVersion"])
    assert found == []


@pytest.mark.parametrize("name", ["celery", "kubernetes"])
def test_secrets_of_the_chart_are_named_and_not_written(name: str) -> None:
    values = VALUES[name]
    named = {key for key in values if key.endswith("SecretName")} | set(values["data"])
    assert named == {"metadataSecretName", "fernetKeySecretName", "apiSecretKeySecretName", "jwtSecretName"}
    assert not {"fernetKey", "apiSecretKey", "jwtSecret", "env", "extraEnv"} & set(values)


def test_the_image_takes_its_versions_from_those_of_the_tests() -> None:
    text = (FOLDER / "Dockerfile").read_text("utf-8")
    assert "locks/dev.txt" in text
    extras = set(re.search(r"ARG EXTRAS=(\S+)", text).group(1).split(","))  # type: ignore[union-attr]
    assert {"airflow", "docker", "postgres"} <= extras
