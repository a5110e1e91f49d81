"""Turn templates into pages: each one file that needs nothing else, with everything from outside escaped."""

from __future__ import annotations

import functools
import json
import re
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from jinja2.utils import htmlsafe_json_dumps
from markupsafe import Markup

from datadriver.tracking.records import plain

_HERE = files("datadriver.reporting")
_INDENT = re.compile(r"^[ \t]+", re.MULTILINE)


def render(template: str, **values: Any) -> str:
    """Render a template of `datadriver/reporting/templates`; values are escaped wherever they stand."""
    return _environment().get_template(template).render(**values)


def embedded(value: Any) -> Markup:
    """Write a value as JSON that may stand inside of a `<script>`: nothing in it can end the element."""
    compact = functools.partial(json.dumps, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return htmlsafe_json_dumps(plain(value), dumps=compact)


def counted(count: int, noun: str) -> str:
    """Write a count with its noun.

    >>> counted(1, "model"), counted(1200, "model")
    ('1 model', '1,200 models')
    """
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


@functools.cache
def source(path: str) -> Markup:
    """Return a file of this package, such as `templates/report.css`, for `<style>` and `<script>`, unindented."""
    return Markup(_INDENT.sub("", (_HERE / path).read_text("utf-8")))  # noqa: S704 - our own files


@functools.cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("datadriver.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {"counted": counted, "embedded": embedded, "source": source}
    return environment
