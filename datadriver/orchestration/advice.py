"""What of Airflow's settings is right, a risk or wrong for a plan: rules over plain facts, each with its reason."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from datadriver.orchestration.airflow.settings import Facts

_EXECUTORS = ("LocalExecutor", "CeleryExecutor", "KubernetesExecutor")
_PER_FILE = 500
"""DAGs in a file: the largest that is well below the 50 s that Airflow gives one file, on a slow machine."""
_SECONDS_PER_DAG = 0.02
"""Of a busy DAG processor, building, serialising and writing one DAG; twice what a calm one takes."""
_OUTAGE = 60.0
"""An api-server that is away for so long, when it is updated or moved, should cost no task."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        state: `wrong` will not work; `risk` works until something else goes wrong; `right`.
        what: Airflow's option, or what else was looked at.
        found: how it is.
        advice: what to set or do, and why.
    """

    state: Literal["right", "risk", "wrong"]
    what: str
    found: str
    advice: str = ""


@dataclass(frozen=True)
class Needs:
    """What a plan asks of Airflow.

    Attributes:
        runtimes: what its tasks are.
        pools: that tasks wait for.
        connections: ids of secrets and credentials.
        variables: keys of secrets.
        teams: that DAGs belong to.
        dags: their number.
        largest_file: number of DAGs in the file that has most.
    """

    runtimes: Sequence[str] = ()
    pools: Sequence[str] = ()
    connections: Sequence[str] = ()
    variables: Sequence[str] = ()
    teams: Sequence[str] = ()
    dags: int = 0
    largest_file: int = 0


def advise(facts: Facts, needs: Needs) -> Iterator[Finding]:
    """Judge Airflow's settings for a plan."""
    for rule in (_version, _plugin, _providers, _database, _pools, _secrets, _jwt, _executor, _parallelism, _teams):
        yield from rule(facts, needs)
    for rule in (_outage, _heartbeats, _intervals, _file_size, _examples, _usage):
        yield from rule(facts, needs)


def _version(facts: Facts, _: Needs) -> Iterator[Finding]:
    version = facts.versions.get("apache-airflow", "0")
    if (3, 3) <= tuple(map(int, version.split(".")[:2])) < (4,):
        yield Finding("right", "version", f"Airflow {version}")
    else:
        yield Finding(
            "wrong", "version", f"Airflow {version}", "pip install 'datadriver[airflow]': 3.3 or later, below 4"
        )


def _plugin(facts: Facts, _: Needs) -> Iterator[Finding]:
    if "datadriver" in facts.plugins:
        yield Finding("right", "plugin", "datadriver is loaded")
        return
    why = next((said for name, said in facts.plugin_errors.items() if "datadriver" in name), "it was not found")
    advice = "install datadriver where every process of Airflow runs: the scheduler reads its timetables"
    yield Finding("wrong", "plugin", f"datadriver is not loaded: {why}", advice)


def _providers(facts: Facts, needs: Needs) -> Iterator[Finding]:
    for runtime, provider in (("docker", "docker"), ("kubernetes", "cncf-kubernetes")):
        if runtime in needs.runtimes and f"apache-airflow-providers-{provider}" not in facts.versions:
            advice = f"pip install 'datadriver[{'airflow' if runtime == 'docker' else runtime}]'"
            yield Finding("wrong", f"schedule.runtime: {runtime}", f"the provider {provider} is not installed", advice)


def _database(facts: Facts, _: Needs) -> Iterator[Finding]:
    database, what = facts.database, "database.sql_alchemy_conn"
    if database.error:
        yield Finding("wrong", what, f"{database.url}: {database.error}", "start it, or correct the address")
        return
    if database.pools is None:
        yield Finding("wrong", what, f"{database.url} has no tables of Airflow", "airflow db migrate")
    if database.kind != "postgresql":
        advice = "use PostgreSQL for more than trying out: others lock, and were not tested with a fleet"
        yield Finding("risk", what, database.kind, advice)
        return
    yield Finding("right", what, database.url)
    timeout = database.idle_timeout
    if timeout is None:
        return
    what = "idle_in_transaction_session_timeout"
    if 0 < timeout <= _OUTAGE:
        yield Finding("right", what, f"{timeout:g} s")
        return
    name = database.url.rpartition("/")[2].partition("?")[0]
    advice = (
        f"ALTER DATABASE \"{name}\" SET idle_in_transaction_session_timeout = '30s': the session of a scheduler that "
        "was killed can hold its locks for as long, and DAG runs hang"
    )
    yield Finding("risk", what, f"{timeout:g} s" if timeout else "never", advice)


def _pools(facts: Facts, needs: Needs) -> Iterator[Finding]:
    if facts.database.pools is None:
        return
    for pool in needs.pools:
        if pool in facts.database.pools:
            yield Finding("right", "pool", pool)
        else:
            advice = f"airflow pools set '{pool}' 4 'datadriver': tasks of a pool that is not there never start"
            yield Finding("wrong", "pool", f"there is no pool {pool}", advice)


def _secrets(facts: Facts, needs: Needs) -> Iterator[Finding]:
    if facts.database.pools is None:
        return
    for kind, named, absent in (
        ("connection", needs.connections, facts.absent_connections),
        ("variable", needs.variables, facts.absent_variables),
    ):
        for name in named:
            if name in absent:
                command = "connections add --conn-uri" if kind == "connection" else "variables set"
                advice = f"airflow {command} ..., or a secrets backend: tasks fail without it"
                yield Finding("wrong", kind, f"there is no {kind} {name}", advice)
            else:
                yield Finding("right", kind, name)


def _jwt(facts: Facts, _: Needs) -> Iterator[Finding]:
    if facts.jwt_secret:
        yield Finding("right", "api_auth.jwt_secret", "is set; it must be the same for every process of Airflow")
        return
    advice = "set the same long random text everywhere: each process makes up its own, and tasks are turned away"
    yield Finding("wrong", "api_auth.jwt_secret", "is not set", advice)


def _executor(facts: Facts, needs: Needs) -> Iterator[Finding]:
    named = facts.options["core.executor"] or ""
    names = [one.rpartition("=")[2].rpartition(".")[2].split(":")[0] for one in named.replace(";", ",").split(",")]
    if unknown := [name for name in names if name not in _EXECUTORS]:
        advice = f"tested are {', '.join(_EXECUTORS)}; others may do as well"
        yield Finding("risk", "core.executor", ", ".join(unknown), advice)
    elif "docker" in needs.runtimes and "KubernetesExecutor" in names:
        advice = "pods of workers have no Docker engine: schedule.runtime: kubernetes"
        yield Finding("risk", "core.executor", f"{named} with schedule.runtime: docker", advice)
    else:
        yield Finding("right", "core.executor", named)


def _parallelism(facts: Facts, needs: Needs) -> Iterator[Finding]:
    slots, cores = int(facts.options["core.parallelism"] or 0), os.cpu_count() or 1
    local = "LocalExecutor" in (facts.options["core.executor"] or "") and "kubernetes" not in needs.runtimes
    if local and slots > 4 * cores:
        advice = (
            f"{2 * cores} is enough for the {cores} cores of this machine: so many tasks at once share its memory, and "
            "heartbeats come late"
        )
        yield Finding("risk", "core.parallelism", str(slots), advice)
    else:
        yield Finding("right", "core.parallelism", str(slots))


def _teams(facts: Facts, needs: Needs) -> Iterator[Finding]:
    if not needs.teams:
        return
    if _on(facts.options["core.multi_team"]):
        yield Finding("right", "core.multi_team", f"on; teams of the plan: {', '.join(needs.teams)}")
    else:
        advice = "core.multi_team=True and a bundle for the folder of each team: else everybody sees all DAGs"
        yield Finding("wrong", "core.multi_team", f"off, and the plan has teams: {', '.join(needs.teams)}", advice)


def _outage(facts: Facts, _: Needs) -> Iterator[Finding]:
    """Waits are drawn between the shortest and one that doubles up to the longest, as Airflow's client has it."""
    retries = int(_number(facts, "workers.execution_api_retries"))
    shortest, longest = (_number(facts, f"workers.execution_api_retry_wait_{end}") for end in ("min", "max"))
    waits = sum((shortest + max(shortest, min(2.0**one, longest))) / 2 for one in range(max(retries - 1, 0)))
    beats = _number(facts, "workers.max_failed_heartbeats") * _number(facts, "workers.min_heartbeat_interval")
    for what, seconds, found, setting in (
        (
            "workers.execution_api_retries",
            waits,
            "asked for about",
            "{what}=30, workers.execution_api_retry_wait_max=5",
        ),
        ("workers.max_failed_heartbeats", beats, "missed for at least", "{what}=30"),
    ):
        text = f"an api-server that does not answer is {found} {seconds:.0f} s, then the task fails"
        if seconds >= _OUTAGE:
            yield Finding("right", what, text)
        else:
            advice = f"{setting.format(what=what)}: an api-server that restarts fails every task that runs"
            yield Finding("risk", what, text, advice)


def _heartbeats(facts: Facts, _: Needs) -> Iterator[Finding]:
    what = "scheduler.task_instance_heartbeat_timeout"
    limit = _number(facts, what)
    beats = _number(facts, "workers.max_failed_heartbeats") * _number(facts, "workers.min_heartbeat_interval")
    if limit < beats:
        advice = f"more than {beats:.0f} s: else a second try starts while the first still waits for the api-server"
        yield Finding("risk", what, f"{limit:g} s", advice)
    else:
        yield Finding("right", what, f"{limit:g} s until the task of a dead worker is tried again")


def _intervals(facts: Facts, needs: Needs) -> Iterator[Finding]:
    what = "dag_processor.min_file_process_interval"
    interval, needed = _number(facts, what), needs.dags * _SECONDS_PER_DAG
    if needed > interval / 4:
        advice = (
            f"{max(600, round(4 * needed))}: reading all {needs.dags} DAGs takes about {needed:.0f} s of a core each "
            "time; changed files are noticed by their time at once"
        )
        yield Finding("risk", what, f"{interval:g} s", advice)
    else:
        yield Finding("right", what, f"{interval:g} s for {needs.dags} DAGs")


def _file_size(facts: Facts, needs: Needs) -> Iterator[Finding]:
    what = "dag_processor.dag_file_processor_timeout"
    limit, needed = _number(facts, what), needs.largest_file * _SECONDS_PER_DAG
    if needed > limit or needs.largest_file > _PER_FILE:
        advice = (
            f"schedule.shards: more files, so that each has at most {_PER_FILE} DAGs; a file that is late is dropped"
        )
        yield Finding("risk", what, f"{limit:g} s for up to {needs.largest_file} DAGs in a file", advice)
    else:
        yield Finding("right", what, f"{limit:g} s for up to {needs.largest_file} DAGs in a file")


def _examples(facts: Facts, _: Needs) -> Iterator[Finding]:
    if _on(facts.options["core.load_examples"]):
        yield Finding("risk", "core.load_examples", "on", "core.load_examples=False: a hundred DAGs that nobody needs")


def _usage(facts: Facts, _: Needs) -> Iterator[Finding]:
    if not _on(facts.options["usage_data_collection.enabled"]):
        yield Finding("right", "usage reporting", "Airflow sends none")
    else:
        advice = "usage_data_collection.enabled=False: nothing about the plant leaves it"
        yield Finding("risk", "usage_data_collection.enabled", "on", advice)


def _number(facts: Facts, option: str) -> float:
    return float(facts.options[option] or 0)


def _on(value: str | None) -> bool:
    return (value or "").strip().lower() in ("true", "t", "1", "yes", "on")
