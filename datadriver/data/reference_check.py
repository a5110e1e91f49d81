"""The use case's functions, looked at without importing them: are they there, and do they take what they will get?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from datadriver.config.grid import variants
from datadriver.config.messages import Problem
from datadriver.config.sections import Model, UseCase
from datadriver.config.source_rules import READING_OPTIONS
from datadriver.config.static_code import inspect_reference, parameters_of
from datadriver.errors import nearest


class _Use(NamedTuple):
    """A reference, where it stands, and how it will be called."""

    path: tuple[str | int, ...]
    reference: str
    positional: int
    named: Mapping[str, Any] | None = None
    params: str = ""


def reference_problems(usecase: UseCase, root: Path) -> list[Problem]:
    """Return every function that is not there, and every argument that a function does not take."""
    problems: list[Problem] = []
    known: dict[str, str | None] = {}
    for use in _uses(usecase):
        if use.reference not in known:
            known[use.reference] = inspect_reference(use.reference, root)
        if problem := known[use.reference]:
            problems.append(Problem(use.path, problem))
        else:
            problems += _argument_problems(use, root)
    return list(dict.fromkeys(problems))


def _uses(usecase: UseCase) -> Iterator[_Use]:
    assets = usecase.fleet.assets
    if isinstance(assets, str) and assets.startswith("python:"):
        yield _Use(("fleet", "assets"), assets.removeprefix("python:"), 0)
    if usecase.data.mask:
        yield _Use(("data", "mask"), usecase.data.mask, 1)
    for name, source in usecase.data.sources.items():
        if source.function:
            options = {key: value for key, value in source.options.items() if key not in READING_OPTIONS}
            yield _Use(("data", "sources", name, "function"), source.function, 3, options, "options")
    for name, model in usecase.models.items():
        for _, section in variants(name, model.model_dump(by_alias=True, warnings=False)):
            yield from _of_model(("models", name), section, model)


def _of_model(here: tuple[str, ...], section: Mapping[str, Any], model: Model) -> Iterator[_Use]:
    if section["features"]:
        yield _Use((*here, "features"), section["features"], 1)
    for key, params in (("estimator", "params"), ("baseline", "baseline_params")):
        yield _Use((*here, key), section[key], 0, section[params], params)
    for key in ("metrics", "pooled", "primary"):
        names = section["evaluate"][key] or ()
        for place, name in enumerate((names,) if isinstance(names, str) else names):
            path: tuple[str | int, ...] = (*here, "evaluate", key) + (() if isinstance(names, str) else (place,))
            if ":" in name and not (key == "primary" and name in model.evaluate.metrics):
                yield _Use(path, name, 3)


def _argument_problems(use: _Use, root: Path) -> Iterator[Problem]:
    takes = parameters_of(use.reference, root)
    if takes is None:
        return
    if takes.positional < use.positional:
        what = f"is called with {use.positional} argument{'s' if use.positional > 1 else ''}"
        yield Problem(use.path, f"{use.reference} {what}, and takes {takes.positional}")
    if use.named is None:
        return
    section = use.path[:-1]
    for name in use.named:
        if name not in takes.names and not takes.anything:
            said = f"{use.reference} takes no argument {name!r}{nearest(name, takes.names)}"
            yield Problem((*section, use.params, name), said)
    supplied = {"attributes"} if use.params == "options" else set()
    for name in takes.required[use.positional :]:
        if name not in use.named and name not in supplied:
            yield Problem((*section, use.params), f"{use.reference} needs the argument {name!r}")
