"""What must hold within and between the sources of a use case."""

from __future__ import annotations

from collections.abc import Iterator

from datadriver.config.messages import Problem
from datadriver.config.sections import Source, UseCase

READING_OPTIONS = frozenset({"date_format", "epoch", "offsets", "storage_options"})
"""Options that datadriver acts on itself; the others go to the library (or the function) that reads."""

_KEYS = {"parquet": ("path",), "csv": ("path",), "sql": ("uri",), "python": ("function",)}
_ONLY_FOR = {"uri": ("sql",), "table": ("sql",), "query": ("sql",), "function": ("python",), "path": ("parquet", "csv")}


def source_problems(usecase: UseCase) -> Iterator[Problem]:
    """Yield what is wrong with each source, and with their tags together."""
    sources = usecase.data.sources
    if not sources:
        yield Problem(("data", "sources"), "needs at least one source")
    for place, (name, source) in enumerate(sources.items()):
        here = ("data", "sources", name)
        yield from _reading_problems(here, source)
        yield from _tag_problems(here, source, usecase.data.index)
        if place == 0 and source.join != "bin":
            yield Problem(
                (*here, "join"), f"the first source is the main one, so `join` must be bin, not {source.join}"
            )
    yield from _doubled_tags(usecase)


def columns_of(usecase: UseCase) -> set[str] | None:
    """Return the columns that a sensor frame will have, or None if only the data can tell."""
    columns: set[str] = set()
    for source in usecase.data.sources.values():
        if source.join == "none":
            continue
        if source.tags is None:
            return None
        columns |= set(source.tags)
    return columns


def _reading_problems(here: tuple[str, ...], source: Source) -> Iterator[Problem]:
    kind = source.format
    if kind is None:
        kind = "python" if source.function else "sql" if source.uri or source.table or source.query else None
    if kind is None and source.path is None:
        yield Problem(here, "says nowhere what to read; give `path`, `function`, or `uri` with `table` or `query`")
        return
    for key in _KEYS.get(kind or "parquet", ()):
        if getattr(source, key) is None:
            yield Problem((*here, key), f"is required for format {kind}")
    for key, kinds in _ONLY_FOR.items():
        if kind and getattr(source, key) is not None and kind not in kinds:
            yield Problem((*here, key), f"means nothing for format {kind}; it is for {' and '.join(kinds)}")
    if kind == "sql" and (source.table is None) == (source.query is None):
        yield Problem(here, "give either `table` or `query`")


def _tag_problems(here: tuple[str, ...], source: Source, index: str) -> Iterator[Problem]:
    if source.tags is not None and not source.tags:
        yield Problem((*here, "tags"), "lists no tags; leave it out to read every numeric column")
    for name, tag in (source.tags or {}).items():
        low, high = tag.range or (None, None)
        if low is not None and high is not None and not low < high:
            yield Problem((*here, "tags", name, "range"), f"the low end {low} is not below the high end {high}")
        if name == index:
            yield Problem((*here, "tags", name), f"a tag cannot be named {index!r} like the index; name it otherwise")
        if not name.strip():
            yield Problem((*here, "tags"), f"{name!r} is no name for a tag")


def _doubled_tags(usecase: UseCase) -> Iterator[Problem]:
    seen: dict[str, str] = {}
    for name, source in usecase.data.sources.items():
        for tag in source.tags or {} if source.join != "none" else {}:
            if tag in seen:
                said = f"the source {seen[tag]!r} has a tag of this name too; name one of them otherwise, with `from`"
                yield Problem(("data", "sources", name, "tags", tag), said)
            seen.setdefault(tag, name)
