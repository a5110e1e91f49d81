"""YAML text into a plain tree that knows its line numbers, with every mistake found, not only the first.

Scalars follow YAML 1.2: `NO` is Norway and `on` is a key, not booleans; dates and `1:30` stay text. Why not PyYAML's
own loader: docs/adr/0017-usecase-yaml-is-yaml-1.2.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

Path = tuple[str | int, ...]

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_DEEPEST = 40
_LARGEST = 200_000
_CONSTANTS: dict[str, bool | None] = {"": None, "~": None, "null": None, "Null": None, "NULL": None}
_CONSTANTS |= {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INTEGER = re.compile(r"[-+]?[0-9]{1,300}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", re.ASCII)
_SPECIAL = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")


@dataclass(frozen=True)
class Document:
    """A YAML document: its tree, the line of every path, and what is wrong with it as text."""

    tree: Any
    lines: dict[Path, int]
    problems: tuple[str, ...]


def read_yaml(text: str, name: str) -> Document:
    """Read one YAML document; `name` is the file's name in messages."""
    builder = _Builder(name, yaml.parse(text, Loader=_LOADER))
    try:
        return Document(builder.document(), builder.lines, tuple(builder.problems))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        reason = " ".join(part for part in (error.context, error.problem) if part)
        return Document(None, {}, (f"{name}{place}: not valid YAML: {reason}",))
    except yaml.YAMLError as error:
        return Document(None, {}, (f"{name}: not valid YAML: {' '.join(str(error).split())}",))
    except _TooMuchError as error:
        return Document(None, {}, (f"{name}, line {error.args[1]}: {error.args[0]}",))


class _TooMuchError(Exception):
    """The document is deeper or larger than any use case; reading on would not end well."""


@dataclass
class _Anchor:
    value: Any
    size: int


@dataclass
class _Builder:
    """Builds the tree from parser events, which unlike yaml.compose needs no C recursion and keeps every line."""

    name: str
    events: Iterator[Any]
    lines: dict[Path, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    anchors: dict[str, _Anchor] = field(default_factory=dict)
    size: int = 0

    def document(self) -> Any:
        tree, found = None, False
        for event in self.events:
            if isinstance(event, yaml.DocumentStartEvent):
                if found:
                    self.wrong(event, "a second document starts here; a use case is one document")
                    return tree
                tree, found = self.node(next(self.events), ()), True
        return tree

    def wrong(self, event: Any, what: str) -> None:
        self.problems.append(f"{self.name}, line {event.start_mark.line + 1}: {what}")

    def node(self, event: Any, path: Path) -> Any:
        """Return the value that begins with an event, and remember its line and its anchor.

        Raises:
            _TooMuchError: it is nested too deep, or the document has too many values.
        """
        line = event.start_mark.line + 1
        self.lines[path] = line
        if len(path) > _DEEPEST:
            raise _TooMuchError(f"nested more than {_DEEPEST} deep", line)
        before = self.size
        value: Any
        self.count(1, line)
        if isinstance(event, yaml.AliasEvent):
            return self.alias(event, line)
        if isinstance(event, yaml.MappingStartEvent):
            value = self.mapping(path)
        elif isinstance(event, yaml.SequenceStartEvent):
            value = self.sequence(path)
        else:
            value = self.scalar(event)
        if event.tag and not event.tag.startswith("tag:yaml.org,2002:"):
            self.wrong(event, f"the tag {event.tag!r} means nothing here; leave it out")
        if event.anchor:
            self.anchors[event.anchor] = _Anchor(value, self.size - before)
        return value

    def count(self, nodes: int, line: int) -> None:
        self.size += nodes
        if self.size > _LARGEST:
            raise _TooMuchError(f"more than {_LARGEST} values, aliases counted as what they stand for", line)

    def alias(self, event: Any, line: int) -> Any:
        anchor = self.anchors.get(event.anchor)
        if anchor is None:
            self.wrong(event, f"*{event.anchor} stands for nothing that is complete before this line")
            return None
        self.count(anchor.size, line)
        return anchor.value

    def sequence(self, path: Path) -> list[Any]:
        items: list[Any] = []
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            items.append(self.node(event, (*path, len(items))))
        return items

    def mapping(self, path: Path) -> dict[Any, Any]:
        """Return the mapping whose start was read; what it merges with `<<` counts less than its own keys."""
        own: dict[Any, Any] = {}
        merged: list[Any] = []
        first: dict[Any, int] = {}
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            key = self.node(event, (*path, "?"))
            is_merge = key == "<<" and event.style is None
            usable = isinstance(key, (str, int, float))
            place = (*path, key) if usable and not is_merge else (*path, "?")
            value = self.node(next(self.events), place)
            self.lines[place] = event.start_mark.line + 1  # where people look for it: at its key
            if is_merge:
                merged += value if isinstance(value, list) else [value]
            elif not usable:
                self.wrong(event, f"a key is text, not {'empty' if key is None else 'a list or a mapping'}")
            elif key in own:
                self.wrong(event, f"{'.'.join(map(str, (*path, key)))} is set twice, first on line {first[key]}")
            else:
                own[key], first[key] = value, event.start_mark.line + 1
        for base in merged:
            if not isinstance(base, dict):
                self.problems.append(f"{self.name}, line {self.lines[path]}: `<<` takes a mapping or a list of them")
                continue
            own = {**base, **own}
        return own

    def scalar(self, event: Any) -> Any:
        """Return text, or the number, truth value or null that plain text writes out in YAML 1.2."""
        text: str = event.value
        if event.tag == "tag:yaml.org,2002:str" or (event.tag is None and not event.implicit[0]):
            return text
        if text in _CONSTANTS:
            return _CONSTANTS[text]
        if _INTEGER.fullmatch(text):
            return int(text)
        if _FLOAT.fullmatch(text):
            return float(text)
        if _SPECIAL.fullmatch(text):
            return float(text.replace(".", ""))
        return text
