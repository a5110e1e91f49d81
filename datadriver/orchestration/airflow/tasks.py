"""What the tasks of every runtime share: the command line, its environment, and what its exit code means to Airflow."""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from airflow.sdk import Connection, Variable
from airflow.sdk.exceptions import (
    AirflowException,
    AirflowFailException,
    AirflowNotFoundException,
    AirflowRuntimeError,
    ErrorType,
)
from airflow.sdk.log import mask_secret

from datadriver.config.slugs import slug
from datadriver.errors import ConfigError, DatadriverError
from datadriver.orchestration.images import image_of
from datadriver.orchestration.plan import DagPlan, Header, TaskPlan

if TYPE_CHECKING:
    from airflow.sdk import Context
    from airflow.sdk.types import Logger

REJECTED = 3
UNAVAILABLE = 5
KILLED = frozenset({137, 143})
"""Of SIGKILL and SIGTERM, as shells and container engines say it; most often memory ran out, or a machine went away."""

RUN = "{run}"
"""In a command, stands for a name of the DAG run that folders may have."""

TASK = "DATADRIVER_TASK"
"""As the ledger's side has it in `tracking.task_failures`, which takes too long to import here."""

_KEPT = 400  # lines of output, from which the reason of a failure is taken
_MISS = re.compile(r"  (?! )(.+)  \[[^]]+\]")  # as `datadriver` lists what failed


@dataclass(frozen=True)
class Ended:
    """A command that ended.

    Attributes:
        code: its exit code; 128 and the number of the signal where one ended it.
        lines: the end of its output, stdout and stderr in the order they came; all of it if it is one document.
    """

    code: int
    lines: Sequence[str] = ()

    @property
    def sentence(self) -> str:
        """The reason of a failure in the command's own words."""
        for number in range(len(self.lines) - 1, -1, -1):
            if self.lines[number].startswith("error: "):
                return "\n".join([self.lines[number].removeprefix("error: "), *_indented(self.lines[number + 1 :], 2)])
        with contextlib.suppress(ValueError, KeyError, TypeError):
            return str(self._document()["error"]["message"])
        missed = [number for number, line in enumerate(self.lines) if _MISS.fullmatch(line)]
        if missed:
            reasons = [self._missed(number) for number in missed[:3]]
            return "; ".join(reasons) + (f"; and {len(missed) - 3} more" if len(missed) > 3 else "")
        return next((line for line in reversed(self.lines) if line.strip()), "it said nothing")

    def document(self) -> Any:
        """Return the JSON document that the command printed, whatever it or a library wrote beside it.

        Raises:
            AirflowFailException: there is none.
        """
        try:
            return self._document()
        except ValueError:
            raise AirflowFailException(f"the command printed no JSON document: {self.sentence}") from None

    def _document(self) -> Any:
        lines = list(self.lines)
        return json.loads("\n".join(lines[lines.index("{") : len(lines) - lines[::-1].index("}")]))

    def _missed(self, number: int) -> str:
        name = self.lines[number].strip().rpartition("  [")[0]
        reason = " ".join(_indented(self.lines[number + 1 :], 4))
        return reason if reason.startswith(name) else f"{name}: {reason}"


class CommandTask:
    """A task that runs one command of datadriver; each runtime says how, in `run_command`.

    Attributes:
        task_plan: what it runs.
        dag_plan: the DAG that it is a task of.
        header: what all DAGs of the use case share; its folder is absolute.
    """

    task_plan: TaskPlan
    dag_plan: DagPlan
    header: Header
    log: Logger

    def planned(self, task: TaskPlan, dag_plan: DagPlan, header: Header) -> None:
        """Remember the plan; none of it is in Airflow's serialised DAG."""
        self.task_plan, self.dag_plan, self.header = task, dag_plan, header

    def execute(self, context: Context) -> Any:
        """Run the command and judge how it ended; what kept it from being run is judged alike."""
        try:
            ended = self.run_command(context)
        except DatadriverError as error:
            ended = Ended(error.exit_code, (f"error: {error.message}",))
        outcome = outcome_of(ended.code)
        if outcome != "done":
            context["ti"].xcom_push(key="outcome", value=outcome)
            raise _failure(ended)
        return self.finish(ended, context)

    def run_command(self, context: Context) -> Ended:
        """Run the command to its end, its output line by line in the task's log."""
        raise NotImplementedError

    def finish(self, ended: Ended, context: Context) -> Any:
        """Do what is left when the command has done its work; what this returns is the task's XCom."""

    def command_line(self, context: Context) -> list[str]:
        """Return the command with the times of this run, and the environment where the command takes one."""
        run = slug(str(context["run_id"]))
        command = [argument.replace(RUN, run) for argument in self.task_plan.command]
        command += times(self.task_plan, context["dag_run"])
        if self.header.env and self.task_plan.image == "base":  # the models of an image know theirs
            command += ["--env", self.header.env]
        return command

    def variables(self) -> dict[str, str]:
        """Return the environment variables of the plan; what Airflow keeps is asked for now, and masked in logs.

        By one of them the command knows which failures are over when it ends well.

        Raises:
            ConfigError: Airflow has no such connection or variable.
        """
        known = {name: _value(name, value) for name, value in self.header.environment.items()}
        return {**known, TASK: f"{self.dag_plan.dag_id}/{','.join(vouched_for(self.task_plan, self.dag_plan))}"}

    def image_of(self, environment: Mapping[str, str], *, pushed: bool = False) -> str:
        """Return the image that a container of this task is to be started from, as the ledger has it now.

        Args:
            environment: of the task, for `${VAR}` in `usecase.yaml`.
            pushed: whether it must be in a registry.
        """
        variables = {**without_airflow(), **environment}
        return image_of(self.task_plan, self.dag_plan, self.header, variables, pushed=pushed)

    def kept(self) -> deque[str]:
        """Return a place for the output: for all of it if it is a document, else for its end."""
        return deque(maxlen=None if "--json" in self.task_plan.command else _KEPT)

    def follow(self, lines: Iterable[str], kept: deque[str]) -> None:
        """Put lines into the task's log as they come, and keep them."""
        for line in lines:
            text = line.rstrip()
            kept.append(text)
            (self.log.error if text.startswith("error: ") else self.log.info)("%s", text)


def vouched_for(task: TaskPlan, dag_plan: DagPlan) -> list[str]:
    """Return the tasks that have succeeded when one has: itself, and those that had to before it.

    >>> from datadriver.orchestration.plan import Trigger
    >>> tasks = [TaskPlan("contract"), TaskPlan("score", after=("contract",)), TaskPlan("report", always=True)]
    >>> vouched_for(tasks[1], DagPlan("d", "score", "P-1", Trigger(), tasks))
    ['score', 'contract']
    """
    before = {one.id: one for one in dag_plan.tasks}
    found = [task.id]
    for name in () if task.always else task.after:
        found += [one for one in vouched_for(before[name], dag_plan) if one not in found]
    return found


def times(task: TaskPlan, run: Any) -> list[str]:
    """Return the times that a command gets: of the data interval, where the run has one of some width.

    Runs by hand of a DAG without a schedule, and those that an asset started, have none: the command then takes its
    own defaults, which are to go on where the last run ended and to look at all there is.
    """
    start, end = run.data_interval_start, run.data_interval_end
    if task.span == "none" or start is None or end is None or start >= end:
        return []
    if task.span == "interval":
        return ["--start", _text(start), "--end", _text(end)]
    return ["--end" if task.command[0] in {"validate", "score"} else "--until", _text(end)]


def outcome_of(code: int) -> str:
    """Say how a command ended in one word.

    >>> outcome_of(0), outcome_of(3), outcome_of(137), outcome_of(6)
    ('done', 'rejected', 'killed', 'failed')
    """
    if code in KILLED:
        return "killed"
    return {0: "done", REJECTED: "rejected", UNAVAILABLE: "unavailable"}.get(code, "failed")


def _failure(ended: Ended) -> AirflowException:
    """Return what makes Airflow try again, after what may pass, or give up at once."""
    outcome = outcome_of(ended.code)
    if outcome == "killed":
        return AirflowException(
            f"killed: the command was ended from outside (exit code {ended.code}): {ended.sentence}"
        )
    if outcome == "unavailable":
        return AirflowException(f"unavailable: {ended.sentence}")
    return AirflowFailException(f"{outcome}: {ended.sentence} (exit code {ended.code})")


def _value(name: str, value: str | Mapping[str, str]) -> str:
    if isinstance(value, str):
        return value
    (kind, key), *_ = value.items()
    try:
        found = _uri(Connection.get(key)) if kind == "connection" else str(Variable.get(key))
    except (AirflowNotFoundException, AirflowRuntimeError) as error:
        if isinstance(error, AirflowRuntimeError) and error.error.error != ErrorType.VARIABLE_NOT_FOUND:
            raise
        raise ConfigError(
            f"the environment variable {name} of tasks is the {kind} {key!r} of Airflow, and there is none: add it "
            f"under Admin, or with `airflow {kind}s`, or change schedule.environment"
        ) from None
    mask_secret(found)
    return found


def _uri(connection: Any) -> str:
    """Return a connection as libraries read it; Airflow's own way quotes slashes and calls PostgreSQL `postgres`."""
    scheme, _, host = (connection.host or "").rpartition("://")
    scheme = scheme or (connection.conn_type or "").replace("_", "-")
    user = "" if connection.login is None else quote(connection.login, safe="")
    user += "" if connection.password is None else f":{quote(connection.password, safe='')}"
    place = f"{user}@{host}" if user else host
    place += f":{connection.port}" if connection.port else ""
    place += f"/{quote(connection.schema, safe='/:')}" if connection.schema else ""
    extra = connection.extra_dejson
    more = f"?{urlencode(extra)}" if extra else ""
    return f"{'postgresql' if scheme == 'postgres' else scheme}://{place}{more}"


def without_airflow(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the variables of a worker that are nobody else's secrets: connections and keys of Airflow's are."""
    return {name: value for name, value in environment.items() if not name.startswith(("AIRFLOW_", "_AIRFLOW_"))}


def _indented(lines: Sequence[str], spaces: int) -> list[str]:
    """Return the lines at the start that are indented so far."""
    found = []
    for line in lines:
        if not line.startswith(" " * spaces):
            break
        found.append(line[spaces:])
    return found


def _text(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat()
