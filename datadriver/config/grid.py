"""Grids: one model per combination of values, with `{name}` replaced anywhere in the model's section."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from typing import Any

PLACEHOLDER = re.compile(r"(?<!\$)\{([A-Za-z_]\w*)\}")


def variants(name: str, tree: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the name and the section of every combination of a model's grid; without a grid, the model itself.

    >>> [name for name, _ in variants("failure", {"grid": {"horizon": ["1d", "3d"]}})]
    ['failure[horizon=1d]', 'failure[horizon=3d]']
    """
    grid = tree.get("grid") or {}
    section = {key: value for key, value in tree.items() if key != "grid"}
    for values in itertools.product(*grid.values()):
        chosen = dict(zip(grid, values, strict=True))
        label = ",".join(f"{key}={value}" for key, value in chosen.items())
        yield (f"{name}[{label}]" if grid else name), substitute(section, chosen)


def substitute(tree: Any, values: Mapping[str, Any]) -> Any:
    """Replace `{name}` in every text of a tree; a text that is nothing else becomes the value, with its type."""
    if isinstance(tree, Mapping):
        return {key: substitute(value, values) for key, value in tree.items()}
    if isinstance(tree, (list, tuple)):
        return [substitute(value, values) for value in tree]
    if not isinstance(tree, str):
        return tree
    whole = PLACEHOLDER.fullmatch(tree)
    if whole and whole[1] in values:
        return values[whole[1]]
    return PLACEHOLDER.sub(lambda found: str(values.get(found[1], found[0])), tree)


def placeholders(tree: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Yield the path and the name of every `{name}` in a tree."""
    if isinstance(tree, Mapping):
        for key, value in tree.items():
            yield from placeholders(value, (*path, key))
    elif isinstance(tree, (list, tuple)):
        for position, value in enumerate(tree):
            yield from placeholders(value, (*path, position))
    elif isinstance(tree, str):
        yield from ((path, found) for found in PLACEHOLDER.findall(tree))
