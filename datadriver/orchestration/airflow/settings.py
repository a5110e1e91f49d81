"""What Airflow is set to here, asked of Airflow itself, of its database and of the files of a plan.

`python -m datadriver.orchestration.airflow.settings` reads a `Request` from standard input and writes `Facts` to
standard output, each as one JSON document. It is a process of its own, so that nobody else gets Airflow's logging,
its connections and its seconds of import. No secret is in the answer.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from datadriver.errors import MissingExtraError, UnavailableError

OPTIONS = (
    ("core", "executor"),
    ("core", "load_examples"),
    ("core", "multi_team"),
    ("core", "parallelism"),
    ("dag_processor", "dag_file_processor_timeout"),
    ("dag_processor", "min_file_process_interval"),
    ("scheduler", "task_instance_heartbeat_timeout"),
    ("usage_data_collection", "enabled"),
    ("workers", "execution_api_retries"),
    ("workers", "execution_api_retry_wait_max"),
    ("workers", "execution_api_retry_wait_min"),
    ("workers", "max_failed_heartbeats"),
    ("workers", "min_heartbeat_interval"),
)
_PATIENCE = 900
"""Seconds that Airflow may take to answer, the parsing of all files of a plan included."""
_DRIVER = "; set database.sql_alchemy_conn_async to the same address as .sql_alchemy_conn, with postgresql+psycopg://"


@dataclass(frozen=True)
class Request:
    """What is asked beside the configuration.

    Attributes:
        files: `.py` files to parse as Airflow does.
        connections: ids that must be known.
        variables: keys that must be known.
    """

    files: Sequence[str] = ()
    connections: Sequence[str] = ()
    variables: Sequence[str] = ()


@dataclass(frozen=True)
class Parsed:
    """One file as Airflow reads it: its DAGs, seconds, and the last line of an error."""

    path: str
    dags: int
    seconds: float
    error: str | None = None


@dataclass(frozen=True)
class Database:
    """Airflow's own database.

    Attributes:
        url: without its password.
        kind: `postgresql`, `sqlite` or `mysql`.
        idle_timeout: PostgreSQL's idle_in_transaction_session_timeout as it is for Airflow's user, seconds; 0 is never.
        pools: names of the pools; None before `airflow db migrate`.
        error: why it did not answer.
    """

    url: str
    kind: str
    idle_timeout: float | None = None
    pools: Sequence[str] | None = None
    error: str | None = None


@dataclass(frozen=True)
class Facts:
    """What Airflow here is set to.

    Attributes:
        versions: of Airflow, its providers that tasks run with, and datadriver.
        options: `section.option`: value, None where this version has no such option.
        jwt_secret: whether one is set; else each process makes up another.
        bundles: name: folder, None for bundles that are not a folder of this machine.
        plugins: names of the plugins that were loaded.
        plugin_errors: module: why it was not loaded.
        database: what it says.
        absent_connections: ids that no secrets backend knows.
        absent_variables: keys that no secrets backend knows.
        parsed: a file each.
    """

    versions: dict[str, str]
    options: dict[str, str | None]
    jwt_secret: bool
    bundles: dict[str, str | None]
    plugins: Sequence[str]
    plugin_errors: dict[str, str]
    database: Database
    absent_connections: Sequence[str] = ()
    absent_variables: Sequence[str] = ()
    parsed: Sequence[Parsed] = field(default_factory=tuple)

    @classmethod
    def of(cls, text: str) -> Facts:
        """Read what the process wrote."""
        known = json.loads(text)
        known["database"] = Database(**known["database"])
        known["parsed"] = [Parsed(**one) for one in known["parsed"]]
        return cls(**known)


def ask(request: Request) -> Facts:
    """Ask the Airflow of this environment, in a process of its own.

    Raises:
        MissingExtraError: Airflow is not installed here.
        UnavailableError: Airflow did not start or did not answer; the message has the end of what it said.
    """
    if importlib.util.find_spec("airflow") is None:
        raise MissingExtraError("airflow", "dags doctor")
    environment = dict(os.environ)
    home = Path(environment.get("AIRFLOW_HOME", "~/airflow")).expanduser()
    if "AIRFLOW_CONFIG" not in environment and not (home / "airflow.cfg").exists():
        environment["AIRFLOW_CONFIG"] = os.devnull  # else Airflow writes one; looking must change nothing
    try:
        done = subprocess.run(  # noqa: S603 - this module
            [sys.executable, "-m", __spec__.name],
            input=json.dumps(asdict(request)),
            env=environment,
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise UnavailableError(f"Airflow did not answer within {_PATIENCE} s when asked for its settings") from None
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["no word"]
        hint = _DRIVER if "asyncpg" in said[-1] else ""
        raise UnavailableError(f"Airflow did not start to say how it is set: {said[-1]}{hint}")
    return Facts.of(done.stdout)


def main() -> None:
    """Answer the request on standard input."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever Airflow and the files of the plan print is no part of the answer
    asked = Request(**json.load(sys.stdin))
    with answers:
        json.dump(asdict(_facts(asked)), answers)


def _facts(asked: Request) -> Facts:
    from airflow.configuration import conf  # noqa: PLC0415 - seconds, and only here is it known to be a process of its own
    from airflow.plugins_manager import ensure_plugins_loaded, get_import_errors, get_plugin_info  # noqa: PLC0415

    ensure_plugins_loaded()
    database = _database(conf.get("database", "sql_alchemy_conn"))
    reachable = database.error is None and database.pools is not None
    return Facts(
        versions=_versions(),
        options={f"{section}.{option}": conf.get(section, option, fallback=None) for section, option in OPTIONS},
        jwt_secret=any(conf.get("api_auth", key, fallback=None) for key in ("jwt_secret", "jwt_private_key_path")),
        bundles=_bundles(conf),
        plugins=[one["name"] for one in get_plugin_info({"name"})],
        plugin_errors=dict(get_import_errors()),
        database=database,
        absent_connections=[name for name in asked.connections if reachable and not _has_connection(name)],
        absent_variables=[name for name in asked.variables if reachable and not _has_variable(name)],
        parsed=[_parsed(path) for path in asked.files],
    )


def _versions() -> dict[str, str]:
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415

    found = {"python": sys.version.split()[0]}
    providers = (f"apache-airflow-providers-{name}" for name in ("celery", "cncf-kubernetes", "docker", "standard"))
    for name in ("apache-airflow", *providers, "datadriver"):
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def _bundles(conf: Any) -> dict[str, str | None]:
    """Return the folders that the DAG processor reads."""
    found: dict[str, str | None] = {}
    for bundle in conf.getjson("dag_processor", "dag_bundle_config_list") or []:
        local = bundle["classpath"].endswith(".LocalDagBundle")
        path = bundle.get("kwargs", {}).get("path") or conf.get("core", "dags_folder")
        found[bundle["name"]] = str(Path(path).expanduser()) if local else None
    return found


def _database(address: str) -> Database:
    import sqlalchemy as sa  # noqa: PLC0415

    url = sa.make_url(address)
    said = Database(url.render_as_string(hide_password=True), url.get_backend_name())
    if said.kind == "sqlite" and url.database and not Path(url.database).exists():
        return said  # connecting would make the file
    patience = {"connect_timeout": 10} if said.kind == "postgresql" else {}
    engine = sa.create_engine(url, connect_args=patience)
    try:
        with engine.connect() as connection:
            return _asked(connection, said)
    except sa.exc.SQLAlchemyError as error:
        why = str(getattr(error, "orig", None) or error).strip().splitlines()
        return Database(said.url, said.kind, error=why[-1] if why else type(error).__name__)
    finally:
        engine.dispose()


def _asked(connection: Any, said: Database) -> Database:
    import sqlalchemy as sa  # noqa: PLC0415

    timeout = pools = None
    if said.kind == "postgresql":
        shown = "SELECT extract(epoch FROM current_setting('idle_in_transaction_session_timeout')::interval)"
        timeout = float(connection.execute(sa.text(shown)).scalar_one())
    if sa.inspect(connection).has_table("slot_pool"):
        pools = list(connection.execute(sa.text("SELECT pool FROM slot_pool ORDER BY pool")).scalars())
    return Database(said.url, said.kind, timeout, pools)


def _has_connection(name: str) -> bool:
    from airflow.models.connection import Connection  # noqa: PLC0415
    from airflow.sdk.exceptions import AirflowNotFoundException  # noqa: PLC0415

    try:
        Connection.get_connection_from_secrets(name)
    except AirflowNotFoundException:
        return False
    return True


def _has_variable(name: str) -> bool:
    from airflow.models.variable import Variable  # noqa: PLC0415

    return Variable.get_variable_from_secrets(name) is not None


def _parsed(path: str) -> Parsed:
    from airflow.dag_processing.dagbag import DagBag  # noqa: PLC0415

    begin = time.monotonic()
    bag = DagBag(path)
    error = next(iter(bag.import_errors.values()), None)
    last = error.strip().splitlines()[-1] if error else None
    return Parsed(path, len(bag.dags), round(time.monotonic() - begin, 3), last)


if __name__ == "__main__":
    main()
