"""The plan as it lies in its folder, read back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from datadriver.errors import ConfigError
from datadriver.orchestration.plan import DagPlan, Header
from datadriver.orchestration.shards import PLAN, present


def read_plan(folder: Path, usecase: str) -> tuple[DagPlan, ...]:
    """Return the DAGs of a use case in the folder of a plan, sorted by id.

    Raises:
        ConfigError: there is no plan of this use case, or it is of another format.
    """
    stems = [stem for stem, owner in present(folder, usecase) if owner == usecase]
    if not stems:
        raise ConfigError(f"there is no plan of {usecase!r} in {folder}; `datadriver dags build` writes it")
    found: list[DagPlan] = []
    for path in (folder / (stem + PLAN) for stem in stems):
        first, *lines = path.read_bytes().splitlines()
        try:
            Header.of(first)
            found += [DagPlan.of(line) for line in lines]
        except (ValueError, TypeError, KeyError) as error:
            raise ConfigError(f"{path}: {error}; `datadriver dags build` writes it again") from error
    return tuple(sorted(found, key=lambda dag: dag.dag_id))


def changes(present: Sequence[DagPlan], wanted: Sequence[DagPlan]) -> Mapping[str, list[str]]:
    """Return the ids of DAGs that are `new`, `changed` and `gone` in what is wanted."""
    old, new = ({dag.dag_id: dag.to_line() for dag in dags} for dags in (present, wanted))
    return {
        "new": [name for name in new if name not in old],
        "changed": [name for name in new if name in old and old[name] != new[name]],
        "gone": [name for name in old if name not in new],
    }
