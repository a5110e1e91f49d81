"""The configuration reference, rendered from the section models: names, types, defaults and docstrings."""

from __future__ import annotations

import inspect
import types
from collections.abc import Iterator
from datetime import timedelta
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from datadriver.config.docstrings import docstrings
from datadriver.config.metric_names import METRIC_NAMES
from datadriver.config.monitor_section import Fraction, VotesField
from datadriver.config.section import Section
from datadriver.config.sections import UseCase
from datadriver.config.shape import is_section
from datadriver.config.values import AmountField, Duration, Reference, Size, Span, format_amount

_TOP = """\
# usecase.yaml

Every key of the one declarative file of a use case. This page is generated from the models that validate the file;
`usecase.schema.json` beside it is the same for editors.

Precedence: defaults, the file, the environment that `--env` chooses, overrides in order, the command line. An unknown
key is an error that names the nearest known one. `${VAR}` and `${VAR:-default}` are filled in from the environment,
`${VAR:?what to do}` is `${VAR}` with advice for when it is not set, and `$${` is a plain `${`. Words such
as `NO`, `on` and `yes` are text, as in YAML 1.2; only `true` and `false` are truth values.

| written | means |
|---|---|
| duration | `10min`, `1h`, `30d`, `1d 12h`: us, ms, s, min, h, d, w |
| span | a duration where `data.index` is `time`, a whole number of steps where it is `step` |
| amount | a duration (`60d`), a share (`20%`) or a number of rows (`400 rows`) |
| share | a part of a whole: `10%` or `0.1` |
| size | bytes: `512MB`, `2GB`, `1.5GiB` |
| votes | so many of the last windows: `3 of 5` |
| function | `package.module:function`, of the use case's own package or of an installed one |
| expression | `country == "NO" and depth_m > 1000`: attributes and literals with `==` `!=` `<` `<=` `>` `>=` `in` \
`not in`, `is None`, `and`, `or`, `not`; a missing attribute matches no comparison |
| metric | {metrics}, or a function |
"""
_NAMED: tuple[tuple[Any, str], ...] = (
    (Duration, "duration"),
    (Span, "span"),
    (AmountField, "amount"),
    (Reference, "function"),
    (Fraction, "share"),
    (VotesField, "votes"),
    (Size, "size"),
)
_PLAIN = {
    str: "text",
    int: "whole number",
    float: "number",
    bool: "true or false",
    timedelta: "duration",
    Any: "anything",
}
_EXPRESSIONS = {"where"}


def render_config_reference() -> str:
    """Return the reference as Markdown, one table per section, in the order in which sections appear."""
    parts = [_TOP.replace("{metrics}", ", ".join(f"`{name}`" for name in sorted(METRIC_NAMES)))]
    found = list(sections())
    paths = [path for path, _ in found]
    for path, section in found:
        only = f" with `{next(iter(section.model_fields))}`" if paths.count(path) > 1 else ""
        parts.append(f"## {path}{only}\n\n{inspect.cleandoc(section.__doc__ or '')}\n\n{_table(section)}")
    return "\n".join(parts)


def sections() -> Iterator[tuple[str, type[Section]]]:
    """Yield every section once, under the first path that leads to it."""
    waiting: list[tuple[str, type[Section]]] = [("", UseCase)]
    seen: set[type[Section]] = set()
    while waiting:
        path, section = waiting.pop(0)
        if section in seen:
            continue
        seen.add(section)
        yield (f"`{path}`" if path else "Top level"), section
        below: list[tuple[str, type[Section]]] = []
        for name, field in section.model_fields.items():
            here = f"{path}.{field.alias or name}".lstrip(".")
            below += list(_below(field.annotation, here))
        waiting = below + waiting


def _below(annotation: Any, path: str) -> Iterator[tuple[str, type[Section]]]:
    if is_section(annotation):
        yield path, annotation
    elif get_origin(annotation) is dict:
        yield from _below(get_args(annotation)[1], f"{path}.NAME")
    elif get_origin(annotation) is tuple:
        yield from _below(get_args(annotation)[0], f"{path}[]")
    elif get_origin(annotation) is not Literal:
        for member in get_args(annotation):
            yield from _below(member, path)


def _table(section: type[Section]) -> str:
    rows = ["| key | value | default | meaning |", "|---|---|---|---|"]
    texts = docstrings(section)
    for name, field in section.model_fields.items():
        key = field.alias or name
        kind = "expression" if key in _EXPRESSIONS else _kind(_with_metadata(section, name, field))
        meaning = " ".join((texts.get(name) or _first_line(field.annotation)).split())
        cells = [f"`{key}`", kind, _default(field), meaning]
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(rows) + "\n"


def _with_metadata(section: type[Section], name: str, field: FieldInfo) -> Any:
    """Return the annotation as it is written, since pydantic takes the outermost `Annotated` apart."""
    return inspect.get_annotations(section, eval_str=True).get(name, field.annotation)


def _kind(annotation: Any) -> str:
    """Say in a few words what may stand for a value."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    kind = next((name for known, name in _NAMED if annotation == known), None) or _PLAIN.get(annotation)
    if kind is None and is_section(annotation):
        kind = "section"
    elif kind is None and origin is Annotated:
        kind = _kind(arguments[0])
    elif kind is None and origin in (Union, types.UnionType):
        names = [_kind(member) for member in arguments if member is not type(None)]
        kind = " or ".join(name for name in dict.fromkeys(names) if name != "whole number" or "number" not in names)
    elif kind is None and origin is Literal:
        kind = " or ".join(f"`{value}`" for value in arguments)
    elif kind is None and origin is dict:
        kind = f"names to {_kind(arguments[1])}" if arguments[1] is not Any else "names to values"
    elif kind is None and origin is tuple:
        kind = _tuple_kind(arguments)
    return kind or "anything"


def _tuple_kind(arguments: tuple[Any, ...]) -> str:
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        return f"list of {_kind(arguments[0])}"
    return f"list of {len(arguments)}: {', '.join(_kind(item) for item in arguments)}"


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.default
    if value is None or isinstance(value, Section) or value in ((), {}, ""):
        return ""
    shown = format_amount(value) if isinstance(value, timedelta) else value
    if isinstance(shown, tuple):
        return f"`[{', '.join(map(str, shown))}]`"
    return f"`{str(shown).lower() if isinstance(shown, bool) else shown}`"


def _first_line(annotation: Any) -> str:
    found = next(_below(annotation, ""), None)
    return inspect.cleandoc(found[1].__doc__ or "").split("\n")[0] if found else ""
