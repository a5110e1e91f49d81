"""Who we are to a registry: what `docker login` left in Docker's configuration, or what a credential helper says."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import Any

from datadriver.errors import ConfigError, MissingExtraError

_HUB = "index.docker.io"
"""Docker Hub's name in old configurations; the Docker SDK knows its other names."""


@dataclass(frozen=True)
class Credentials:
    """What a registry or its token server is told: name and password, or the identity token of an earlier login."""

    user: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)


def find_credentials(host: str) -> Credentials | None:
    """Look up a registry in Docker's `config.json` (in `DOCKER_CONFIG` or `~/.docker`), and ask its credential helper.

    Args:
        host: Name and port, as in the names of images.

    Returns:
        None where nothing is known of this registry.

    Raises:
        ConfigError: the file or the helper is broken.
        MissingExtraError: the extra `docker` is not installed.
    """
    try:
        from docker.auth import load_config, resolve_authconfig  # noqa: PLC0415
        from docker.errors import DockerException  # noqa: PLC0415
        from docker.utils.config import find_config_file  # noqa: PLC0415
    except ImportError as error:
        raise MissingExtraError("docker", "reading the logins of Docker") from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that a helper is not installed; the error below says it
            found = resolve_authconfig(load_config(), _HUB if host == "docker.io" else host)
    except (DockerException, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"Docker's configuration {find_config_file()} gives no login for {host}: {error}. "
            f"Log in with `docker login {host}`, or mend the file or its credential helper"
        ) from error
    return _credentials(found or {})


def _credentials(found: dict[str, Any]) -> Credentials | None:
    """Read an entry; the SDK writes its keys in lower case from `auths` and with capitals from a helper."""
    entry = {name.lower(): value for name, value in found.items() if value}
    if "identitytoken" in entry:
        return Credentials(identity_token=entry["identitytoken"])
    if "username" in entry:
        return Credentials(entry["username"], entry.get("password", ""))
    return None
