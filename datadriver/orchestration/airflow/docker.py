"""Tasks as containers in a Docker engine."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.docker.hooks.docker import DockerHook
from airflow.providers.docker.operators.docker import DockerOperator
from airflow.sdk.exceptions import AirflowException
from docker.errors import APIError, ImageNotFound

from datadriver.config.slugs import slug
from datadriver.errors import UnavailableError
from datadriver.orchestration.airflow.containers import Container, Wanted, answering, rooted, sweep
from datadriver.orchestration.airflow.tasks import CommandTask, Ended
from datadriver.orchestration.plan import DagPlan, Header, TaskPlan

if TYPE_CHECKING:
    from airflow.sdk import Context
    from docker import APIClient


class FleetDockerOperator(CommandTask, DockerOperator):
    """Runs a command in a container that survives the death of this task.

    Its name follows from the run and the task. So a try that finds the container of an earlier one at work attaches to
    it, and takes the result of one that has ended meanwhile, instead of starting a second. Nothing has to be remembered
    anywhere, and there is no moment at which a container is started and not known yet.
    """

    template_fields: Sequence[str] = ()

    def __init__(self, *, task: TaskPlan, dag_plan: DagPlan, header: Header, **kwargs: Any) -> None:
        settings = header.settings
        super().__init__(
            image="",  # the champions' at run time
            docker_url=settings.get("engine") or None,
            docker_conn_id=settings.get("connection"),
            auto_remove="never",
            mount_tmp_dir=False,
            **kwargs,
        )
        self.planned(task, dag_plan, header)
        self._started: str | None = None

    def run_command(self, context: Context) -> Ended:
        """Start the container, or find it; follow its output; take its result and remove it."""
        client = self._client()
        container = Container(client, self._name(context))
        self._started = container.name
        self._begin(container, context)
        kept = self.kept()
        self.follow(container.lines(), kept)
        code, out_of_memory = container.result()
        container.remove()
        self._started = None
        if out_of_memory:
            kept.append(f"error: its memory ran out; schedule.resources.memory is {self.dag_plan.limits.memory} bytes")
        return Ended(code, tuple(kept))

    def on_kill(self) -> None:
        """Stop the container; Airflow calls it when somebody stops the task or its time is over."""
        if self._started is not None:
            # From a signal's handler: the usual connection may be in the middle of an answer.
            Container(self._client(), self._started).stop()

    def _begin(self, container: Container, context: Context) -> None:
        """Attach to the container of an earlier try, or start one."""
        if container.works():
            self.log.info("container %s of an earlier try is at work: attaching to it", container.name)
            return
        wanted = self._wanted(context, container.name)
        if container.waits(wanted):
            self.log.info("container %s of an earlier try has ended: taking its result", container.name)
            return
        for name in sweep(container.client):
            self.log.info("removed container %s, whose result nobody has taken", name)
        self.log.info("docker run %s %s", wanted.image, shlex.join(wanted.command))
        try:
            container.start(wanted)
        except ImageNotFound:
            self._pull(wanted.image)
            container.start(wanted)

    def _wanted(self, context: Context, name: str) -> Wanted:
        settings, limits = self.header.settings, self.dag_plan.limits
        variables = self.variables()
        return Wanted(
            name=name,
            image=self.image_of(variables),
            command=self.command_line(context),
            environment=variables,
            labels={
                "io.datadriver.usecase": self.header.usecase,
                "io.datadriver.dag": self.dag_plan.dag_id,
                "io.datadriver.run": str(context["run_id"]),
            },
            network=settings.get("network", "bridge") if self.task_plan.network else "none",
            cpus=limits.cpus,
            memory=limits.memory,
            mounts=[rooted(text, self.header.folder) for text in settings.get("mounts", ())],
            user=settings.get("user"),
        )

    def _name(self, context: Context) -> str:
        """Name the container by what it is for; the folder tells use cases of one name in two Airflows apart."""
        ids = (self.dag_plan.dag_id, self.task_plan.id, context["run_id"], self.header.folder, self.header.env or "")
        return slug(" ".join(ids), max_length=120)

    def _client(self, *, login: bool = False) -> APIClient:
        """Connect to the engine; with the credentials of a registry only where something is to be pulled."""
        with answering(f"connecting to the Docker engine at {self.docker_url}"):
            hook = DockerHook(self.docker_conn_id if login else None, self.docker_url, timeout=self.timeout)
            try:
                return hook.get_conn()
            except AirflowException as error:
                raise UnavailableError(
                    f"no Docker engine answers at {self.docker_url}; start it, or name another one in "
                    "schedule.docker.engine"
                ) from error

    def _pull(self, image: str) -> None:
        self.log.info("docker pull %s", image)
        try:
            with answering(f"pulling {image}"):
                for event in self._client(login=True).pull(image, stream=True, decode=True):
                    if "error" in event:
                        raise UnavailableError(str(event["error"]))
        except (APIError, UnavailableError) as error:
            raise UnavailableError(
                f"the image {image} is not in the Docker engine, and cannot be pulled ({error}): `datadriver package` "
                "makes it; a private registry needs schedule.docker.connection"
            ) from error
