"""The plan of a use case's DAGs as plain data: what Airflow's side reads, and nothing else of the use case.

It is read each time Airflow looks at a file, and once for every task, so this module imports the standard library only.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from functools import cache
from typing import Any, Literal, Self

FORMAT = 1
RUN = "{run}"
"""In a command, stands for a name of the DAG run that a folder may have."""

DagKind = Literal["train", "score", "release", "monitor", "base"]
TaskKind = Literal["command", "gate", "approve", "promote", "requests"]
Span = Literal["interval", "until", "none"]


@dataclass(frozen=True)
class Trigger:
    """When a DAG runs; nothing given means by hand only.

    Attributes:
        cron: five fields or a preset; its intervals are the data intervals of the runs.
        timezone: IANA name of the zone of the cron text.
        offset: seconds from the end of an interval to the start of its run.
        assets: Airflow assets; an event of any of them starts a run, beside the cron text.
    """

    cron: str | None = None
    timezone: str = "UTC"
    offset: int = 0
    assets: Sequence[str] = ()


@dataclass(frozen=True)
class TaskPlan:
    """One task.

    Attributes:
        id: unique in its DAG.
        kind: `command` runs a command line; the others are made of a command and something of Airflow's.
        command: arguments of `datadriver`, or of `datadriver-model` where `image` is `model`, without times; `{run}` in
            one stands for a name of the DAG run that a folder may have.
        span: which times the command gets from the run: `--start` and `--end` of its data interval, `--until` the end
            of it, or none; a run without a data interval gives none.
        image: for containers: the `base` image of the use case, or the image of the champions of the asset (`model`).
        model: the one model whose image it is, where each has its own.
        network: for containers: whether the command reads or writes anything over a network.
        on_worker: whether it is a process on the worker, whatever the runtime: it builds what containers run.
        after: ids of the tasks that must have succeeded.
        always: whether it runs, too, if those have failed.
    """

    id: str
    kind: TaskKind = "command"
    command: Sequence[str] = ()
    span: Span = "none"
    image: Literal["base", "model"] = "base"
    model: str | None = None
    network: bool = True
    on_worker: bool = False
    after: Sequence[str] = ()
    always: bool = False


@dataclass(frozen=True)
class Limits:
    """What the tasks of a DAG may use and how they are tried again; durations in seconds, memory in bytes."""

    retries: int = 3
    wait: float = 60.0
    longest_wait: float = 1800.0
    timeout: float = 7200.0
    pool: str | None = None
    priority: int = 1
    cpus: float | None = None
    memory: int | None = None


@dataclass(frozen=True)
class DagPlan:
    """One DAG.

    Attributes:
        dag_id: unique over use cases: `pumps__P-101__score`.
        kind: what it is for.
        subject: asset id, key of a pooled unit, value of the group's attribute, or name of the use case.
        assets: ids of the assets that it is about; none for DAGs of the whole use case.
        tags: in alphabetical order.
        doc: Markdown.
        team: who sees it; None for everybody.
        start: first day with an interval, ISO 8601.
    """

    dag_id: str
    kind: DagKind
    subject: str
    trigger: Trigger
    tasks: Sequence[TaskPlan]
    assets: Sequence[str] = ()
    limits: Limits = field(default_factory=Limits)
    owner: str = "datadriver"
    tags: Sequence[str] = ()
    doc: str = ""
    team: str | None = None
    start: str = "2000-01-01"
    catchup: bool = False
    paused: bool = False

    def to_line(self) -> str:
        """Return it as one line of JSON, `dag_id` first, without what is as usual: equal plans are equal text."""
        return _text({"dag_id": self.dag_id, **_differences(self)})

    @classmethod
    def of(cls, line: str | bytes) -> Self:
        """Read a line of `to_line`."""
        known = json.loads(line)
        known["trigger"] = Trigger(**known["trigger"])
        known["tasks"] = [TaskPlan(**task) for task in known["tasks"]]
        known["limits"] = Limits(**known.get("limits", {}))
        return cls(**known)


@dataclass(frozen=True)
class Header:
    """The first line of every file of a plan: what all its DAGs share.

    Attributes:
        usecase: its name.
        folder: of the use case on workers; relative to the folder of the plan unless it starts with `/`.
        env: environment of `usecase.yaml`, as with `--env`.
        runtime: `process`, `docker` or `kubernetes`.
        settings: of that runtime, as in `schedule.<runtime>`.
        environment: variables of tasks: a text, or `{"connection": id}` or `{"variable": name}` of Airflow's.
        urls: `airflow`, `mlflow`, `report`: where people look, where that is known.
    """

    usecase: str
    folder: str
    env: str | None = None
    runtime: Literal["process", "docker", "kubernetes"] = "process"
    settings: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, str | Mapping[str, str]] = field(default_factory=dict)
    urls: Mapping[str, str] = field(default_factory=dict)
    format: int = FORMAT

    def to_line(self) -> str:
        """Return it as one line of JSON, all of it."""
        return _text(asdict(self))

    @classmethod
    def of(cls, line: str | bytes) -> Self:
        """Read a line of `to_line`.

        Raises:
            ValueError: it is of another format.
        """
        known = json.loads(line)
        if known.get("format") != FORMAT:
            raise ValueError(f"is a plan of format {known.get('format')}, and this is datadriver's format {FORMAT}")
        return cls(**known)


def _differences(plan: Any) -> dict[str, Any]:
    """Return the fields that are not as by default, parts of parts included."""
    found: dict[str, Any] = {}
    kind: Any = type(plan)
    for name, default in _defaults(kind):
        value = getattr(plan, name)
        if name in ("trigger", "limits"):
            value = _differences(value)
            if name == "limits" and not value:
                continue
        elif name == "tasks":
            value = [_differences(task) for task in value]
        elif value == default or (isinstance(value, (tuple, list)) and not value):
            continue
        found[name] = value
    return found


@cache
def _defaults(kind: Any) -> Sequence[tuple[str, Any]]:
    return [(one.name, one.default) for one in fields(kind)]


def _text(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
