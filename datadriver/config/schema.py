"""The JSON Schema of `usecase.yaml`, with which editors complete and check it while it is written."""

from __future__ import annotations

import json
from typing import Any

from datadriver.config.docstrings import docstrings
from datadriver.config.reference import sections
from datadriver.config.sections import UseCase


def json_schema() -> dict[str, Any]:
    """Return the schema of `usecase.yaml`, with the sections under `$defs`."""
    schema = _described(UseCase.model_json_schema(by_alias=True))
    overlay = {**schema["properties"]["environments"], "additionalProperties": {"type": "object"}}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "usecase.yaml",
        "properties": {**schema["properties"], "environments": overlay},
    }


def _described(schema: dict[str, Any]) -> dict[str, Any]:
    """Add what is written under the keys in the models."""
    for _, section in sections():
        own = schema if section is UseCase else schema["$defs"][section.__name__]
        texts = docstrings(section)
        for name, field in section.model_fields.items():
            if name in texts:
                own["properties"][field.alias or name]["description"] = texts[name]
    return schema


def render_json_schema() -> str:
    """Return the schema as the text of `docs/reference/usecase.schema.json`."""
    return json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"
