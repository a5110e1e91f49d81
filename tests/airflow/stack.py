"""Airflow as it runs in production, but lean: api-server, scheduler and DAG processor as processes, on PostgreSQL.

What is asked of it goes through its REST API, as for everybody; what is looked at is read from its database. All that
it starts is found again by a mark in the environment, so that in the end orphans are gone, too, and nothing else.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import httpx
import sqlalchemy as sa
from stack_records import Records
from stack_settings import MARK, PASSWORD, RESILIENT, USERS, environment

SERVERS = {
    "api-server": ("api-server", "--host", "127.0.0.1", "--port", "{port}"),
    "dag-processor": ("dag-processor",),
    "scheduler": ("scheduler", "--skip-serve-logs"),
}
FINISHED = ("success", "failed")


class Stack(Records):
    """Airflow on a database of its own, with the DAGs of some folders."""

    def __init__(  # noqa: PLR0913 - what differs between stacks
        self,
        home: Path,
        database: str,
        folders: Mapping[str, Path],
        *,
        settings: Mapping[str, str] = RESILIENT,
        variables: Mapping[str, str] | None = None,
        servers: Mapping[str, Sequence[str]] = SERVERS,
    ) -> None:
        """Prepare `home` of Airflow; `database` is a URL of `migrate`, `folders` are bundles: a name and a folder.

        `settings` are Airflow's, named `SECTION__KEY`; `variables` are what all processes get besides.
        """
        super().__init__(database)
        self.home, self.servers = home, dict(servers)
        self.port = free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        self.mark = uuid.uuid4().hex
        self.environment = environment(
            home, database=database, folders=folders, address=self.address, mark=self.mark, settings=settings
        ) | (variables or {})
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self._began: dict[str, datetime] = {}
        self._tokens: dict[str, str] = {}
        home.mkdir(parents=True, exist_ok=True)
        (home / "passwords.json").write_text(json.dumps(dict.fromkeys(USERS, PASSWORD)), "utf-8")

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    # The processes

    def start(self, *names: str) -> None:
        """Start servers (default: all) and wait until they are at work."""
        for name in names or self.servers:
            self._began[name] = datetime.now(UTC)
            command = [part.format(port=self.port) for part in self.servers[name]]
            with (self.home / f"{name}.log").open("ab") as log:
                self.processes[name] = subprocess.Popen(
                    [sys.executable, "-m", "airflow", *command],
                    env=self.environment,
                    cwd=self.home,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
        if "api-server" in (names or self.servers):
            self.until(self._answers, "the api-server answers", 120)
        for job, name in (("SchedulerJob", "scheduler"), ("DagProcessorJob", "dag-processor")):
            if name in (names or self.servers):
                self.until(lambda job=job, name=name: self._at_work(job, name), f"the {name} is at work", 120)

    def kill(self, name: str) -> None:
        """Kill a server as `kill -9` does; its children live on, if they can."""
        self.processes[name].kill()
        self.processes.pop(name).wait(30)

    def kill_task(self, dag_id: str, task_id: str) -> int:
        """Kill the process in which the operator of a running task works; return its id."""
        [task] = [one for one in self.tasks(dag_id) if one.task_id == task_id and one.state == "running"]
        assert task.pid is not None
        assert self.owns(task.pid), f"process {task.pid} is not of this stack"
        os.kill(task.pid, signal.SIGKILL)
        return task.pid

    def stop(self) -> None:
        """End everything that was started, orphans too."""
        for process in self.processes.values():
            process.terminate()
        limit = time.monotonic() + 10
        for process in self.processes.values():
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(0, limit - time.monotonic()))
        while left := self.pids():
            for pid in left:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.1)
        for process in self.processes.values():
            process.wait()
        self.close()

    def pids(self) -> list[int]:
        """Return the processes that are the stack's: servers, their children, and what these left behind."""
        return [pid for one in Path("/proc").glob("[0-9]*") if self.owns(pid := int(one.name))]

    def owns(self, pid: int) -> bool:
        """Return whether a process is of this stack."""
        with suppress(OSError):
            return f"{MARK}={self.mark}".encode() in Path(f"/proc/{pid}/environ").read_bytes()
        return False

    def cli(self, *arguments: str) -> str:
        """Run Airflow's command line and return what it says."""
        done = subprocess.run(
            [sys.executable, "-m", "airflow", *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    # What is asked of it

    def call(self, method: str, path: str, body: object = None, *, user: str = "ada", code: int | None = None) -> Any:
        """Call the REST API as a user; an answer other than `code` (default: any of success) fails."""
        answer = httpx.request(
            method,
            f"{self.address}/api/v2/{path}",
            json=body,
            headers={"Authorization": f"Bearer {self._token(user)}"},
            timeout=60,
        )
        fine = answer.is_success if code is None else answer.status_code == code
        assert fine, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def trigger(self, dag_id: str, start: str | None = None, end: str | None = None) -> str:
        """Start a run, of a data interval where one is given; return its id."""
        body: dict[str, Any] = {"logical_date": start}
        if start is not None:
            body |= {"data_interval_start": start, "data_interval_end": end}
        return str(self.call("POST", f"dags/{dag_id}/dagRuns", body)["dag_run_id"])

    def backfill(self, dag_id: str, start: str, end: str, *, again: bool = False) -> int:
        """Ask for the runs of the intervals that start in [start, end], those that are done too if `again`.

        A DAG has one backfill at a time, and Airflow looks twice a minute whether that has ended.
        """
        active = "SELECT id FROM backfill WHERE dag_id = :dag_id AND completed_at IS NULL"
        self.until(lambda: not self.query(active, dag_id=dag_id), f"an earlier backfill of {dag_id} has ended", 90)
        body = {"dag_id": dag_id, "from_date": start, "to_date": end, "max_active_runs": 4}
        body["reprocess_behavior"] = "completed" if again else "none"
        return int(self.call("POST", "backfills", body)["id"])

    def pause(self, dag_id: str, *, paused: bool = True) -> None:
        """Switch a DAG off, or on."""
        self.call("PATCH", f"dags/{dag_id}", {"is_paused": paused})

    def answer(self, run: tuple[str, str], task_id: str, choice: str, *, user: str, code: int = 200) -> Any:
        """Answer, as a user, what an approval in a run (DAG and run) asks."""
        path = f"dags/{run[0]}/dagRuns/{run[1]}/taskInstances/{task_id}/-1/hitlDetails"
        return self.call("PATCH", path, {"chosen_options": [choice]}, user=user, code=code)

    # What is to be seen

    def log(self, dag_id: str, run_id: str, task_id: str) -> str:
        """Return what all tries of a task have written."""
        folder = self.home / "logs" / f"dag_id={dag_id}" / f"run_id={run_id}" / f"task_id={task_id}"
        return "\n".join(file.read_text("utf-8") for file in sorted(folder.glob("attempt=*.log")))

    def wait_for_dags(self, dag_ids: Collection[str], *, seconds: float = 90) -> None:
        """Wait until these DAGs can run; a file that cannot be imported fails at once."""

        def there() -> bool:
            assert not (errors := self.import_errors()), errors
            return set(dag_ids) <= self.dag_ids()

        self.until(there, f"DAGs {sorted(set(dag_ids) - self.dag_ids())[:5]} are found", seconds)

    def wait(self, runs: Iterable[tuple[str, str]], *, seconds: float = 180) -> dict[tuple[str, str], str]:
        """Wait until the runs, as pairs of DAG and run, have finished; return their states."""
        wanted = set(runs)
        found: dict[tuple[str, str], str] = {}

        def finished() -> bool:
            found.update({(one.dag_id, one.run_id): one.state for one in self.runs()})
            return all(found.get(one) in FINISHED for one in wanted)

        try:
            self.until(finished, "the runs finish", seconds)
        except TimeoutError as error:
            left = {one: self.states(*one) for one in sorted(wanted) if found.get(one) not in FINISHED}
            raise TimeoutError(f"{error}: {left}") from None
        return {one: found[one] for one in wanted}

    def finish(self, backfills: Iterable[int], *, seconds: float = 240) -> dict[tuple[str, str], str]:
        """Wait until all runs of backfills have finished; return their states."""
        wanted = list(backfills)
        return self.wait([run for one in wanted for run in self.runs_of(one)], seconds=seconds)

    def until(self, met: Callable[[], bool], what: str, seconds: float) -> None:
        """Look twice a second whether a condition is met.

        Raises:
            TimeoutError: it is not in time; or a server has died, with the end of its log.
        """
        limit = time.monotonic() + seconds
        while not met():
            for name, process in self.processes.items():
                if process.poll() is not None:
                    raise TimeoutError(f"{what}: the {name} ended with {process.returncode}: {self.said(name)}")
            if time.monotonic() > limit:
                raise TimeoutError(f"not within {seconds} s: {what}")
            time.sleep(0.5)

    def said(self, name: str, size: int = 3000) -> str:
        """Return the end of a server's log."""
        return (self.home / f"{name}.log").read_text("utf-8", "replace")[-size:]

    def _answers(self) -> bool:
        # Its answer to the first task keeps all others waiting for seconds: what that is made of, is made now.
        with suppress(httpx.ConnectError):
            return httpx.get(f"{self.address}/execution/health", timeout=120).is_success
        return False

    def _at_work(self, job: str, name: str) -> bool:
        # The row of a server that was killed stays `running` for a while.
        text = "SELECT count(*) FROM job WHERE job_type = :job AND state = 'running' AND start_date > :began"
        return bool(self.query(text, job=job, began=self._began[name])[0][0])

    def _token(self, user: str) -> str:
        if user not in self._tokens:
            answer = httpx.post(f"{self.address}/auth/token", json={"username": user, "password": PASSWORD}, timeout=60)
            self._tokens[user] = answer.raise_for_status().json()["access_token"]
        return self._tokens[user]


def migrate(database: str, home: Path) -> None:
    """Make Airflow's tables in a database: once, for copies by `CREATE DATABASE ... TEMPLATE`."""
    stack = Stack(home, database, {})
    stack.cli("db", "migrate")
    stack.stop()


def recover_quickly(database: str) -> None:
    """Let the database end sessions that a killed scheduler has left in a transaction."""
    engine = sa.create_engine(database.replace("://", "+psycopg://"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        name = database.rpartition("/")[2]
        connection.exec_driver_sql(f"ALTER DATABASE {name} SET idle_in_transaction_session_timeout = '10s'")
    engine.dispose()


def free_port() -> int:
    """Return a port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
