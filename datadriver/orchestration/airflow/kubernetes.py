"""Tasks as pods of a Kubernetes cluster."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
from airflow.sdk.exceptions import AirflowException
from kubernetes.client import ApiException
from kubernetes.client import models as k8s
from urllib3.exceptions import HTTPError

from datadriver.config.slugs import slug
from datadriver.errors import ConfigError, UnavailableError
from datadriver.orchestration.airflow.tasks import CommandTask, Ended
from datadriver.orchestration.plan import DagPlan, Header, TaskPlan

if TYPE_CHECKING:
    from airflow.sdk import Context

USER = 10001
"""Of the base image; claims that pods write to belong to this group."""
_PULL_SECONDS = 900  # a node that has no base image yet pulls hundreds of megabytes
_TRIED_AGAIN = frozenset({408, 409, 429})  # answers of a cluster that may be others a moment later


class FleetPodOperator(CommandTask, KubernetesPodOperator):
    """Runs a command in a pod: no root, nothing that can be written but /tmp and claims, requests that are limits.

    Airflow's operator keeps the pod's name for the next try, which attaches to a pod that is still at work.
    """

    template_fields: Sequence[str] = ()

    def __init__(self, *, task: TaskPlan, dag_plan: DagPlan, header: Header, **kwargs: Any) -> None:
        settings = header.settings
        super().__init__(
            kubernetes_conn_id=settings.get("connection"),
            namespace=settings.get("namespace", "default"),
            name=slug(f"{dag_plan.dag_id} {task.id}", extra="-", max_length=50, lower=True),
            labels=_labels(header, dag_plan, task),
            container_resources=_resources(dag_plan),
            volumes=_volumes(settings.get("claims", {})),
            volume_mounts=_mounts(settings.get("claims", {})),
            node_selector=settings.get("node_selector") or None,
            image_pull_secrets=[k8s.V1LocalObjectReference(name=one) for one in settings.get("image_pull_secrets", ())],
            service_account_name=settings.get("service_account"),
            automount_service_account_token=settings.get("service_account") is not None,
            security_context=_POD_SECURITY,
            container_security_context=_SECURITY,
            startup_timeout_seconds=_PULL_SECONDS,
            container_name_log_prefix_enabled=False,
            log_formatter=self._said,
            log_pod_spec_on_failure=False,  # it has the environment
            termination_message_policy="FallbackToLogsOnError",
            do_xcom_push=False,  # no second container: what a task returns does not come out of the pod
            **kwargs,
        )
        self.planned(task, dag_plan, header)
        self._kept: deque[str] = self.kept()
        self._code: int | None = None

    def run_command(self, context: Context) -> Ended:
        """Start the pod, or find that of an earlier try; follow its log and take its exit code."""
        self.prepare(context)
        try:
            self.execute_sync(context)
        except ApiException as error:
            text = f"the Kubernetes cluster refused the pod: {error.reason} {error.body or ''}".strip()
            refused = error.status is not None and 400 <= error.status < 500 and error.status not in _TRIED_AGAIN
            raise (ConfigError(text) if refused else UnavailableError(text)) from error
        except (HTTPError, OSError) as error:
            raise UnavailableError(f"the Kubernetes cluster does not answer: {error}") from error
        self.do_xcom_push = True
        return Ended(self._code or 0, tuple(self._kept))

    def prepare(self, context: Context) -> None:
        """Fill in what is known at run time only: image, command, times, secrets."""
        variables = self.variables()
        self.image = self.image_of(variables, pushed=True)
        self.arguments = self.command_line(context)
        self.env_vars = [
            k8s.V1EnvVar(name=name, value=value) for name, value in {"PYTHONUNBUFFERED": "1", **variables}.items()
        ]

    def cleanup(self, pod: k8s.V1Pod, remote_pod: k8s.V1Pod, *args: Any, **kwargs: Any) -> None:
        """Note the exit code before the pod is removed; what it means is judged as everywhere."""
        self._code, why = _ended(remote_pod, self.base_container_name)
        if why == "OOMKilled":
            self._kept.append(f"error: its memory ran out; schedule.resources.memory is {self.dag_plan.limits.memory}")
        try:
            super().cleanup(pod, remote_pod, *args, **kwargs)
        except AirflowException:
            if not self._code:
                raise

    def _said(self, container: str, line: str) -> str:  # noqa: ARG002 - Airflow's signature
        self._kept.append(line.rstrip())
        return line


_POD_SECURITY = k8s.V1PodSecurityContext(
    run_as_non_root=True,
    run_as_user=USER,
    run_as_group=USER,
    fs_group=USER,
    fs_group_change_policy="OnRootMismatch",
    seccomp_profile=k8s.V1SeccompProfile(type="RuntimeDefault"),
)
_SECURITY = k8s.V1SecurityContext(
    read_only_root_filesystem=True,
    allow_privilege_escalation=False,
    capabilities=k8s.V1Capabilities(drop=["ALL"]),
)


def _labels(header: Header, dag: DagPlan, task: TaskPlan) -> dict[str, str]:
    """Return labels for people, and for network policies: a pod that needs no network says so."""
    said = {
        "app.kubernetes.io/managed-by": "datadriver",
        "app.kubernetes.io/part-of": header.usecase,
        "datadriver.io/kind": dag.kind,
        "datadriver.io/subject": dag.subject,
        "datadriver.io/network": "needed" if task.network else "none",
    }
    return {name: slug(value, max_length=63) for name, value in said.items()}


def _resources(dag: DagPlan) -> k8s.V1ResourceRequirements | None:
    limits = dag.limits
    cpus = None if limits.cpus is None else f"{round(limits.cpus * 1000)}m"
    wanted = {name: value for name, value in (("cpu", cpus), ("memory", limits.memory)) if value is not None}
    known = {name: str(value) for name, value in wanted.items()}
    return k8s.V1ResourceRequirements(requests=known, limits=known) if known else None


def _volumes(claims: dict[str, str]) -> list[k8s.V1Volume]:
    named = [
        k8s.V1Volume(name=_volume(claim), persistent_volume_claim=k8s.V1PersistentVolumeClaimVolumeSource(claim))
        for claim in dict.fromkeys(claims.values())
    ]
    return [k8s.V1Volume(name="tmp", empty_dir=k8s.V1EmptyDirVolumeSource()), *named]


def _mounts(claims: dict[str, str]) -> list[k8s.V1VolumeMount]:
    named = [k8s.V1VolumeMount(name=_volume(claim), mount_path=path) for path, claim in claims.items()]
    return [k8s.V1VolumeMount(name="tmp", mount_path="/tmp"), *named]  # noqa: S108 - the container's own


def _volume(claim: str) -> str:
    return slug(f"claim-{claim}", extra="-", max_length=63, lower=True)


def _ended(pod: k8s.V1Pod | None, container: str) -> tuple[int | None, str | None]:
    """Return exit code and reason of a container; nothing where its node was lost or it never ran."""
    statuses = (pod.status.container_statuses if pod is not None and pod.status is not None else None) or []
    for one in statuses:
        if one.name == container and one.state is not None and one.state.terminated is not None:
            return one.state.terminated.exit_code, one.state.terminated.reason
    return None, None
