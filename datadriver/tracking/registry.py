"""MLflow's model registry: versions and the aliases `champion` and `challenger`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from datadriver.tracking.writer import CHALLENGER, CHAMPION, RESULT_KEY, SHA256, Entry

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel
    from mlflow.entities.model_registry import ModelVersion

_PAGE = 1000


def finished_version(client: MlflowClient, name: str, result_key: str, sha256: str) -> ModelVersion | None:
    """The version that was made of these inputs, if its run came to its end and its bytes are the same.

    One whose run is of a killed batch is deleted; one whose run still goes on belongs to another process.
    """
    wanted = f"name = '{name}' AND tags.`{RESULT_KEY}` = '{result_key}'"
    for version in client.search_model_versions(wanted):
        if version.tags.get(SHA256) != sha256:
            continue
        status = client.get_run(version.run_id).info.status if version.run_id else None
        if status == "FINISHED":
            return version
        if status != "RUNNING":
            client.delete_model_version(name, str(version.version))
    return None


def versions_of(client: MlflowClient, entry: Entry) -> list[ModelVersion]:
    """Return the versions that were made of this result, whatever became of their runs."""
    wanted = f"name = '{entry.name}' AND tags.`{RESULT_KEY}` = '{entry.result_key}'"
    return [one for one in client.search_model_versions(wanted) if one.tags.get(SHA256) == entry.files.sha256]


def register(  # noqa: PLR0913 - what a version consists of
    client: MlflowClient,
    entry: Entry,
    *,
    run_id: str,
    model: LoggedModel,
    number: int | None = None,
    again: bool = False,
) -> ModelVersion:
    """Register a logged model as the next version, or as the first free one from `number` on.

    MLflow gives numbers in turn and never twice. Where it is behind (a new tracking server, a model that was deleted
    there), the numbers before are used up by versions that are deleted at once.

    Args:
        client: Of the store.
        entry: The training.
        run_id: Its run.
        model: Its logged model.
        number: Which version it is to be.
        again: Whether an earlier try may have registered it.
    """
    version = None
    for left in versions_of(client, entry) if again else ():
        if left.run_id == run_id and int(left.version) >= (number or 1):
            version = left
        elif left.run_id == run_id:
            client.delete_model_version(entry.name, str(left.version))
    if version is None:
        _create_model(client, entry)
        version = _create_version(client, entry, run_id=run_id, model=model)
        while number is not None and int(version.version) < number:
            client.delete_model_version(entry.name, str(version.version))
            version = _create_version(client, entry, run_id=run_id, model=model)
    client.set_logged_model_tags(model.model_id, version_link(entry.name, int(version.version)))
    return version


def _create_model(client: MlflowClient, entry: Entry) -> None:
    from mlflow.exceptions import MlflowException  # noqa: PLC0415 - loaded with the client, not before

    try:
        client.create_registered_model(entry.name, tags=entry.instance_tags)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _create_version(client: MlflowClient, entry: Entry, *, run_id: str, model: LoggedModel) -> ModelVersion:
    return client.create_model_version(
        entry.name,
        source=model.artifact_location,  # `models:/<id>` would be resolved in whatever store is the process's default
        run_id=run_id,
        tags=entry.version_tags,
        description=entry.content.summary,
        await_creation_for=0,
        model_id=model.model_id,
    )


def version_link(name: str, number: int) -> dict[str, str]:
    """Tag of a logged model by which MLflow's pages lead to its version."""
    return {"mlflow.modelVersions": json.dumps([{"name": name, "version": number}])}


def set_champion(client: MlflowClient, name: str, version: int | None) -> None:
    """Point the alias `champion` to a version or remove it; a promoted version is no challenger any more."""
    aliases = {alias: int(of) for alias, of in client.get_registered_model(name).aliases.items()}
    if version is None:
        if CHAMPION in aliases:
            client.delete_registered_model_alias(name, CHAMPION)
        return
    if aliases.get(CHAMPION) != version:
        client.set_registered_model_alias(name, CHAMPION, str(version))
    if aliases.get(CHALLENGER) == version:
        client.delete_registered_model_alias(name, CHALLENGER)


def point(client: MlflowClient, name: str, aliases: Mapping[str, int | None]) -> None:
    """Point aliases to their versions, or remove them; those that are as they should be cost nothing."""
    known = {alias: int(of) for alias, of in client.get_registered_model(name).aliases.items()}
    for alias, number in aliases.items():
        if number is not None and known.get(alias) != number:
            client.set_registered_model_alias(name, alias, str(number))
        elif number is None and alias in known:
            client.delete_registered_model_alias(name, alias)


def tag_version(client: MlflowClient, name: str, number: int, tags: Mapping[str, str]) -> bool:
    """Set tags of a version; tells whether there is such a version."""
    from mlflow.exceptions import MlflowException  # noqa: PLC0415 - loaded with the client, not before

    try:
        for key, value in tags.items():
            client.set_model_version_tag(name, str(number), key, value)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return False
    return True


def champions(client: MlflowClient, prefix: str) -> dict[str, int]:
    """Version by name, for all aliases `champion` of the registered models whose name starts with `prefix`."""
    found: dict[str, int] = {}
    token = None
    while True:
        page = client.search_registered_models(f"name LIKE '{prefix}%'", _PAGE, page_token=token)
        for model in page:
            if model.name.startswith(prefix) and CHAMPION in model.aliases:
                found[model.name] = int(model.aliases[CHAMPION])
        token = page.token
        if not token:
            return found
