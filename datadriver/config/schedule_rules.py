"""What must hold in the section `schedule`, and between it and the rest of the use case."""

from __future__ import annotations

import re
from collections.abc import Iterator

from datadriver.config.grid import PLACEHOLDER
from datadriver.config.locations import is_url
from datadriver.config.messages import Problem
from datadriver.config.schedule_section import OnData, Schedule, Secret
from datadriver.config.sections import UseCase
from datadriver.config.times import cron_problem, zone_problem

_MOUNT = re.compile(r"(?P<source>[^:]+):(?P<target>[^:]+)(:(?P<mode>[^:]*))?")
_VOLUME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]+")
_USER = re.compile(r"\d+(:\d+)?")
_LABEL = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?")
_PASSWORD = re.compile(r"://[^/@\s]*:[^/@\s]+@")
_ENGINES = ("unix://", "tcp://", "http://", "https://", "ssh://", "npipe://")


def schedule_problems(usecase: UseCase) -> Iterator[Problem]:
    """Yield everything in `schedule` that cannot be meant."""
    schedule = usecase.schedule
    yield from _time_problems(schedule)
    yield from _docker_problems(schedule)
    yield from _kubernetes_problems(usecase)
    yield from _store_problems(usecase)
    for name, value in schedule.environment.items():
        if isinstance(value, Secret) and (value.connection is None) == (value.variable is None):
            said = "give either `connection` or `variable`, the name of what Airflow keeps"
            yield Problem(("schedule", "environment", name), said)
        elif isinstance(value, str) and _PASSWORD.search(value):
            said = "has a password, which would stand in the plan; let Airflow keep it: `{connection: NAME}`"
            yield Problem(("schedule", "environment", name), said)
    if schedule.folder is not None and not schedule.folder.startswith("/"):
        said = f"must be a whole path, such as /opt/{usecase.name}, not {schedule.folder!r}"
        yield Problem(("schedule", "folder"), said)
    for name, url in schedule.urls:
        if url is not None and not url.startswith(("http://", "https://")):
            yield Problem(("schedule", "urls", name), f"must start with http:// or https://, not {url!r}")
        elif url is not None and _PASSWORD.search(url):
            yield Problem(("schedule", "urls", name), "has a password, which everybody would see; leave it out")


def _time_problems(schedule: Schedule) -> Iterator[Problem]:
    if schedule.timezone is not None and (problem := zone_problem(schedule.timezone)):
        yield Problem(("schedule", "timezone"), problem)
    for key in ("train", "score", "release", "monitor"):
        when = getattr(schedule, key)
        if isinstance(when, str) and (problem := cron_problem(when)):
            yield Problem(("schedule", key), problem)
        elif isinstance(when, OnData) and (problem := _event_problem(when.on)):
            yield Problem(("schedule", key, "on"), problem)
    if not schedule.timeout:
        yield Problem(("schedule", "timeout"), "must be more than zero")
    if schedule.retries.wait > schedule.retries.longest:
        yield Problem(("schedule", "retries", "wait"), "must not be longer than `longest`")


def _event_problem(name: str) -> str | None:
    """Say why a text cannot be the name of an Airflow asset, attributes in braces and all."""
    plain = PLACEHOLDER.sub("x", name)
    if "{" in plain or "}" in plain:
        return f"{name!r}: braces hold the name of one attribute, such as {{asset_id}}"
    if not plain.strip() or plain in ("self", "context"):
        return f"{name!r} is no name that Airflow takes for an asset; write for example sensors/{{asset_id}}"
    return None


def _docker_problems(schedule: Schedule) -> Iterator[Problem]:
    docker, here = schedule.docker, ("schedule", "docker")
    if not docker.engine.startswith(_ENGINES):
        said = f"must say how to reach the engine, such as unix:///var/run/docker.sock, not {docker.engine!r}"
        yield Problem((*here, "engine"), said)
    if docker.user is not None and not _USER.fullmatch(docker.user):
        yield Problem((*here, "user"), f"must be numbers, `uid` or `uid:gid`, not {docker.user!r}")
    targets: dict[str, str] = {}
    for place, text in enumerate(docker.mounts):
        if problem := _mount_problem(text):
            yield Problem((*here, "mounts", place), problem)
            continue
        target = text.split(":")[1].rstrip("/")
        if target in targets:
            yield Problem((*here, "mounts", place), f"{targets[target]!r} is mounted at {target} already")
        targets.setdefault(target, text)


def _mount_problem(text: str) -> str | None:
    found = _MOUNT.fullmatch(text)
    if not found:
        return f"{text!r} is not `source:target[:ro]`, such as ./data:/usecase/data:ro"
    source, target, mode = found["source"], found["target"], found["mode"]
    if mode not in (None, "ro", "rw"):
        return f"{text!r} ends in {mode!r}; write `ro` there, or nothing for what containers may write to"
    if not target.startswith("/"):
        return f"{text!r}: the target must be a whole path in the container, such as /usecase/{target.lstrip('./')}"
    if not source.startswith(("/", "./")) and not _VOLUME.fullmatch(source):
        return (
            f"{text!r}: the source must start with `/`, or with `./` for the use case's folder, or be a volume's name"
        )
    return None


def _kubernetes_problems(usecase: UseCase) -> Iterator[Problem]:
    kubernetes, here = usecase.schedule.kubernetes, ("schedule", "kubernetes")
    if usecase.schedule.runtime == "kubernetes" and usecase.package.registry is None:
        yield Problem(
            ("package", "registry"), "is required for schedule.runtime kubernetes: pods get images from there"
        )
    for key in ("namespace", "service_account"):
        name = getattr(kubernetes, key)
        if name is not None and not _LABEL.fullmatch(name):
            yield Problem((*here, key), f"{name!r} is no name in Kubernetes: lower-case letters, digits, `-` and `.`")
    for path, claim in kubernetes.claims.items():
        if not path.startswith("/"):
            yield Problem(
                (*here, "claims"), f"{path!r} must be a whole path in the container: `path: name of the claim`"
            )
        if not _LABEL.fullmatch(claim):
            yield Problem((*here, "claims", path), f"{claim!r} is no name of a persistent volume claim")


def _store_problems(usecase: UseCase) -> Iterator[Problem]:
    """Say where each container would have a ledger or scores of its own, gone with it."""
    key = {"docker": "mounts", "kubernetes": "claims"}.get(usecase.schedule.runtime)
    if key is None or getattr(getattr(usecase.schedule, usecase.schedule.runtime), key):
        return
    stores = {
        "ledger.uri": usecase.ledger.uri.startswith("sqlite"),
        "scores.path": not is_url(usecase.scores.path),
        "tracking.artifacts": usecase.tracking.uri.startswith("sqlite") and not is_url(usecase.tracking.artifacts),
    }
    local = [path for path, is_local in stores.items() if is_local]
    if local:
        example = "./.datadriver:/usecase/.datadriver" if key == "mounts" else "{/usecase/.datadriver: a-claim}"
        yield Problem(
            ("schedule", usecase.schedule.runtime, key),
            f"is needed: {', '.join(local)} are files, and each container would have its own; for example {example}",
        )
