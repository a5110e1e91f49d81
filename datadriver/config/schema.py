"""The JSON Schema of `usecase.yaml`, with which editors complete and check it while it is written."""

from __future__ import annotations

import json
from typing import Any

from datadriver.config.sections import UseCase


def json_schema() -> dict[str, Any]:
    """Return the schema of `usecase.yaml`, with the sections under `$defs`."""
    schema = UseCase.model_json_schema(by_alias=True)
    overlay = {**schema["properties"]["environments"], "additionalProperties": {"type": "object"}}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "usecase.yaml",
        "properties": {**schema["properties"], "environments": overlay},
    }


def render_json_schema() -> str:
    """Return the schema as the text of `docs/reference/usecase.schema.json`."""
    return json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"
