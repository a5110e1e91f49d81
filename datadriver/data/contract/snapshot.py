"""Makes `catalogue.json` from Great Expectations as installed: `python -m datadriver.data.contract.snapshot`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from datadriver.data.contract.engine import quiet

_FIELDS_OF_ITEM = {"id", "meta", "notes", "description", "severity", "rendered_content"}


def text() -> str:
    """Return the content of `catalogue.json`, one expectation a line."""
    lines = [f"{json.dumps(name)}: {json.dumps(entry)}" for name, entry in snapshot().items()]
    return "{\n" + ",\n".join(lines) + "\n}\n"


def snapshot() -> dict[str, dict[str, Any]]:
    """Return the catalogue as Great Expectations and our own expectations are now: what `catalogue.json` holds."""
    with quiet():
        import great_expectations.expectations.core  # noqa: F401, PLC0415 - registers them
        from great_expectations.expectations import registry  # noqa: PLC0415

        from datadriver.data.contract import expectations  # noqa: PLC0415

    found = {}
    for name, implementation in sorted(registry._registered_expectations.items()):
        ours = implementation.__module__ == expectations.__name__
        if not ours and not implementation.__module__.startswith("great_expectations.expectations.core."):
            continue
        fields = {key: field for key, field in implementation.__fields__.items() if key not in _FIELDS_OF_ITEM}
        choices = {key: get_args(field.outer_type_) for key, field in fields.items()}
        found[name] = {
            "kwargs": sorted(fields),
            "required": sorted(key for key, field in fields.items() if field.required),
            "choices": {key: list(values) for key, values in choices.items() if _is_literal(fields[key])},
            "pandas": _judges_pandas(implementation, registry._registered_metrics),
            "ours": ours,
        }
    return found


def _is_literal(field: Any) -> bool:
    return get_origin(field.outer_type_) is Literal


def _judges_pandas(implementation: Any, metrics: Mapping[str, Any]) -> bool:
    """Say whether every metric that an expectation needs can be computed on a pandas frame."""
    mapped = getattr(implementation, "map_metric", None)
    needed = [f"{mapped}.condition"] if mapped else list(implementation.metric_dependencies)
    return all("PandasExecutionEngine" in metrics.get(name, {"providers": ()})["providers"] for name in needed)


if __name__ == "__main__":
    Path(__file__).with_name("catalogue.json").write_text(text(), encoding="utf-8")
