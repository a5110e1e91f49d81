"""The fleet as DAGs: which there are, in which files, and a folder brought to that; what `datadriver dags` asks for."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from datadriver.config.fleet import Asset, Instance
from datadriver.config.sections import UseCase
from datadriver.orchestration.build import header, plan_dags
from datadriver.orchestration.plan import DagPlan, Header
from datadriver.orchestration.shards import Written, loader_text, plan_files, write_files


@dataclass(frozen=True)
class FleetDags:
    """The DAGs of one use case.

    Attributes:
        usecase: its configuration, environment applied, before overrides.
        root: its folder.
        assets: the whole fleet.
        instances: all of them.
        out: folder of the plan.
        env: the environment that tasks run in.
    """

    usecase: UseCase
    root: Path
    assets: Sequence[Asset]
    instances: Sequence[Instance]
    out: Path
    env: str | None = None

    def plan(self) -> tuple[DagPlan, ...]:
        """Return every DAG, sorted by id.

        Raises:
            ConfigError: the fleet cannot be scheduled as configured.
        """
        return plan_dags(self.usecase, self.assets, self.instances)

    def header(self) -> Header:
        """Return what they share; where the use case is, as seen from the folder of the plan."""
        here = os.path.relpath(self.root.absolute(), self.out.absolute())
        return header(self.usecase, self.usecase.schedule.folder or Path(here).as_posix(), self.env)

    def files(self, dags: Sequence[DagPlan] | None = None) -> Mapping[str, str]:
        """Return the text of each file of the plan, by its path in the folder of the plan."""
        dags = self.plan() if dags is None else dags
        return plan_files(self.usecase, self.header(), dags, loader_text(self.usecase, self.root))

    def build(self, dags: Sequence[DagPlan] | None = None) -> Written:
        """Bring the folder of the plan to what the fleet is now; what has not changed is not touched.

        Raises:
            ConfigError: as `plan`, or the folder has another use case's files of these names.
            UnavailableError: the folder cannot be written.
        """
        return write_files(self.usecase, self.files(dags), self.out)
