"""Every kind of plan is read by real Airflow, with all its DAGs and tasks."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.serialization.serialized_objects import DagSerialization

from datadriver.config.fleet import Asset
from datadriver.config.resolve import expand
from datadriver.config.sections import UseCase
from datadriver.orchestration.fleet_dags import FleetDags

RECIPE = {"problem": "regression", "estimator": "m:f", "baseline": "m:g"}
FLEET = [
    Asset("P-1", {"country": "NO", "site": "Ø 1 `|"}),
    Asset("15/9-F-1 C", {"country": "GB", "site": None}),
    Asset("a__b", {"country": "NO", "site": "x" * 150}),
]
DOCKER = {"runtime": "docker", "docker": {"mounts": ["./.datadriver:/usecase/.datadriver"]}}
KUBERNETES = {"runtime": "kubernetes", "kubernetes": {"claims": {"/usecase/.datadriver": "stores"}}}
PLANS: dict[str, dict[str, Any]] = {
    "processes": {"schedule": {"spread": "30min", "tags": ["country", "site"], "timezone": "Europe/Oslo"}},
    "groups in steps": {"schedule": {"group": "country", "steps": "split"}},
    "teams": {"schedule": {"team": "country", "resources": {"cpus": 1.5, "memory": "1GB"}, "pool": "gpu"}},
    "containers, approved": {"schedule": {**DOCKER, "approval": True, "environment": {"KEY": {"variable": "key"}}}},
    "images of assets": {"schedule": {**DOCKER, "steps": "split"}, "package": {"per": "asset"}},
    "pods": {"schedule": KUBERNETES, "package": {"registry": "localhost:5000"}},
    "by hand and by data": {"schedule": {"train": None, "score": {"on": "sensors/{asset_id}"}, "monitor": None}},
}


@pytest.mark.parametrize("sections", PLANS.values(), ids=PLANS)
def test_airflow_reads_the_plan(sections: dict[str, Any], tmp_path: Path) -> None:
    usecase = UseCase.model_validate(
        {
            "name": "pumps",
            "fleet": {"assets": "fleet.csv"},
            "data": {"sources": {"s": {"path": "data/{asset_id}.csv", "index": "t"}}},
            "models": {"load": RECIPE, "wear": {**RECIPE, "fit": ["country"], "promote": {"approval": "manual"}}},
            **sections,
        }
    )
    fleet_dags = FleetDags(usecase, tmp_path, FLEET, expand(usecase, FLEET), tmp_path / "dags" / "plan")
    plan = {dag.dag_id: dag for dag in fleet_dags.plan()}
    fleet_dags.build()

    found: dict[str, DAG] = {}
    for file in fleet_dags.out.rglob("*.py"):
        found |= {name: value for name, value in runpy.run_path(str(file)).items() if isinstance(value, DAG)}
    assert found.keys() == plan.keys()
    for name, dag in found.items():
        dag.validate()
        DagSerialization.to_dict(dag)
        assert {task.task_id: sorted(task.upstream_task_ids) for task in dag.tasks} == {
            task.id: sorted(task.after) for task in plan[name].tasks
        }
