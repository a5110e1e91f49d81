"""The image that a task of a plan is to run in, asked of the ledger and of the use case when the task starts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from datadriver.orchestration.plan import DagPlan, Header, TaskPlan


def image_of(task: TaskPlan, dag: DagPlan, header: Header, variables: Mapping[str, str], *, pushed: bool) -> str:
    """Return the name of an image, by digest where a registry has it.

    Args:
        task: What is to be run.
        dag: The DAG that it is part of; of one asset, where the image is that of its champions.
        header: Its folder is absolute.
        variables: What `${VAR}` in `usecase.yaml` stands for.
        pushed: Whether it must be in a registry, because machines without our engine pull it.

    Raises:
        ConfigError: the use case cannot be read here, or there is no champion.
        UnavailableError: the champion has no image yet, or the ledger does not answer.
    """
    # A task imports these when it runs; whoever looks at the DAG only does not.
    from datadriver.config.load import load_usecase  # noqa: PLC0415
    from datadriver.fleet.in_service import base_image, champion_image  # noqa: PLC0415
    from datadriver.tracking.ledger import Ledger  # noqa: PLC0415

    root = Path(header.folder)
    usecase = load_usecase(root, env=header.env, variables=variables)
    if task.image == "base":
        return base_image(usecase, root)
    ledger = Ledger.open(usecase, root)
    try:
        return champion_image(usecase, root, ledger, dag.assets[0], task.model, pushed=pushed)
    finally:
        ledger.close()
