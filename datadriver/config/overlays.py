"""Environments: parts of `usecase.yaml` that replace others when `--env` chooses them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from datadriver.errors import ConfigError, nearest


def overlay(tree: Mapping[str, Any], env: str | None) -> dict[str, Any]:
    """Return the tree with the chosen environment laid over it: mappings merge, everything else is replaced.

    Raises:
        ConfigError: if there is no such environment, or it is not a mapping.
    """
    if env is None:
        return dict(tree)
    environments = tree.get("environments")
    known = environments if isinstance(environments, Mapping) else {}
    if env not in known:
        hint = nearest(env, map(str, known)) or "; the file has no `environments` section"
        raise ConfigError(f"--env {env}: there is no such environment{hint}")
    chosen = known[env]
    if not isinstance(chosen, Mapping):
        raise ConfigError(f"environments.{env}: must be a section, not {chosen!r}")
    if "environments" in chosen:
        raise ConfigError(f"environments.{env}.environments: an environment cannot hold environments")
    return merge(tree, chosen)


def merge(below: Mapping[Any, Any], above: Mapping[Any, Any]) -> dict[Any, Any]:
    """Lay one tree over another.

    >>> merge({"a": {"x": 1, "y": 2}, "b": [1, 2]}, {"a": {"y": 3}, "b": [9]})
    {'a': {'x': 1, 'y': 3}, 'b': [9]}
    """
    result = dict(below)
    for key, value in above.items():
        under = result.get(key)
        both = isinstance(under, Mapping) and isinstance(value, Mapping)
        result[key] = merge(under, value) if both else value  # type: ignore[arg-type]  # both are mappings
    return result
