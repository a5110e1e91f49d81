"""The section `schedule` of `usecase.yaml`: when Airflow runs what, where, and who may see it."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Annotated, Literal

from pydantic import Field

from datadriver.config.section import Section
from datadriver.config.values import Duration, Size

NAME = r"^[A-Za-z0-9_.-]+$"
ConnectionId = Annotated[str, Field(pattern=NAME)]


class OnData(Section):
    """Run when data arrive: whenever something reports an event of this Airflow asset."""

    on: str
    """Name of the Airflow asset, `sensors/{asset_id}`. Attributes in braces are filled in; a value that has other signs
    than letters, digits, `.`, `_` and `-` becomes such a name, which `datadriver dags list` shows."""


When = str | OnData | None
"""Cron text or preset; an arrival of data; `null` for by hand, and for training when monitoring asks."""


class Retries(Section):
    """What happens after exit code 5 and after a killed process; other failures are not tried again."""

    times: Annotated[int, Field(ge=0)] = 3
    """So many tries after the first."""
    wait: Duration = timedelta(minutes=1)
    """Before the second try; each further wait is twice as long."""
    longest: Duration = timedelta(minutes=30)
    """No wait is longer."""


class Resources(Section):
    """What one task may use."""

    cpus: Annotated[float, Field(gt=0)] | None = None
    """Cores: a limit in Docker, request and limit in Kubernetes."""
    memory: Size | None = None
    """Such as `2GB`: a limit in Docker, request and limit in Kubernetes."""


class Secret(Section):
    """A value that Airflow keeps; exactly one of the two. The plan has its name only."""

    connection: ConnectionId | None = None
    """Connection whose URI is the value."""
    variable: Annotated[str, Field(pattern=NAME)] | None = None
    """Variable that is the value."""


class ProcessRuntime(Section):
    """Tasks are processes on the Airflow worker."""

    python: str = ""
    """Python of the environment that has the use case and datadriver; default: the one that Airflow runs in."""


class DockerRuntime(Section):
    """Tasks are containers in a Docker engine."""

    engine: str = "unix:///var/run/docker.sock"
    """Where the engine listens."""
    connection: ConnectionId | None = None
    """Airflow connection with the credentials of the registry; default: images are there already or need none."""
    mounts: tuple[str, ...] = ()
    """`source:target[:ro]`: data, stores and files that the containers see; a source that starts with `./` is relative
    to the use case."""
    network: str = "bridge"
    """Of containers that read sources or write to stores."""
    user: str | None = None
    """`uid[:gid]`; default: the image's own user without rights."""


class KubernetesRuntime(Section):
    """Tasks are pods."""

    namespace: str = "default"
    """Where pods run."""
    connection: ConnectionId | None = None
    """Airflow connection to the cluster; default: the cluster that the worker runs in."""
    service_account: str | None = None
    """Of the pods."""
    claims: dict[str, str] = {}
    """Path in the container: name of the persistent volume claim that is mounted there."""
    node_selector: dict[str, str] = {}
    """Labels of the nodes that pods run on."""
    image_pull_secrets: tuple[str, ...] = ()
    """Names of secrets with registry credentials."""


class Urls(Section):
    """Where people look; shown with every DAG and every message of a failure."""

    airflow: str | None = None
    """Address of Airflow's pages."""
    mlflow: str | None = None
    """Address of MLflow's pages; default: `tracking.uri`, where that is a server."""
    report: str | None = None
    """Address that the report is served at."""


class Schedule(Section):
    """When Airflow runs what, where, and who may see it.

    Cohorts may have, by `overrides`, their own `train`, `score`, `timezone`, `spread`, `start`, `catchup`, `steps`,
    `retries`, `resources`, `timeout`, `pool`, `priority`, `owner`, `tags` and `paused`; all else holds for the whole
    use case. Models that several assets share are trained as all of these have it, or if they differ, as the use case
    has it without overrides.
    """

    train: When = "0 3 * * 0"
    """When assets, and groups of assets that share a model, are trained: cron text or preset, `{on: NAME}` for an
    arrival of data, `null` for by hand. Besides, when monitoring asks for it."""
    score: When = "@hourly"
    """When assets are scored, written likewise; the window is the schedule's interval."""
    release: str | None = "0 6 * * *"
    """When challengers that pass the gate become champions: cron text or preset, `null` for by hand."""
    monitor: str | None = "@daily"
    """When windows are judged and the report is written, likewise; it starts at the end of `spread`."""
    timezone: str | None = None
    """Zone of the cron texts; default: `data.timezone`."""
    spread: Duration | None = None
    """Starts are spread over this time, each asset always at the same place in it; intervals stay as they are."""
    start: date = date(2000, 1, 1)
    """No interval before this day, backfills included."""
    catchup: bool = False
    """Whether Airflow makes up for intervals between `start` and now, and for those while a DAG was paused."""
    group: str = "asset"
    """`asset`, or an attribute whose assets share a DAG, and each of its tasks. They must be scheduled alike."""
    steps: Literal["joined", "split"] = "joined"
    """Scoring as one task, or as three: contract, score, publish."""
    approval: bool = False
    """Whether somebody must approve a release in Airflow; models with `approval: manual` ask for it by themselves."""
    runtime: Literal["process", "docker", "kubernetes"] = "process"
    """What a task is: a process on the worker, a container or a pod."""
    process: ProcessRuntime = ProcessRuntime()
    docker: DockerRuntime = DockerRuntime()
    kubernetes: KubernetesRuntime = KubernetesRuntime()
    environment: dict[Annotated[str, Field(pattern=r"^[A-Za-z_]\w*$")], str | Secret] = {}
    """Environment variables of tasks: plain values, or what Airflow keeps: `{connection: NAME}`, `{variable: NAME}`."""
    retries: Retries = Retries()
    resources: Resources = Resources()
    timeout: Duration = timedelta(hours=2)
    """Longest time for one try of a task."""
    pool: str | None = None
    """Airflow pool that limits how many tasks run at once; default: Airflow's own."""
    priority: Annotated[int, Field(ge=1)] = 1
    """Among tasks that wait for the same pool, the higher goes first."""
    owner: str = "datadriver"
    """Who is accountable, as Airflow shows it."""
    tags: tuple[str, ...] = ()
    """Attributes whose values are tags of the asset's DAGs, as `country=NO`, beside use case, kind and runtime."""
    team: str | None = None
    """Attribute whose value is the team that sees the asset's DAGs, and no other team does. DAGs of the use case, and
    of models that several teams share, are everybody's."""
    paused: bool = False
    """Whether new DAGs wait until somebody switches them on."""
    shards: Annotated[int, Field(ge=1, le=1000)] = 16
    """Number of files that the DAGs of assets are in; 250 to 500 DAGs a file are well. It changes only for a reason."""
    folder: str | None = None
    """Where workers have the use case, `/opt/pumps`; default: where it is as seen from the plan."""
    urls: Urls = Urls()
