"""Tasks as processes on the Airflow worker: the runtime that needs nothing else."""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from datadriver.errors import ConfigError
from datadriver.orchestration.airflow.tasks import CommandTask, Ended, without_airflow
from datadriver.orchestration.plan import DagPlan, Header, TaskPlan
from datadriver.tracking.regularly import regularly

if TYPE_CHECKING:
    from airflow.sdk import Context

_GRACE = 3.0
"""Seconds between SIGTERM and SIGKILL; Airflow gives a task that it ends 5 seconds."""
_LOOK = 2.0
"""Seconds between looks at whether Airflow is still there."""
_DEATH_OF_PARENT = 1  # PR_SET_PDEATHSIG of Linux's prctl


class ProcessOperator(CommandTask, BaseOperator):
    """Runs `python -m datadriver` on the worker.

    The command dies with its task, whatever ends that: the next try then starts beside nothing. What it had done until
    then is kept, by the ledger.
    """

    def __init__(self, *, task: TaskPlan, dag_plan: DagPlan, header: Header, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.planned(task, dag_plan, header)
        self._process: subprocess.Popen[str] | None = None

    def run_command(self, context: Context) -> Ended:
        """Run the command as a child of this process."""
        python = self.header.settings.get("python") or sys.executable
        folder = self.header.folder
        if not Path(folder).is_dir():
            raise ConfigError(
                f"the use case is not on this worker ({platform.node()}): there is no folder {folder}; schedule.folder "
                "of usecase.yaml says where workers have it"
            )
        # Not `--project` alone: relative paths of the environment are meant from there, too.
        line = [python, "-P", "-m", "datadriver", *self.command_line(context), "--project", folder]
        self.log.info("%s", shlex.join(line))
        environment = {**without_airflow(), "PYTHONUNBUFFERED": "1", **self.variables()}
        kept = self.kept()
        with self._started(line, environment, folder) as process:
            assert process.stdout is not None  # noqa: S101 - for mypy: we asked for the pipe
            self.follow(process.stdout, kept)
            code = process.wait()
        return Ended(code if code >= 0 else 128 - code, tuple(kept))

    def on_kill(self) -> None:
        """End the command; Airflow calls it when somebody stops the task or its time is over."""
        if self._process is not None:
            _end(self._process)

    @contextlib.contextmanager
    def _started(
        self, line: Sequence[str], environment: Mapping[str, str], folder: str
    ) -> Iterator[subprocess.Popen[str]]:
        try:
            process = subprocess.Popen(  # noqa: S603 - our own command
                line,
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                encoding="utf-8",
                errors="replace",
                start_new_session=True,
                preexec_fn=_dying_with(os.getpid()),  # noqa: PLW1509 - two system calls, no lock and no memory
            )
        except OSError as error:
            raise ConfigError(
                f"{line[0]} cannot be started on this worker ({platform.node()}): {error.strerror}; "
                "schedule.process.python says which Python has datadriver"
            ) from error
        self._process = process
        try:
            with process, _watched(process):
                try:
                    yield process
                finally:
                    _end(process)
        finally:
            self._process = None


def _dying_with(parent: int) -> Callable[[], None] | None:
    """Let the kernel kill the new process when its parent is gone, however that ends; on Linux only."""
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None).prctl

    def prepare() -> None:
        prctl(_DEATH_OF_PARENT, signal.SIGKILL)
        if os.getppid() != parent:  # it was gone before
            os.kill(os.getpid(), signal.SIGKILL)

    return prepare


@contextlib.contextmanager
def _watched(process: subprocess.Popen[str]) -> Iterator[None]:
    """End the command, too, when the supervisor of this task is gone: Airflow then starts another one elsewhere."""
    supervisor = os.getppid()

    def look() -> None:
        if os.getppid() != supervisor:
            _end(process)

    with regularly(_LOOK, look, name="supervisor"):
        yield


def _end(process: subprocess.Popen[str]) -> None:
    """End a command in order, so that it can say what is kept; after a while by force, with all that it started."""
    if process.poll() is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_GRACE)
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
