"""What a suite may say: checked against a snapshot of the expectations, without Great Expectations' slow import.

`catalogue.json` lists every expectation type with its keywords; the module `snapshot` makes it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any, get_args

from datadriver.config.section import Severity
from datadriver.config.values import parse_duration
from datadriver.errors import nearest

_TOP = {"name", "expectations", "meta", "id", "notes", "suite_parameters"}
_ITEM = {
    "type",
    "kwargs",
    "meta",
    "notes",
    "severity",
    "description",
    "id",
    "rendered_content",
    "success_on_last_run",
    "expectation_context",
}
_RARE = {"batch_id", "catch_exceptions", "condition_parser", "result_format", "windows"}
SPANS = ("max_duration", "max_gap", "max_age", "min_interval", "max_interval")


@dataclass(frozen=True)
class Entry:
    """One expectation type: its keywords, which must be given, the few values that some allow, where it works."""

    kwargs: tuple[str, ...]
    required: tuple[str, ...]
    choices: Mapping[str, tuple[Any, ...]]
    pandas: bool
    ours: bool


@lru_cache(maxsize=1)
def entries() -> Mapping[str, Entry]:
    """Return the catalogue by expectation type."""
    text = resources.files(__package__).joinpath("catalogue.json").read_text(encoding="utf-8")
    return {name: _entry(item) for name, item in json.loads(text).items()}


def _entry(item: Mapping[str, Any]) -> Entry:
    choices = {key: tuple(values) for key, values in item.get("choices", {}).items()}
    return Entry(tuple(item["kwargs"]), tuple(item["required"]), choices, item["pandas"], item["ours"])


def problems(suite_path: Path, parameters: Mapping[str, Any], *, label: str | None = None) -> tuple[str, ...]:
    """Return every mistake in a suite file that can be found without data, one sentence each.

    Args:
        suite_path: The suite's JSON file.
        parameters: `contract.parameters`, with the overrides of the cohort applied.
        label: How the messages name the file; default: its path.
    """
    label = label or str(suite_path)
    document, found = read(suite_path, label=label)
    return found or problems_of(document, parameters, label=label)


def read(path: Path, *, label: str) -> tuple[Any, tuple[str, ...]]:
    """Return the parsed file, and the problem that kept it from being read."""
    content, problems = text_of(path, label=label)
    return (None, problems) if problems else parse(content, label=label)


def text_of(path: Path, *, label: str) -> tuple[str, tuple[str, ...]]:
    """Return the text of the file, and the problem that kept it from being read."""
    try:
        return path.read_text(encoding="utf-8-sig"), ()
    except FileNotFoundError:
        siblings = path.parent.glob("*.json") if path.parent.is_dir() else ()
        return "", (f"{label}: there is no such suite file{nearest(path.name, (near.name for near in siblings))}",)
    except (OSError, UnicodeDecodeError) as error:
        return "", (f"{label}: the suite file cannot be read: {error}",)


def parse(content: str, *, label: str) -> tuple[Any, tuple[str, ...]]:
    """Return the parsed text, and the problems that kept it from being read."""
    repeated: list[str] = []

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        keys = [key for key, _ in pairs]
        repeated.extend(sorted({key for key in keys if keys.count(key) > 1}))
        return dict(pairs)

    try:
        document = json.loads(content, object_pairs_hook=once)
    except json.JSONDecodeError as error:
        return None, (f"{label}: line {error.lineno}, column {error.colno}: not valid JSON: {error.msg}",)
    except RecursionError:
        return None, (f"{label}: not valid JSON: nested too deeply",)
    return document, tuple(f"{label}: the key {key!r} is given twice in one object" for key in repeated)


def problems_of(document: Any, parameters: Mapping[str, Any], *, label: str) -> tuple[str, ...]:
    """Return every mistake in a parsed suite."""
    if not isinstance(document, dict):
        return (f"{label}: a suite is an object with `name` and `expectations`, not {_kind(document)}",)
    found = list(_top_problems(document))
    items = document.get("expectations", [])
    for position, item in enumerate(items if isinstance(items, list) else []):
        found += [f"expectations[{position}]{text}" for text in _item_problems(item, parameters)]
    return tuple(f"{label}: {text}" for text in found)


def _top_problems(document: Mapping[str, Any]) -> Iterator[str]:
    for key in document.keys() - _TOP:
        yield f"unknown key {key!r}{nearest(key, _TOP)}"
    if not isinstance(document.get("name"), str) or not document["name"]:
        yield f"`name` must be a text, not {_kind(document.get('name'))}"
    if not isinstance(document.get("expectations"), list):
        yield f"`expectations` must be a list, not {_kind(document.get('expectations'))}"
    if document.get("suite_parameters"):
        yield "`suite_parameters` are not read; give the values under `contract.parameters` in usecase.yaml"


def _item_problems(item: Any, parameters: Mapping[str, Any]) -> Iterator[str]:
    if not isinstance(item, dict):
        yield f": an expectation is an object with `type` and `kwargs`, not {_kind(item)}"
        return
    kind = item.get("type")
    if not isinstance(kind, str):
        yield ": `type` must be the name of an expectation" + (
            "; `expectation_type` is the old spelling" if "expectation_type" in item else f", not {_kind(kind)}"
        )
        return
    for key in sorted(item.keys() - _ITEM - {"expectation_type"}):
        yield f" {kind}: unknown key {key!r}{nearest(key, _ITEM)}"
    severity = item.get("severity")
    if severity is not None and severity not in get_args(Severity):
        yield f" {kind}: unknown severity {severity!r}{nearest(str(severity), get_args(Severity))}"
    kwargs = item.get("kwargs") or {}
    if not isinstance(kwargs, dict):
        yield f" {kind}: `kwargs` must be an object, not {_kind(kwargs)}"
        return
    filled = {key: _filled(value, parameters) for key, value in kwargs.items()}
    yield from (f" {kind}: {text}" for text in _kwargs_problems(kind, filled))
    yield from (f" {kind}: {text}" for text in _parameter_problems(kwargs, parameters))


_UNKNOWN = object()


def _filled(value: Any, parameters: Mapping[str, Any]) -> Any:
    if isinstance(value, dict) and "$PARAMETER" in value:
        name = value["$PARAMETER"]
        return parameters.get(name, _UNKNOWN) if isinstance(name, str) else _UNKNOWN
    return value


def _kwargs_problems(kind: str, kwargs: Mapping[str, Any]) -> Iterator[str]:
    entry = entries().get(kind)
    if entry is None:
        yield f"unknown expectation{nearest(kind, entries())}"
        return
    if not entry.pandas:
        yield "works on SQL tables only, and a contract judges a frame in memory"
    for key in kwargs.keys() - set(entry.kwargs):
        yield f"unknown keyword {key!r}{nearest(key, set(entry.kwargs) - _RARE)}"
    for key in entry.required:
        if kwargs.get(key) is None:
            yield f"the keyword {key!r} is missing"
    for key, allowed in entry.choices.items():
        if isinstance(kwargs.get(key), str) and kwargs[key] not in allowed:
            yield f"{key} is {kwargs[key]!r}{nearest(kwargs[key], map(str, allowed))}"
    for key in SPANS if entry.ours else ():
        yield from _span_problems(key, kwargs.get(key))
    yield from _order_problems(kwargs)


def _span_problems(key: str, value: Any) -> Iterator[str]:
    if isinstance(value, str):
        try:
            parse_duration(value)
        except ValueError as error:
            yield f"{key}: {error}"


def _order_problems(kwargs: Mapping[str, Any]) -> Iterator[str]:
    low, high, mostly = (kwargs.get(key) for key in ("min_value", "max_value", "mostly"))  # type: Any, Any, Any
    if _is_number(low) and _is_number(high) and low > high:
        yield f"min_value {low} is above max_value {high}, so nothing can meet it"
    if _is_number(mostly) and not 0 <= mostly <= 1:
        yield f"mostly is {mostly}; it is a share from 0 to 1"


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _parameter_problems(value: Any, parameters: Mapping[str, Any]) -> Iterator[str]:
    if isinstance(value, list):
        for item in value:
            yield from _parameter_problems(item, parameters)
    elif isinstance(value, dict) and "$PARAMETER" in value:
        name = value["$PARAMETER"]
        if len(value) > 1:
            yield f'{{"$PARAMETER": {name!r}}} stands alone; it also has {sorted(value.keys() - {"$PARAMETER"})}'
        if not isinstance(name, str) or name not in parameters:
            hint = nearest(str(name), parameters) or "; there are none"
            yield f"the parameter {name!r} is not under `contract.parameters`{hint}"
    elif isinstance(value, dict):
        for item in value.values():
            yield from _parameter_problems(item, parameters)


def _kind(value: Any) -> str:
    names = {type(None): "null", dict: "an object", list: "a list", str: "a text", bool: "true or false"}
    return names.get(type(value), "a number")
