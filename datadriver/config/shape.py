"""What may stand at a path of `usecase.yaml`, read from the section models' annotations."""

from __future__ import annotations

import types
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Annotated, Any, Union, get_args, get_origin

from datadriver.config.section import Section
from datadriver.config.sections import UseCase


def members(annotation: Any) -> Iterator[Any]:
    """Yield the alternatives of an annotation: the members of a union, without `Annotated`."""
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from members(get_args(annotation)[0])
    elif origin in (Union, types.UnionType):
        for member in get_args(annotation):
            yield from members(member)
    else:
        yield annotation


@lru_cache(maxsize=128)
def keys_of(section: type[Section]) -> Mapping[str, Any]:
    """Return the keys of a section as they are written in the file, with their annotations."""
    return {field.alias or name: field.annotation for name, field in section.model_fields.items()}


def step(annotation: Any, key: str | int) -> tuple[Any, ...]:
    """Return the annotations of what a key or a position leads to; none if it leads nowhere."""
    found: list[Any] = []
    for member in members(annotation):
        if is_section(member):
            found += [keys_of(member)[key]] if key in keys_of(member) else []  # type: ignore[index]  # checked
        elif get_origin(member) is dict:
            found.append(get_args(member)[1])
        elif get_origin(member) is tuple and isinstance(key, int):
            found += [item for item in get_args(member) if item is not Ellipsis]
    return tuple(found)


def at(path: Iterable[str | int], root: Any = UseCase) -> tuple[Any, ...]:
    """Return the annotations at a path from the top of the file."""
    here: tuple[Any, ...] = (root,)
    for key in path:
        here = tuple(found for annotation in here for found in step(annotation, key))
    return here


def known_keys(annotations: Iterable[Any]) -> set[str]:
    """Return the keys that sections at a path have."""
    found = (member for annotation in annotations for member in members(annotation))
    return {key for member in found if is_section(member) for key in keys_of(member)}


def is_section(annotation: Any) -> bool:
    """Tell a section model from other annotations."""
    return isinstance(annotation, type) and issubclass(annotation, Section)
