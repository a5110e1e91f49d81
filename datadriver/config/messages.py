"""Pydantic's errors as sentences: `dotted.path: what is wrong`, unions and misspelt keys made readable."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from pydantic import ValidationError

from datadriver.config.shape import at, is_section, keys_of, known_keys, members
from datadriver.errors import nearest

Path = tuple[str | int, ...]


class Problem(NamedTuple):
    """One mistake and where it is."""

    path: Path
    text: str


class _Located(NamedTuple):
    """A pydantic error with its real path, and the union that it comes from, if any."""

    path: Path
    error: Any
    union: Path | None
    member: str


def problems_of(error: ValidationError, tree: Any) -> list[Problem]:
    """Turn a validation error of the whole use case into problems, in the order of the file's sections."""
    located = [_locate(item, tree) for item in error.errors(include_url=False)]
    unions: dict[Path, list[_Located]] = defaultdict(list)
    for item in located:
        if item.union is not None:
            unions[item.union].append(item)
    problems: list[Problem] = []
    for item in located:
        if item.union is None:
            problems += _plain([item])
        elif item.union in unions:
            problems += _union(item.union, unions.pop(item.union), tree)
    return list(dict.fromkeys(problems))


def sentence(problem: Problem, lines: Mapping[Path, int] | None = None) -> str:
    """Write a problem as `dotted.path: what is wrong (line 12)`."""
    path, line = problem.path, None
    while lines and line is None:
        line = lines.get(path)
        if not path:
            break
        path = path[:-1]
    where = dotted(problem.path) or "usecase.yaml"
    return f"{where}: {problem.text}" + (f" (line {line})" if line and problem.path else "")


def dotted(path: Iterable[str | int]) -> str:
    """Write a path the way `overrides` write it, positions of lists in brackets.

    >>> dotted(("overrides", 0, "where"))
    'overrides[0].where'
    """
    text = ""
    for key in path:
        text += f"[{key}]" if isinstance(key, int) else f".{key}" if text else str(key)
    return text


def _locate(error: Any, tree: Any) -> _Located:
    """Separate the keys of pydantic's location from the names of union members in it."""
    path: Path = ()
    here, union, member = tree, None, ""
    for place, key in enumerate(error["loc"]):
        last = place == len(error["loc"]) - 1
        if (isinstance(here, dict) and key in here) or (isinstance(here, (list, tuple)) and _is_position(key, here)):
            path, here = (*path, key), here[key]
        elif last and error["type"] == "missing":
            path = (*path, key)
        elif key != "[key]" and union is None:
            union, member = path, str(key)
    return _Located(path, error, union, member)


def _is_position(key: Any, values: Any) -> bool:
    return isinstance(key, int) and not isinstance(key, bool) and 0 <= key < len(values)


def _plain(items: Sequence[_Located]) -> list[Problem]:
    return [Problem(item.path, _text(item)) for item in items]


def _union(path: Path, items: list[_Located], tree: Any) -> list[Problem]:
    """Report the alternative that was meant; all of them where that cannot be told."""
    value = _value(tree, path)
    inside = [item for item in items if item.error["type"] not in ("model_type", "dict_type")]
    if isinstance(value, dict):
        inside = [item for item in inside if item.path != path]
        return _meant_section(path, inside, value) if inside else [Problem(path, _alternatives(path, items))]
    if isinstance(value, list):
        deeper = [item for item in inside if item.path != path]
        return _plain(deeper) if deeper else [Problem(path, _alternatives(path, inside or items))]
    return [Problem(path, _alternatives(path, inside or items))]


def _meant_section(path: Path, items: list[_Located], value: dict[Any, Any]) -> list[Problem]:
    sections = [member for found in at(path) for member in members(found) if is_section(member)]
    known = {key for section in sections for key in keys_of(section)}
    if sections and not known & set(map(str, value)):
        return [Problem((*path, key), "unknown key" + nearest(str(key), known)) for key in value] or [
            Problem(path, f"is empty; it takes {_listed(known)}")
        ]
    by_member: dict[str, list[_Located]] = defaultdict(list)
    for item in items:
        by_member[item.member].append(item)
    return _plain(min(by_member.values(), key=len))


def _alternatives(path: Path, items: list[_Located]) -> str:
    texts = list(dict.fromkeys(_text(item, bare=True) for item in items))
    keys = known_keys(at(path))
    if keys:
        texts.append(f"a section with {_listed(keys)}")
    received = _received(items[0])
    must = [text.removeprefix("must be ") for text in texts]
    if all(text.startswith(("must be ", "a section")) for text in texts):
        return f"must be {' or '.join(must)}{received}"
    return "; or ".join(texts)


def _listed(keys: Iterable[str]) -> str:
    return ", ".join(repr(key) for key in sorted(keys))


def _value(tree: Any, path: Path) -> Any:
    for key in path:
        tree = tree[key]
    return tree


def _pattern(item: _Located) -> str:
    if item.path == ("name",):
        return (
            f"{item.error['input']!r} is no name for a use case: 2 to 48 lower-case letters, digits and underscores, "
            "a letter first"
        )
    return f"{item.error['input']!r} does not match {item.error['ctx']['pattern']}"


_KINDS: tuple[tuple[str, str], ...] = (
    ("string_type", "must be text"),
    ("string_unicode", "must be text"),
    ("bool", "must be true or false"),
    ("int", "must be a whole number"),
    ("float", "must be a number"),
    ("finite", "must be a number"),
    ("tuple_type", "must be a list"),
    ("list_type", "must be a list"),
    ("dict_type", "must be a section of keys and values"),
    ("model_type", "must be a section of keys and values"),
    ("model_attributes", "must be a section of keys and values"),
)
_WRITERS: dict[str, Callable[[_Located], str]] = {
    "missing": lambda item: "is required" + _keys_hint(item),
    "extra_forbidden": lambda item: "unknown key" + nearest(str(item.path[-1]), known_keys(at(item.path[:-1]))),
    "invalid_key": lambda _item: "a key must be text; write it in quotes",
    "value_error": lambda item: str(item.error["ctx"]["error"]),
    "literal_error": lambda item: f"must be {item.error['ctx']['expected']}",
    "too_short": lambda item: (
        f"needs at least {item.error['ctx']['min_length']}, has {item.error['ctx']['actual_length']}"
    ),
    "too_long": lambda item: (
        f"takes at most {item.error['ctx']['max_length']}, has {item.error['ctx']['actual_length']}"
    ),
    "string_pattern_mismatch": _pattern,
}


def _text(item: _Located, *, bare: bool = False) -> str:
    """Say what is wrong with one value; `bare` leaves out the value."""
    kind = item.error["type"]
    if kind == "string_type" and item.error["loc"][-1] == "[key]":
        return "a key must be text; write it in quotes"
    if kind in _WRITERS:
        text = _WRITERS[kind](item)
    else:
        named = next((words for start, words in _KINDS if kind.startswith(start)), None)
        text = named or item.error["msg"].replace("Input should be", "must be")
    return text + (_received(item) if text.startswith("must be") and not bare else "")


def _received(item: _Located) -> str:
    value = item.error.get("input")
    if item.path and item.path[-1] in ("uri", "registry"):
        return ""  # may hold a password
    if isinstance(value, dict):
        return ", not a section"
    text = repr(value)
    return ", not empty" if value is None else f", not {text if len(text) < 60 else text[:57] + '...'}"


def _keys_hint(item: _Located) -> str:
    """Name the unknown key beside a missing one that looks like it."""
    present = item.error.get("input")
    strays = set(map(str, present)) - known_keys(at(item.path[:-1])) if isinstance(present, dict) else set()
    hint = nearest(str(item.path[-1]), strays)
    return hint.replace("did you mean", "is it").replace("?", " misspelt?") if "did you mean" in hint else ""
