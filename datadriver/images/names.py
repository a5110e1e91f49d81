r"""Names of images: what Docker and registries accept, made from names as plants write them.

A repository is `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*` between slashes, and with its registry 255 characters at most
(https://github.com/distribution/reference). Different units, models and assets have different repositories: the parts
have no dot, so that one dot is in the name of a model's image and none in an asset's or the base's.
"""

from __future__ import annotations

import re

from datadriver.config.slugs import slug
from datadriver.errors import ConfigError

BASE = "base"
"""Last part of the base image's name; an asset of that name gets another one."""
LONGEST = 255
_LONGEST_PART = 63
_REPOSITORY = re.compile(r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_SEPARATED = re.compile(r"[a-z0-9]+((_|__|-+)[a-z0-9]+)*")


def model_repository(prefix: str, unit: str, model: str) -> str:
    """Name the repository of one instance's images.

    >>> model_repository("pumps", "p-101", "failure[horizon=1d]")
    'pumps/p-101.failure-horizon-1d-e8001b6c'
    """
    return f"{prefix}/{_part(unit)}.{_part(model)}"


def asset_repository(prefix: str, asset: str) -> str:
    """Name the repository of the images that hold all models of an asset.

    >>> asset_repository("pumps", "15/9-F-1 C")
    'pumps/15-9-f-1-c-525d4a6b'
    """
    return f"{prefix}/{_part(asset)}"


def base_repository(prefix: str) -> str:
    """Name the repository of the use case's base images."""
    return f"{prefix}/{BASE}"


def prefix_of(usecase: str, prefix: str | None = None) -> str:
    """Return the first part of every image's name: `package.prefix`, or the use case's name as Docker allows it."""
    return prefix or _part(usecase)


def check_length(registry: str | None, prefix: str) -> None:
    """Check that every name fits, whatever the units and models are called.

    Raises:
        ConfigError: registry and prefix take more characters than are left.
    """
    start = f"{registry}/{prefix}/" if registry else f"{prefix}/"
    left = LONGEST - 2 * _LONGEST_PART - 1
    if len(start) > left:
        raise ConfigError(
            f"package.prefix: names of images start with {start!r}, which is {len(start)} characters; Docker allows "
            f"{LONGEST} for a whole name, and {left} of them are for registry and prefix. Choose a shorter prefix"
        )


def check_name(name: str) -> None:
    """Check a name with its tag, `pumps/p-101.temperature:v3`, before a registry is asked for something else instead.

    Raises:
        ConfigError: Docker does not allow it.
    """
    repository, _, tag = name.rpartition(":")
    if not _REPOSITORY.fullmatch(repository) or not _TAG.fullmatch(tag):
        raise ConfigError(
            f"image {name}: Docker does not allow this name. A repository is of lower-case letters and digits, with "
            "'.', '_', '__' or '-' between them and '/' between its parts"
        )


def _part(text: str) -> str:
    """Return the slug, with hyphens for everything where Docker does not allow its separators."""
    name = slug(text, extra="_-", max_length=_LONGEST_PART, lower=True, reserved=(BASE,))
    if _SEPARATED.fullmatch(name):
        return name
    return slug(text, extra="-", max_length=_LONGEST_PART, lower=True, reserved=(BASE,))
