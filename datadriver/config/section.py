"""The base of every section of `usecase.yaml`: frozen pydantic models that forbid unknown keys."""

from __future__ import annotations

import types
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationInfo, ValidatorFunctionWrapHandler, field_validator

from datadriver.config.grid import PLACEHOLDER

Action = Literal["reject", "warn", "ignore"]
Severity = Literal["critical", "warning", "info"]
Stage = Literal["train", "score"]
Number = int | float


class Section(BaseModel):
    """Base of every section: immutable, and a misspelt key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Recipe(Section):
    """Base of a model's section and the sections in it: a text with `{name}` waits for the grid's value.

    Such a text is kept as it is in any field of one value; every combination of the grid is validated when the file is
    loaded, and the `spec` of an instance has none left.
    """

    @field_validator("*", mode="wrap")
    @classmethod
    def _waits_for_the_grid(cls, value: Any, validate: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
        waits = isinstance(value, str) and PLACEHOLDER.search(value) is not None
        return value if waits and _is_one_value(cls.model_fields[str(info.field_name)].annotation) else validate(value)


def _is_one_value(annotation: Any) -> bool:
    """Tell fields that may hold one value from those that hold sections, lists or mappings only."""
    union = get_origin(annotation) in (Union, types.UnionType)
    alternatives = [kind for kind in (get_args(annotation) if union else (annotation,)) if kind is not type(None)]
    return any(get_origin(kind) not in (dict, tuple) and not hasattr(kind, "model_fields") for kind in alternatives)
