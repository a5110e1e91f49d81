"""Airflow on this machine, without Docker: where it lives, which port it gets, its settings and its plan.

`airflow standalone` is not it: that takes settings from whatever environment it is called in, prints everything, and
ends its processes in any order, so that a task cannot report how it ended.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import secrets
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from datadriver.config.fleet import Asset, Instance
from datadriver.config.sections import UseCase
from datadriver.errors import ConfigError, MissingExtraError
from datadriver.fleet.pool import default_workers
from datadriver.orchestration.build import header, plan_dags
from datadriver.orchestration.plan import DagPlan
from datadriver.orchestration.shards import loader_text, plan_files, write_files

USUAL_PORT = 8080
HOST = "127.0.0.1"
_KEPT = ("AIRFLOW_CONN_", "AIRFLOW_VAR_")
"""Connections and variables are somebody's own; any other setting of an Airflow elsewhere is not for this one."""


@dataclass(frozen=True)
class Place:
    """Where one Airflow lives.

    Attributes:
        root: folder of the use case.
        port: of its pages and its API, on this machine only.
        live: whether new DAGs follow their schedules at once; else they wait until somebody switches them on.
    """

    root: Path
    port: int
    live: bool = False

    @property
    def home(self) -> Path:
        """Folder of its database, logs and settings; kept between runs."""
        return home_of(self.root)

    @property
    def dags(self) -> Path:
        """Folder of the plan that it reads."""
        return self.home / "dags"

    @property
    def url(self) -> str:
        """Address of the pages."""
        return f"http://{HOST}:{self.port}"


def home_of(root: Path) -> Path:
    """Return the folder of the Airflow of a use case."""
    return root.resolve() / ".datadriver" / "airflow"


def require_airflow() -> None:
    """Check that Airflow can be started.

    Raises:
        MissingExtraError: it is not installed.
    """
    found = importlib.util.find_spec("airflow")
    if found is None or found.origin is None:  # a folder of that name is no Airflow
        raise MissingExtraError("airflow", "datadriver airflow up")


def choose_port(port: int | None = None) -> int:
    """Return the port that was asked for, or the usual one, or where that is taken any free one.

    Raises:
        ConfigError: the port that was asked for is taken.
    """
    for candidate in (USUAL_PORT, 0) if port is None else (port,):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((HOST, candidate))
            return int(probe.getsockname()[1])
    raise ConfigError(f"port {port} of {HOST} is taken; choose another, or leave --port out to get a free one")


def write_plan(
    place: Place, usecase: UseCase, assets: Sequence[Asset], instances: Sequence[Instance], *, env: str | None
) -> tuple[DagPlan, ...]:
    """Write the plan of a use case for this Airflow alone; that of `datadriver dags build` stays as it is.

    Raises:
        ConfigError: there is no plan of this use case and fleet.
    """
    planned = plan_dags(usecase, assets, instances)
    dags = planned if place.live else tuple(replace(dag, paused=True) for dag in planned)
    shared = header(usecase, str(place.root.resolve()), env)
    shared = replace(shared, urls={**shared.urls, "airflow": place.url})
    write_files(usecase, plan_files(usecase, shared, dags, loader_text(usecase, place.root)), place.dags)
    return dags


def settings(place: Place) -> dict[str, str]:
    """Return the environment of Airflow's processes: the one here, without the settings of another Airflow."""
    ours = {
        "CORE__DAGS_FOLDER": place.dags,
        "CORE__EXECUTOR": "LocalExecutor",
        "CORE__PARALLELISM": default_workers(),
        "CORE__LOAD_EXAMPLES": False,
        "CORE__DAGS_ARE_PAUSED_AT_CREATION": not place.live,
        "CORE__EXECUTION_API_SERVER_URL": f"{place.url}/execution/",
        # Nobody is asked who they are: only this machine can get there at all.
        "CORE__AUTH_MANAGER": "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager",
        "CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": True,
        "API__HOST": HOST,
        "API__PORT": place.port,
        "API__BASE_URL": place.url,
        "API__WORKERS": 1,
        "API__SECRET_KEY": _secret(place, "api"),
        "API_AUTH__JWT_SECRET": _secret(place, "tokens"),
        "DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{place.home / 'airflow.db'}",
        "DAG_PROCESSOR__REFRESH_INTERVAL": 5,  # a new plan is seen soon, and one that stayed is not read again
        "DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": 600,
        "LOGGING__BASE_LOG_FOLDER": place.home / "logs",
        "USAGE_DATA_COLLECTION__ENABLED": False,
    }
    kept = {name: value for name, value in os.environ.items() if _is_kept(name)}
    loopback = ",".join(filter(None, (os.environ.get("no_proxy") or os.environ.get("NO_PROXY"), HOST)))
    return {
        **kept,
        "AIRFLOW_HOME": str(place.home),
        **{f"AIRFLOW__{name}": str(value) for name, value in ours.items()},
        "SCARF_ANALYTICS": "false",
        "DO_NOT_TRACK": "1",
        "no_proxy": loopback,
        "NO_PROXY": loopback,
        "PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath))),
    }


def _is_kept(name: str) -> bool:
    return name.startswith(_KEPT) or not name.startswith("AIRFLOW")


def _secret(place: Place, name: str) -> str:
    """Return a secret of this Airflow's own; what one run has signed, the next one reads."""
    path = place.home / "secrets" / name
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError), open(path, "x", encoding="utf-8", opener=_for_owner) as file:
        file.write(secrets.token_urlsafe(32))
    return path.read_text("utf-8")


def _for_owner(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


@contextlib.contextmanager
def only_one(home: Path) -> Iterator[Callable[[str], None]]:
    """Hold a home for this process: two schedulers on one SQLite file would disturb each other.

    Gives a function that tells others, who are refused, what runs here.

    Raises:
        ConfigError: another process holds it.
    """
    import fcntl  # noqa: PLC0415 - not on every system, but on every one that Airflow runs on

    home.mkdir(parents=True, exist_ok=True)
    with (home / "running").open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            raise ConfigError(f"Airflow runs here already: {file.read()}; end that one first") from None

        def tell(what: str) -> None:
            file.truncate(0)
            file.write(what)
            file.flush()

        tell(f"process {os.getpid()}")
        yield tell
