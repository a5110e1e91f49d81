"""Which operator runs a command, and how what Airflow itself does comes on top of that, whatever the runtime."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from functools import lru_cache
from importlib import import_module
from typing import Any

from airflow.sdk.bases.operator import BaseOperator

from datadriver.orchestration.airflow.tasks import CommandTask
from datadriver.orchestration.plan import Header, TaskPlan

_OPERATORS = {
    "process": "process.ProcessOperator",
    "docker": "docker.FleetDockerOperator",
    "kubernetes": "kubernetes.FleetPodOperator",
}


class AnswerTask(CommandTask):
    """A command whose answer is a JSON document; the task's log shows only what is said beside it."""

    def follow(self, lines: Iterable[str], kept: deque[str]) -> None:
        """Keep all, and put what is not of the document into the log."""
        inside = False
        for line in lines:
            text = line.rstrip()
            inside = inside or text == "{"
            if inside:
                kept.append(text)
            else:
                super().follow([line], kept)
            inside = inside and text != "}"


def operator_of(task: TaskPlan, header: Header) -> type[BaseOperator]:
    """Return the operator that runs the command of a task; it is imported only now: clients take seconds."""
    module, _, name = _OPERATORS["process" if task.on_worker else header.runtime].rpartition(".")
    found: type[BaseOperator] = getattr(import_module(f"datadriver.orchestration.airflow.{module}"), name)
    return found


@lru_cache
def _combined(part: Any, operator: type[BaseOperator]) -> type[BaseOperator]:
    return type(part.__name__, (part, operator), {"__module__": part.__module__, "__doc__": part.__doc__})


def on_runtime(part: type[CommandTask], task: TaskPlan, header: Header) -> type[BaseOperator]:
    """Return the operator of a task's runtime with `part` before it: what a command needs besides being run."""
    return _combined(part, operator_of(task, header))  # type: ignore[arg-type] # mypy takes part for an instance
