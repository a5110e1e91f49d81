"""What a file in Airflow's folder of DAGs calls: the plan beside it becomes DAGs.

Airflow runs the file in two ways: the DAG processor wants all its DAGs, and each task only its own. The second is by
far the more frequent, so the one line of the plan is found without reading the others.
"""

from __future__ import annotations

import json
import mmap
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TypeVar

from airflow.sdk import get_parsing_context
from airflow.sdk.configuration import conf

from datadriver.errors import ConfigError
from datadriver.orchestration.airflow.dags import dag_of
from datadriver.orchestration.plan import DagPlan, Header

if TYPE_CHECKING:
    from airflow.sdk import DAG

T = TypeVar("T", Header, DagPlan)


def load(file: str) -> dict[str, DAG]:
    """Return the DAGs of the `.jsonl` beside a file, by id; only the one that is to run, where Airflow says which.

    The loader as the use case has it, in its own `dags/`, has no plan beside it and gives no DAGs.

    Args:
        file: `__file__` of the caller.

    Raises:
        ConfigError: there is no plan, or it cannot be read. Airflow shows it with its other import errors.
    """
    plan = Path(file).with_suffix(".jsonl")
    if not plan.exists():
        if (plan.parents[1] / "usecase.yaml").exists():
            return {}
        raise ConfigError(
            f"{plan} is missing, the plan of the DAGs of this file: run `datadriver dags build` in the use case, and "
            "copy all files that it writes"
        )
    header, dags = read(plan, only=get_parsing_context().dag_id)
    access = any(one.team for one in dags) and "FabAuthManager" in conf.get("core", "auth_manager", fallback="")
    return {one.dag_id: dag_of(one, header, access=access) for one in dags}


def read(plan: Path, *, only: str | None = None) -> tuple[Header, list[DagPlan]]:
    """Return what a file of a plan says: all of it, or one DAG of it if it has that.

    Args:
        plan: the file.
        only: id of that DAG.

    Raises:
        ConfigError: a line is not what `datadriver dags build` writes.
    """
    with plan.open("rb") as file:
        header = _parsed(Header.of, file.readline(), plan)
        lines = _line(file, only) if only else file
        dags = [_parsed(DagPlan.of, line, plan) for line in lines]
    return replace(header, folder=str((plan.parent / header.folder).resolve())), dags


def _parsed(read_line: Callable[[bytes], T], line: bytes, plan: Path) -> T:
    try:
        return read_line(line)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        start = line[:60].decode(errors="replace").rstrip()
        raise ConfigError(
            f"{plan}: the line {start!r} cannot be read: {error}. Run "
            "`datadriver dags build` with the version of datadriver that Airflow has, and copy all files that it writes"
        ) from error


def _line(file: BinaryIO, dag_id: str) -> list[bytes]:
    """Return the line of a DAG, which starts with its id, if it is there.

    The lines from here on are sorted, so a few of them are looked at, each time that in the middle of the rest: a plain
    search takes a fifth as long, for 1,000 DAGs, as all else that a task does with the file.
    """
    wanted = b'{"dag_id":' + json.dumps(dag_id).encode() + b","
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
        low, high = file.tell(), len(text)
        while low < high:
            start = text.rfind(b"\n", low, (low + high) // 2) + 1 or low
            end = text.find(b"\n", start) % (len(text) + 1)  # the last line may lack its end
            line = text[start:end]
            if line.startswith(wanted):
                return [line]
            low, high = (end + 1, high) if line < wanted else (low, start)
    return []
