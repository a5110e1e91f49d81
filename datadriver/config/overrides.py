"""Dotted settings such as `models.failure.window.train: 180d`, applied to a use case and validated again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, get_args, get_origin

from pydantic import ValidationError

from datadriver.config.messages import problems_of, sentence
from datadriver.config.schedule_section import Schedule
from datadriver.config.sections import Override, UseCase
from datadriver.config.shape import is_section, keys_of, members
from datadriver.errors import ConfigError, nearest

_PER_COHORT = ("contract", "data", "models", "monitor", "package", "schedule")
_WHOLE_USE_CASE = {("data", "index"): "one kind of index holds for the whole use case"}
_SHAPE_OF_THE_FLEET = {"where", "fit", "grid"}
_SCHEDULE_OF_A_COHORT = (
    "train",
    "score",
    "timezone",
    "spread",
    "start",
    "catchup",
    "steps",
    "retries",
    "resources",
    "timeout",
    "pool",
    "priority",
    "owner",
    "tags",
    "paused",
)

Path = tuple[str, ...]


def with_settings(usecase: UseCase, settings: Mapping[str, Any]) -> UseCase:
    """Return the use case with dotted settings that win over everything, overrides too.

    Raises:
        ConfigError: if a path is unknown or a value is wrong.
    """
    tree = dump(usecase)
    for path, value in settings.items():
        assign(tree, path, value)
    for_all = {path: value for path, value in settings.items() if _cohort_problem(tuple(path.split("."))) is None}
    if for_all:
        tree["overrides"] = [*tree["overrides"], {"where": "True", "set": for_all}]
    return validated(tree, "command line")


def apply(usecase: UseCase, overrides: Mapping[int, Override]) -> UseCase:
    """Return the use case with some of its overrides applied in order, and without the rest of them.

    Args:
        usecase: The use case.
        overrides: The overrides that apply, by their position in the file.

    Raises:
        ConfigError: if a path is unknown, may not differ between cohorts, or gets a wrong value.
    """
    if not usecase.overrides and not usecase.environments:
        return usecase
    if not overrides:
        return usecase.model_copy(update={"overrides": (), "environments": {}})
    tree = dump(usecase) | {"overrides": (), "environments": {}}
    for place, override in overrides.items():
        for path, value in override.set.items():
            if problem := _cohort_problem(tuple(path.split("."))):
                raise ConfigError(f"overrides[{place}].set.{path}: {problem}")
            try:
                assign(tree, path, value)
            except ConfigError as error:
                raise ConfigError([f"overrides[{place}].set.{text}" for text in error.problems]) from None
    names = ", ".join(f"overrides[{place}] (`{override.where}`)" for place, override in overrides.items())
    return validated(tree, f"with {names}")


def validated(tree: Mapping[str, Any], whence: str) -> UseCase:
    """Validate a changed tree; problems say where the change came from."""
    try:
        return UseCase.model_validate(tree)
    except ValidationError as error:
        raise ConfigError([f"{sentence(problem)} ({whence})" for problem in problems_of(error, tree)]) from None


def dump(usecase: UseCase) -> dict[str, Any]:
    """Return a use case as the tree that makes it, every default written out."""
    return usecase.model_dump(by_alias=True, warnings=False)


def assign(tree: dict[str, Any], path: str, value: Any) -> None:
    """Set a dotted path in a tree made by `dump`; `*` stands for every name at its place.

    Raises:
        ConfigError: "path: what is wrong", with the nearest known names.
    """
    found = list(_targets(UseCase, tree, tuple(path.split(".")), ()))
    for problem in (target for target in found if isinstance(target, str)):
        raise ConfigError(f"{path}: {problem}")
    for target in found:
        place = tree
        for key in target[:-1]:
            if not isinstance(place.get(key), dict):
                place[key] = {}
            place = place[key]
        place[target[-1]] = value


def _cohort_problem(parts: Path) -> str | None:
    """Say why a path may not differ between cohorts, if it may not."""
    if parts[0] not in _PER_COHORT:
        known = nearest(parts[0], _PER_COHORT)
        return f"{parts[0]!r} cannot differ between cohorts{known}"
    if parts[:2] in _WHOLE_USE_CASE:
        return _WHOLE_USE_CASE[parts[0], parts[1]]
    if parts == ("schedule",):
        return "name one of its keys, such as schedule.score"
    if parts[0] == "schedule" and parts[1] in set(keys_of(Schedule)) - set(_SCHEDULE_OF_A_COHORT):
        return f"holds for the whole use case; cohorts may have their own {', '.join(_SCHEDULE_OF_A_COHORT)}"
    if parts[0] == "models" and (len(parts) < 3 or (len(parts) == 3 and parts[2] in _SHAPE_OF_THE_FLEET)):
        return "which models and units there are is said in the model itself (`where`, `fit`, `grid`)"
    return None


def _targets(annotation: Any, node: Any, parts: Path, done: Path) -> Iterator[Path | str]:
    """Yield the full path of every place that `parts` leads to, or a sentence about why it leads nowhere."""
    if not parts:
        yield done
        return
    kinds = list(members(annotation))
    sections = [kind for kind in kinds if is_section(kind)]
    mapping = next((kind for kind in kinds if get_origin(kind) is dict), None)
    if sections:
        yield from _in_section(
            {key: kind for section in sections for key, kind in keys_of(section).items()}, node, parts, done
        )
    elif mapping:
        yield from _in_mapping(get_args(mapping)[1], node if isinstance(node, dict) else {}, parts, done)
    elif Any in kinds and (node is None or isinstance(node, dict)):
        yield from _in_mapping(Any, node or {}, parts, done)
    else:
        yield f"{'.'.join(done)} is one value; nothing is below it"


def _in_section(keys: Mapping[str, Any], node: Any, parts: Path, done: Path) -> Iterator[Path | str]:
    if parts[0] not in keys:
        yield f"{'.'.join(done) or 'usecase.yaml'} has no key {parts[0]!r}{nearest(parts[0], keys)}"
        return
    below = node.get(parts[0]) if isinstance(node, dict) else None
    yield from _targets(keys[parts[0]], below, parts[1:], (*done, parts[0]))


def _in_mapping(annotation: Any, node: dict[str, Any], parts: Path, done: Path) -> Iterator[Path | str]:
    if parts[0] == "*":
        for key, below in node.items():
            yield from _targets(annotation, below, parts[1:], (*done, key))
        return
    key, rest = _longest_key(node, parts)
    declared = annotation is not Any or done == ("contract", "parameters")
    if key not in node and declared and not _names_are_fixed(done):
        said = (
            nearest(key, node) if node else f"; {'.'.join(done)} is empty, and an override changes only what is there"
        )
        yield f"{'.'.join(done)} has no {key!r}{said}"
        return
    yield from _targets(annotation, node.get(key), rest, (*done, key))


def _names_are_fixed(done: Path) -> bool:
    """Tell mappings whose keys pydantic knows (severities) from those whose keys the file declares."""
    return done[:2] == ("contract", "on_breach")


def _longest_key(node: Mapping[str, Any], parts: Path) -> tuple[str, Path]:
    """Take as many parts as make a key, since names such as `PIT-101.PV` hold dots themselves."""
    for count in range(len(parts), 1, -1):
        if ".".join(parts[:count]) in node:
            return ".".join(parts[:count]), parts[count:]
    return parts[0], parts[1:]
