"""A container that survives the task that started it: found again by its name, its output and result read once."""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from docker.errors import APIError, DockerException, ImageNotFound, NotFound
from docker.types import Mount
from requests.exceptions import RequestException
from urllib3.exceptions import HTTPError

from datadriver.errors import ConfigError, UnavailableError

if TYPE_CHECKING:
    from docker import APIClient

LABEL = "io.datadriver.task"
"""Every container of a task has it; its value is a digest of what it was told to do."""
_KEPT = timedelta(days=1)
"""So long an exited container waits for a task that takes its result, which no longer wait between two tries is."""
_GRACE = 3
"""Seconds between SIGTERM and SIGKILL; Airflow gives a task that it ends 5 seconds."""
_AGAIN = 1.0  # seconds until a broken stream of output is looked for again
_TRIED_AGAIN = frozenset({5, 137, 143})


@dataclass(frozen=True)
class Wanted:
    """A container as a task wants it.

    Attributes:
        name: the same for every try of one task in one run.
        command: arguments of the image's entrypoint.
        environment: has secrets, so it is in no label and no message.
        labels: for people and their filters.
        network: name of a network of the engine, or `none`.
        cpus: limit in cores; `memory` in bytes.
        mounts: `source:target[:ro]`, sources as the engine's machine has them.
        user: `uid[:gid]`; default: the image's.
    """

    name: str
    image: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(repr=False)
    labels: Mapping[str, str]
    network: str
    cpus: float | None = None
    memory: int | None = None
    mounts: Sequence[str] = ()
    user: str | None = None

    @property
    def digest(self) -> str:
        """Of all but the environment."""
        said = {key: value for key, value in asdict(self).items() if key != "environment"}
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()

    def options(self, client: APIClient) -> dict[str, Any]:
        """Return what the engine is asked for: nothing may be written but /tmp and mounts, no right is left."""
        host = client.create_host_config(
            read_only=True,
            tmpfs={"/tmp": ""},  # noqa: S108 - the container's own
            network_mode=self.network,
            mounts=[mount_of(text) for text in self.mounts],
            nano_cpus=None if self.cpus is None else round(self.cpus * 1e9),
            mem_limit=self.memory,
            memswap_limit=self.memory,
            cap_drop=["ALL"],
            security_opt=["no-new-privileges"],
            init=True,
        )
        return {
            "image": self.image,
            "command": list(self.command),
            "name": self.name,
            "environment": {"PYTHONUNBUFFERED": "1", **self.environment},
            "labels": {**self.labels, LABEL: self.digest},
            "host_config": host,
            "healthcheck": {"test": ["NONE"]},  # that of the image starts a Python twice a minute, for servers
            "user": self.user,
        }


@dataclass(frozen=True)
class Container:
    """A container in an engine that answers, or that did when it was last asked."""

    client: APIClient
    name: str

    def state(self) -> Mapping[str, Any] | None:
        """Return what the engine says of it: `State` and `Config`; None where there is none."""
        with answering(f"looking for container {self.name}"):
            try:
                found: Mapping[str, Any] = self.client.inspect_container(self.name)
            except NotFound:
                return None
        return found

    def works(self) -> bool:
        """Whether there is one that has not ended."""
        found = self.state()
        return found is not None and found["State"]["Status"] in {"running", "paused", "restarting"}

    def waits(self, wanted: Wanted) -> bool:
        """Whether one that has ended has the result that is wanted now; one that has not is removed.

        What counts is that it was told to do the same, and that a new one would not just be another try.
        """
        found = self.state()
        if found is None:
            return False
        state, same = found["State"], found["Config"]["Labels"].get(LABEL) == wanted.digest
        if state["Status"] == "exited" and same and state["ExitCode"] not in _TRIED_AGAIN:
            return True
        self.remove()
        return False

    def start(self, wanted: Wanted) -> None:
        """Create it and start it; another try of the same task that is faster is no error.

        Raises:
            ImageNotFound: the engine does not have the image.
            ConfigError: the engine refuses what is asked for.
            UnavailableError: the engine does not answer.
        """
        with answering(f"starting container {self.name}"):
            try:
                self.client.create_container(**wanted.options(self.client))
            except ImageNotFound:
                raise
            except APIError as error:
                if error.status_code != 409:
                    raise
            self.client.start(self.name)

    def lines(self) -> Iterator[str]:
        """Yield its output from its first line on, until it ends."""
        since: float | None = None
        while True:
            asked = time.time()
            with contextlib.suppress(NotFound), answering(f"following container {self.name}"):
                stream = self.client.logs(self.name, stream=True, follow=True, since=since)
                yield from _lines(stream)
            found = self.state()
            if found is None or not found["State"]["Running"]:
                return
            since = max(asked, time.time() - _AGAIN)  # the engine let go of the stream, not of the container
            time.sleep(_AGAIN)

    def result(self) -> tuple[int, bool]:
        """Return its exit code, and whether it was ended because its memory ran out.

        Raises:
            UnavailableError: somebody removed it.
        """
        found = self.state()
        if found is None:
            raise UnavailableError(f"container {self.name} was removed before its result was taken")
        return int(found["State"]["ExitCode"]), bool(found["State"].get("OOMKilled"))

    def stop(self) -> None:
        """End it, in order if it can, and remove it."""
        with contextlib.suppress(NotFound), answering(f"stopping container {self.name}"):
            self.client.stop(self.name, timeout=_GRACE)
        self.remove()

    def remove(self) -> None:
        """Remove it, whatever it is doing; one that is gone, or going, is no error."""
        with answering(f"removing container {self.name}"):
            try:
                self.client.remove_container(self.name, force=True, v=True)
            except NotFound:
                return
            except APIError as error:
                if error.status_code != 409:
                    raise


def sweep(client: APIClient) -> list[str]:
    """Remove containers of tasks whose result nobody has taken for a day, and return their names."""
    filters = {"label": LABEL, "status": ["created", "exited", "dead"]}
    removed = []
    with answering("looking for old containers"):
        for one in client.containers(all=True, filters=filters):
            if datetime.now(UTC) - datetime.fromtimestamp(one["Created"], UTC) < _KEPT:
                continue
            with contextlib.suppress(NotFound):
                ended = client.inspect_container(one["Id"])["State"]["FinishedAt"]
                if datetime.now(UTC) - datetime.fromisoformat(f"{ended[:19]}+00:00") > _KEPT:
                    Container(client, one["Id"]).remove()
                    removed += [name.removeprefix("/") for name in one["Names"]]
    return removed


def mount_of(text: str) -> Mount:
    """Return a mount as the engine knows it: a folder or file where the source is a path, else a volume.

    >>> mount_of("/srv/data:/data:ro")["Type"], mount_of("scores:/scores")["Type"]
    ('bind', 'volume')

    Raises:
        ConfigError: it is not `source:target[:ro]`.
    """
    source, _, rest = text.partition(":")
    target, _, mode = rest.partition(":")
    if not source or not target.startswith("/") or mode not in {"", "ro", "rw"}:
        raise ConfigError(f"schedule.docker.mounts: {text!r} is not `source:target[:ro]` with an absolute target")
    return Mount(target, source, type="bind" if source.startswith("/") else "volume", read_only=mode == "ro")


def rooted(text: str, folder: str) -> str:
    """Return a mount whose source `./data` is meant from a folder with the whole path.

    >>> rooted("./data:/usecase/data:ro", "/srv/pumps")
    '/srv/pumps/data:/usecase/data:ro'
    """
    source, colon, rest = text.partition(":")
    return f"{Path(folder, source)}{colon}{rest}" if source == "." or source.startswith("./") else text


@contextlib.contextmanager
def answering(doing: str) -> Iterator[None]:
    """Turn the failures of an engine into our errors: what may pass is tried again, what was refused is not.

    Raises:
        NotFound, ImageNotFound: as they are.
        ConfigError: the engine refuses what it was asked for.
        UnavailableError: it does not answer, or fails.
    """
    try:
        yield
    except NotFound:
        raise
    except APIError as error:
        text = f"{doing}: {error.explanation or error}"
        refused = error.is_client_error() and error.status_code != 409
        raise (ConfigError(text) if refused else UnavailableError(text)) from error
    except (DockerException, RequestException, HTTPError, OSError) as error:
        raise UnavailableError(
            f"{doing}: the Docker engine does not answer ({error}). A container that runs goes on, and the next try "
            "attaches to it"
        ) from error


def _lines(stream: Iterator[bytes]) -> Iterator[str]:
    """Split what comes in pieces into lines."""
    rest = b""
    for piece in stream:
        *whole, rest = (rest + piece).split(b"\n")
        yield from (line.decode(errors="replace") for line in whole)
    if rest:
        yield rest.decode(errors="replace")
