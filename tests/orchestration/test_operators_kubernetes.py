"""Tasks as pods: the pod that would be asked for, by the models of the Kubernetes client."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from airflow.sdk.api.datamodels import _generated as sdk
from airflow.serialization.serialized_objects import DagSerialization
from kubernetes.client import ApiClient
from kubernetes.client import models as k8s

from datadriver.images.names import model_repository
from datadriver.orchestration.airflow.dags import dag_of
from datadriver.orchestration.airflow.kubernetes import FleetPodOperator
from datadriver.orchestration.plan import DagPlan, Header, Limits, TaskPlan, Trigger
from datadriver.project import Project
from datadriver.tracking.images import ImageRecord, Packed, record_images

REGISTRY = "registry.example.com"
SETTINGS = {
    "namespace": "pumps",
    "service_account": None,
    "claims": {"/usecase/.datadriver": "pumps-state", "/usecase/data": "pumps-data"},
    "node_selector": {"pool": "models"},
    "image_pull_secrets": ["registry"],
}
TASK = TaskPlan(
    "score", command=("score", "--publish"), span="interval", image="model", model="temperature", network=False
)
DAG = DagPlan(
    "tiny__P-1__score",
    "score",
    "15/9-F-1 C",
    Trigger("@hourly"),
    [TASK],
    assets=["P-1"],
    limits=Limits(cpus=0.5, memory=512_000_000),
)


@pytest.fixture
def header(served: Any) -> Header:
    served.edit("scores: {window: 2d}", f"scores: {{window: 2d}}\npackage: {{registry: {REGISTRY}}}")
    image = ImageRecord(
        place=REGISTRY,
        repository=model_repository("tiny", "P-1", "temperature"),
        tag="v1",
        image_id="sha256:1",
        digest="sha256:beef",
        base="tiny/base:1",
        size=1,
        models=(Packed("P-1", "temperature", 1),),
        batch="",
    )
    with closing(Project.open(served.root).ledger) as ledger:
        record_images(ledger, [replace(image, batch=ledger.start_batch("package").id)])
    environment = {"LEDGER": {"variable": "ledger"}, "STAGE": "prod"}
    return Header("tiny", str(served.root), runtime="kubernetes", settings=SETTINGS, environment=environment)


def context_of(operator: Any) -> dict[str, Any]:
    """What Airflow hands over, in its own data models."""
    start, end = datetime(2026, 3, 9, 4, tzinfo=UTC), datetime(2026, 3, 9, 5, tzinfo=UTC)
    run_id = "scheduled__2026-03-09T05:00:00+00:00"
    task = sdk.TaskInstance(
        id=uuid4(),
        task_id="score",
        dag_id=DAG.dag_id,
        run_id=run_id,
        try_number=1,
        dag_version_id=uuid4(),
        map_index=-1,
    )
    interval = SimpleNamespace(data_interval_start=start, data_interval_end=end)
    return {"ti": task, "run_id": run_id, "dag_run": interval, "dag": operator.dag}


@pytest.fixture
def operator(header: Header, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("AIRFLOW_VAR_LEDGER", "postgresql://u:open-sesame@db/ledger")
    return dag_of(DAG, header).get_task("score")


@pytest.fixture
def pod(operator: Any) -> Any:
    context = context_of(operator)
    operator.prepare(context)
    return operator.build_pod_request_obj(context, dry_run=True)


def test_the_pod_is_what_the_api_of_kubernetes_describes(pod):
    client = ApiClient()
    document = client.sanitize_for_serialization(pod)
    again = client.deserialize(SimpleNamespace(data=json.dumps(document)), "V1Pod")
    assert isinstance(again, k8s.V1Pod)
    assert client.sanitize_for_serialization(again) == document


def test_nothing_may_be_written_but_tmp_and_claims_and_nobody_is_root(pod):
    (container,) = pod.spec.containers
    security = container.security_context
    assert (security.read_only_root_filesystem, security.allow_privilege_escalation) == (True, False)
    assert security.capabilities.drop == ["ALL"]
    assert (pod.spec.security_context.run_as_non_root, pod.spec.security_context.run_as_user) == (True, 10001)
    assert pod.spec.automount_service_account_token is False
    claims = {one.name: one.persistent_volume_claim for one in pod.spec.volumes if one.persistent_volume_claim}
    mounted = {one.mount_path: claims[one.name].claim_name for one in container.volume_mounts if one.name in claims}
    assert mounted == SETTINGS["claims"]
    assert {one.mount_path for one in container.volume_mounts} == {"/tmp", *SETTINGS["claims"]}


def test_image_times_and_secrets_are_filled_in_when_it_starts(pod):
    (container,) = pod.spec.containers
    assert container.image == f"{REGISTRY}/{model_repository('tiny', 'P-1', 'temperature')}@sha256:beef"
    assert container.args[2:] == ["--start", "2026-03-09T04:00:00+00:00", "--end", "2026-03-09T05:00:00+00:00"]
    environment = {one.name: one.value for one in container.env}
    assert environment["LEDGER"] == "postgresql://u:open-sesame@db/ledger"
    assert environment["STAGE"] == "prod"


def test_the_cohorts_resources_are_requests_and_limits(pod):
    (container,) = pod.spec.containers
    assert container.resources.limits == container.resources.requests == {"cpu": "500m", "memory": "512000000"}
    assert (pod.metadata.namespace, pod.spec.node_selector) == ("pumps", {"pool": "models"})
    assert [one.name for one in pod.spec.image_pull_secrets] == ["registry"]
    assert pod.spec.restart_policy == "Never"


def test_labels_are_legal_and_tell_network_policies_who_needs_none(pod):
    labels = pod.metadata.labels
    assert labels["datadriver.io/network"] == "none"
    assert labels["datadriver.io/subject"].startswith("15-9-F-1-C-")
    assert all(len(value) <= 63 for value in labels.values())
    assert len(pod.metadata.name) <= 63


def test_a_serialised_dag_has_no_secret_and_is_the_same_each_time(header):
    texts = {json.dumps(DagSerialization.serialize_dag(dag_of(DAG, header)), sort_keys=True) for _ in range(2)}
    assert len(texts) == 1
    assert not any(word in text for text in texts for word in ("LEDGER", "sesame", "sha256", str(header.folder)))


@pytest.mark.parametrize(("code", "reason"), [(3, "Error"), (137, "OOMKilled")])
def test_the_exit_code_is_read_from_what_is_left_of_the_pod(operator, code, reason):
    ended = k8s.V1ContainerState(terminated=k8s.V1ContainerStateTerminated(exit_code=code, reason=reason))
    status = k8s.V1ContainerStatus(name="base", state=ended, image="i", image_id="i", ready=False, restart_count=0)
    left = k8s.V1PodStatus(phase="Failed", container_statuses=[status])
    pod = k8s.V1Pod(metadata=k8s.V1ObjectMeta(name="p", namespace="pumps"), status=left)
    operator._killed = True  # Airflow's way not to talk to the cluster
    operator.cleanup(pod, pod)
    assert operator._code == code
    assert isinstance(operator, FleetPodOperator)
