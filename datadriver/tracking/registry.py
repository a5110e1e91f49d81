"""MLflow's model registry: versions and the aliases `champion` and `challenger`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel
    from mlflow.entities.model_registry import ModelVersion

_PAGE = 1000


def finished_version(client: MlflowClient, name: str, result_key: str, sha256: str) -> ModelVersion | None:
    """The version that was made of these inputs, if its run came to its end and its bytes are the same.

    One whose run is of a killed batch is deleted; one whose run still goes on belongs to another process.
    """
    wanted = f"name = '{name}' AND tags.`datadriver.result_key` = '{result_key}'"
    for version in client.search_model_versions(wanted):
        if version.tags.get("datadriver.sha256") != sha256:
            continue
        status = client.get_run(version.run_id).info.status if version.run_id else None
        if status == "FINISHED":
            return version
        if status != "RUNNING":
            client.delete_model_version(name, str(version.version))
    return None


def register(  # noqa: PLR0913 - what MLflow keeps of a version
    client: MlflowClient, name: str, *, run_id: str, model: LoggedModel, tags: Mapping[str, str], description: str
) -> ModelVersion:
    """Register a logged model as the next version."""
    from mlflow.exceptions import MlflowException  # noqa: PLC0415 - loaded with the client, not before

    try:
        client.create_registered_model(name, tags={key: value for key, value in tags.items() if key in _NAMES})
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    version = client.create_model_version(
        name,
        source=model.artifact_location,  # `models:/<id>` would be resolved in whatever store is the process's default
        run_id=run_id,
        tags=dict(tags),
        description=description,
        await_creation_for=0,
        model_id=model.model_id,
    )
    link = json.dumps([{"name": name, "version": version.version}])
    client.set_logged_model_tags(model.model_id, {"mlflow.modelVersions": link})
    return version


_NAMES = ("datadriver.unit", "datadriver.model")


def set_champion(client: MlflowClient, name: str, version: int | None) -> None:
    """Point the alias `champion` to a version or remove it; a promoted version is no challenger any more."""
    aliases = {alias: int(of) for alias, of in client.get_registered_model(name).aliases.items()}
    if version is None:
        if "champion" in aliases:
            client.delete_registered_model_alias(name, "champion")
        return
    if aliases.get("champion") != version:
        client.set_registered_model_alias(name, "champion", str(version))
    if aliases.get("challenger") == version:
        client.delete_registered_model_alias(name, "challenger")


def champions(client: MlflowClient, prefix: str) -> dict[str, int]:
    """Version by name, for all aliases `champion` of the registered models whose name starts with `prefix`."""
    found: dict[str, int] = {}
    token = None
    while True:
        page = client.search_registered_models(f"name LIKE '{prefix}%'", _PAGE, page_token=token)
        for model in page:
            if model.name.startswith(prefix) and "champion" in model.aliases:
                found[model.name] = int(model.aliases["champion"])
        token = page.token
        if not token:
            return found
