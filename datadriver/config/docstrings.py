"""What is written under the keys of `usecase.yaml` in the section models: read from their source, and only when asked.

Pydantic can do so itself (`use_attribute_docstrings`), but then for every process that loads the models: 40 ms each.
"""

from __future__ import annotations

import ast
import inspect
from itertools import pairwise

from datadriver.config.section import Section


def docstrings(section: type[Section]) -> dict[str, str]:
    """Return the text under each field of a section, those of the sections it extends included.

    >>> from datadriver.config.package_section import BuildSecrets
    >>> docstrings(BuildSecrets)["pip"]
    'A `pip.conf`, for a private index with its credentials.'
    """
    found: dict[str, str] = {}
    for kind in reversed(section.__mro__):
        if issubclass(kind, Section):
            found |= _own(kind)
    return found


def _own(kind: type[Section]) -> dict[str, str]:
    body = ast.parse(inspect.cleandoc("\n" + inspect.getsource(kind))).body[0]
    assert isinstance(body, ast.ClassDef)  # noqa: S101 - getsource of a class
    return {
        field.target.id: inspect.cleandoc(text.value.value)
        for field, text in pairwise(body.body)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
        and isinstance(text.value.value, str)
    }
