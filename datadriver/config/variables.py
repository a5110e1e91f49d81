"""`${VAR}`, `${VAR:-default}` and `${VAR:?what to do without it}` in `usecase.yaml`; `$${` is a literal `${`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_VARIABLE = re.compile(r"\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_]*)(?::([-?])([^}]*))?\}|\$\{")

Problems = list[tuple[tuple[str | int, ...], str]]


def substitute_variables(tree: Any, variables: Mapping[str, str]) -> tuple[Any, Problems]:
    """Fill in the variables of every text of a tree (keys stay as they are), and list what cannot be filled in.

    >>> substitute_variables({"uri": "${HOST:-localhost}:${PORT}"}, {"PORT": "5000"})
    ({'uri': 'localhost:5000'}, [])
    >>> substitute_variables("${DATA:?download it from example.org}", {})[1]
    [((), 'the environment variable DATA is not set: download it from example.org')]
    """
    problems: Problems = []
    return _fill(tree, variables, (), problems), problems


def _fill(tree: Any, variables: Mapping[str, str], path: tuple[str | int, ...], problems: Problems) -> Any:
    if isinstance(tree, dict):
        return {key: _fill(value, variables, (*path, key), problems) for key, value in tree.items()}
    if isinstance(tree, list):
        return [_fill(value, variables, (*path, place), problems) for place, value in enumerate(tree)]
    if not isinstance(tree, str) or "${" not in tree:
        return tree

    def value_of(found: re.Match[str]) -> str:
        """Return what stands for one `${...}`; where nothing does, note the problem and leave it."""
        name, kind, text = found[1], found[2], found[3]
        if found[0] == "$${":
            return "${"
        if name is None:
            problems.append((path, "a ${ starts no variable; write ${NAME}, ${NAME:-default}, or $${ for a plain ${"))
            return found[0]
        if kind == "-":
            return variables.get(name) or text
        if name not in variables:
            advice = f": {text}" if kind == "?" else f"; set it, or write ${{{name}:-default}}"
            problems.append((path, f"the environment variable {name} is not set{advice}"))
        return variables.get(name, found[0])

    return _VARIABLE.sub(value_of, tree)
