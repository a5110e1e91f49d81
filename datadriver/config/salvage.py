"""What is left of a use case when the mistakes are taken out, so that a check can go on and find the others."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError

from datadriver.config.messages import Path, Problem, problems_of
from datadriver.config.sections import UseCase

_STAND_INS = {
    "name": "use_case",
    "problem": "unknown",
    "estimator": "unknown:unknown",
    "baseline": "unknown:unknown",
    "index": "unknown",
    "where": "True",
    "set": {},
    "assets": "unknown",
    "fleet": {"assets": "unknown"},
    "data": {"sources": {}},
    "models": {"unknown": {"problem": "unknown", "estimator": "unknown:unknown", "baseline": "unknown:unknown"}},
}


def salvage(tree: Mapping[str, Any]) -> tuple[UseCase | None, frozenset[Path]]:
    """Return a use case without the values that are wrong, and the paths that were changed; None if little is left."""
    left: Any = copy.deepcopy(dict(tree))
    changed: set[Path] = set()
    for _ in range(8):
        try:
            return UseCase.model_validate(left), frozenset(changed)
        except ValidationError as error:
            paths = {problem.path for problem in problems_of(error, left)}
        for path in sorted(paths, key=len, reverse=True):
            _mend(left, path if path not in changed else path[:-1])
        changed |= paths
    return None, frozenset(changed)


def untouched(problems: Iterable[Problem], changed: Iterable[Path]) -> list[Problem]:
    """Return the problems that are not a mere consequence of the changes."""
    changed = tuple(changed)
    lost_tags = any(path[:1] == ("data",) and len(path) in (1, 2, 3, 5) for path in changed)
    return [
        problem
        for problem in problems
        if not any(path[: len(problem.path)] == problem.path or problem.path[: len(path)] == path for path in changed)
        and not (lost_tags and problem.path[-1:] in (("events",), ("column",)))
    ]


def _mend(tree: Any, path: Path) -> None:
    """Take a wrong value out, or put in something that passes where a value is required."""
    if not path:
        return
    for key in path[:-1]:
        listed = isinstance(tree, list) and isinstance(key, int) and key < len(tree)
        if not listed and not (isinstance(tree, dict) and key in tree):
            return
        tree = tree[key]
    last = path[-1]
    if isinstance(tree, dict) and last in _STAND_INS and not isinstance(last, int):
        tree[last] = copy.deepcopy(_STAND_INS[last])
    elif isinstance(tree, dict):
        tree.pop(last, None)
    elif isinstance(tree, list) and isinstance(last, int) and last < len(tree):
        del tree[last]
