"""Servers for a benchmark, on free ports of this machine and gone when it ends: PostgreSQL and MLflow."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import sqlalchemy as sa

_HOSTED = Path("/usr/lib/postgresql")


class Missing(Exception):  # noqa: N818 - no error: why something cannot be measured here
    """Why a server cannot be started."""


@contextmanager
def postgres() -> Iterator[str]:
    """Start a PostgreSQL cluster of its own, with its defaults (it flushes to disk); gives a URL without database."""
    binaries = _binaries()
    try:
        account = pwd.getpwnam("postgres")
    except KeyError:
        raise Missing("there is no user postgres") from None
    if os.getuid() != 0:
        raise Missing("starting PostgreSQL as its own user needs root")
    home = Path(tempfile.mkdtemp(prefix="datadriver-bench-postgres-"))
    os.chown(home, account.pw_uid, account.pw_gid)
    port = _free_port()

    def run(*command: str) -> None:
        subprocess.run(command, user="postgres", check=True, capture_output=True, timeout=60, cwd=home)

    try:
        run(str(binaries / "initdb"), "-D", f"{home}/data", "-A", "trust", "-U", "postgres")
        options = f"-p {port} -k {home} -c listen_addresses=127.0.0.1"
        run(str(binaries / "pg_ctl"), "-D", f"{home}/data", "-w", "-l", f"{home}/log", "-o", options, "start")
        try:
            server = f"postgresql://postgres@127.0.0.1:{port}"
            for name in ("mlflow", "ledger"):
                create_database(server, name)
            yield server
        finally:
            run(str(binaries / "pg_ctl"), "-D", f"{home}/data", "-m", "fast", "stop")
    finally:
        shutil.rmtree(home, ignore_errors=True)


@contextmanager
def mlflow_server(folder: Path) -> Iterator[str]:
    """Start MLflow's tracking server with one process, on SQLite and a folder; gives its address."""
    folder.mkdir(parents=True)
    address = f"http://127.0.0.1:{_free_port()}"
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", address.rpartition(":")[2]]
    command += ["--workers", "1", "--backend-store-uri", f"sqlite:///{folder}/mlflow.db"]
    command += ["--artifacts-destination", (folder / "artifacts").as_uri()]
    environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, env=environment, start_new_session=True)
    try:
        until = time.monotonic() + 180
        while not _answers(address):
            if process.poll() is not None or time.monotonic() > until:
                raise Missing("MLflow's server does not start")
            time.sleep(0.2)
        yield address
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()


def _binaries() -> Path:
    found = shutil.which("initdb")
    places = [*sorted(_HOSTED.glob("*/bin"), reverse=True), *([Path(found).parent] if found else [])]
    for place in places:
        if (place / "initdb").exists() and (place / "pg_ctl").exists():
            return place
    raise Missing("PostgreSQL is not installed")


def create_database(server: str, name: str, *, template: str = "template1") -> str:
    """Make a database, as a copy of another one to which nobody is connected; returns its URL."""
    engine = sa.create_engine(f"{server.replace('://', '+psycopg://')}/postgres", isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name} TEMPLATE {template}")
    engine.dispose()
    return f"{server}/{name}"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _answers(address: str) -> bool:
    with suppress(urllib.error.URLError, TimeoutError, ConnectionError), urllib.request.urlopen(f"{address}/health"):
        return True
    return False
