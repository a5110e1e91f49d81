"""Reading `usecase.yaml`: environment laid over, variables filled in, every mistake named at once."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from datadriver.config.grid import placeholders, variants
from datadriver.config.messages import Problem, problems_of, sentence
from datadriver.config.overlays import overlay
from datadriver.config.overrides import with_settings
from datadriver.config.rules import rule_problems
from datadriver.config.sections import UseCase
from datadriver.config.variables import substitute_variables
from datadriver.config.yaml_text import Document, read_yaml
from datadriver.errors import ConfigError, UnavailableError

FILE = "usecase.yaml"


def find_root(start: Path) -> Path:
    """Return the folder that holds `usecase.yaml`: `start` or the nearest one above it.

    Raises:
        ConfigError: if there is none.
    """
    start = start.absolute()
    for folder in (start, *start.parents):
        if (folder / FILE).is_file():
            return folder
    raise ConfigError(
        f"no {FILE} in {start} or above it; change into a use case, pass --project DIR, or start one with "
        "`datadriver new`"
    )


def load_usecase(
    root: Path,
    *,
    env: str | None = None,
    variables: Mapping[str, str] = os.environ,
    settings: Mapping[str, Any] | None = None,
) -> UseCase:
    """Read and validate a use case.

    Precedence: defaults, file, environment, overrides in order, `settings`.

    Args:
        root: Folder with `usecase.yaml`.
        env: Environment to lay over the file.
        variables: Values of `${VAR}`; only those that the chosen parts mention are needed.
        settings: Dotted paths and values from the command line.

    Raises:
        ConfigError: with every mistake found, one sentence each.
        UnavailableError: if the file cannot be read for a reason of the file system.
    """
    document = read_document(root)
    if document.problems:
        raise ConfigError(document.problems)
    usecase, problems = build(document.tree, env=env, variables=variables, settings=settings)
    if usecase is None:
        raise ConfigError([sentence(problem, document.lines) for problem in problems])
    return usecase


def read_document(root: Path) -> Document:
    """Read the file as a tree; mistakes of the text itself are in the document's problems."""
    path = root / FILE
    try:
        data = path.read_bytes()
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        return Document(None, {}, (f"there is no {FILE} in {root}; start a use case with `datadriver new`",))
    except OSError as error:
        raise UnavailableError(f"{path} cannot be read: {error.strerror}") from error
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        return Document(
            None, {}, (f"{FILE}, line {line}: not UTF-8 text (byte {data[error.start]:#04x}); save it as UTF-8",)
        )
    document = read_yaml(text, FILE)
    if not document.problems and not isinstance(document.tree, dict):
        what = "empty" if document.tree is None else f"a {type(document.tree).__name__}"
        return Document(None, {}, (f"{FILE} is {what}; it must be a mapping that starts with `name:`",))
    return document


def build(
    tree: Mapping[str, Any],
    *,
    env: str | None,
    variables: Mapping[str, str],
    settings: Mapping[str, Any] | None = None,
) -> tuple[UseCase | None, list[Problem]]:
    """Make the use case of a tree, or return what is wrong with it; a usable use case has no problems."""
    try:
        chosen = overlay(tree, env)
    except ConfigError as error:
        return None, [Problem((), text) for text in error.problems]
    environments = chosen.pop("environments", {}) or {}
    filled, missing = substitute_variables(chosen, variables)
    problems = [Problem(path, text) for path, text in missing]
    usecase, more = validated({**filled, "environments": environments})
    problems += _not_caused_by(problems, more)
    if usecase is None or problems:
        return None, problems
    return (with_settings(usecase, settings) if settings else usecase), []


def validated(tree: Mapping[str, Any]) -> tuple[UseCase | None, list[Problem]]:
    """Make the use case of a tree whose environment and variables are filled in, or return what is wrong with it."""
    try:
        usecase = UseCase.model_validate(tree)
    except ValidationError as error:
        return None, problems_of(error, tree)
    problems = grid_problems(usecase, tree) or rule_problems(usecase)
    return (None if problems else usecase), problems


def _not_caused_by(known: list[Problem], others: list[Problem]) -> list[Problem]:
    paths = {problem.path for problem in known}
    return [problem for problem in others if problem.path not in paths]


def grid_problems(usecase: UseCase, tree: Mapping[str, Any]) -> list[Problem]:
    """Validate every combination of every grid, and name `{variables}` that no grid has."""
    problems: list[Problem] = []
    for name, model in usecase.models.items():
        section = tree["models"][name]
        for path, variable in placeholders({**section, "grid": {}}):
            if variable not in model.grid:
                has = f"its grid has {', '.join(model.grid)}" if model.grid else "it has no `grid`"
                problems.append(Problem(("models", name, *path), f"{{{variable}}} is not a grid variable; {has}"))
        if model.grid and not problems:
            problems += _variant_problems(name, section, tree)
    return list(dict.fromkeys(problems))


def _variant_problems(name: str, section: Mapping[str, Any], tree: Mapping[str, Any]) -> list[Problem]:
    problems: list[Problem] = []
    for label, variant in variants(name, section):
        whole = {**tree, "models": {name: variant}}
        try:
            UseCase.model_validate(whole)
        except ValidationError as error:
            found = problems_of(error, whole)
            problems += [Problem(problem.path, f"{problem.text} (in {label})") for problem in found]
    return problems
