"""What the contract expects of each column's values, as the limits that plots of sensors show."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from datadriver.config.section import Severity
from datadriver.config.sections import Contract
from datadriver.data.contract.suite import load_suite

_ENDS: Mapping[str, tuple[Literal["min_value", "max_value"], ...]] = {
    "expect_column_values_to_be_between": ("min_value", "max_value"),
    "expect_column_min_to_be_between": ("min_value",),
    "expect_column_max_to_be_between": ("max_value",),
}


@dataclass(frozen=True)
class Bound:
    """One limit of a column's values: those `above` it, or `below`, breach the contract if they are too many.

    `mostly` is the share of the values that must hold it.
    """

    at: float
    side: Literal["above", "below"]
    severity: Severity
    mostly: float = 1.0

    def text(self, unit: str = "") -> str:
        """Say it in words.

        >>> Bound(165.0, "above", "warning", 0.995).text("degC"), Bound(20.0, "below", "critical").text()
        ('at most 165 degC for 99.5% of the values (warning)', 'at least 20 (critical)')
        """
        share = f" for {100 * self.mostly:.6g}% of the values" if self.mostly < 1 else ""
        figure = f"{self.at:,.6g} {unit}".strip()
        return f"{'at most' if self.side == 'above' else 'at least'} {figure}{share} ({self.severity})"


def contract_bounds(contract: Contract, root: Path) -> Mapping[str, tuple[Bound, ...]]:
    """Return the limits of values by column, parameters filled in; none without a suite.

    Only expectations that limit each value count: those of its range, and of the smallest and the largest value.
    Cheap to call per asset: assets with the same parameters share one result.

    Raises:
        ConfigError: the suite cannot be read, or has mistakes.
    """
    if contract.suite is None:
        return {}
    path = root / contract.suite
    changed = path.stat().st_mtime_ns if path.exists() else 0
    return _bounds(contract.suite, root, json.dumps(contract.parameters, sort_keys=True, default=str), changed)


@lru_cache(maxsize=256)
def _bounds(label: str, root: Path, parameters: str, changed: int) -> Mapping[str, tuple[Bound, ...]]:  # noqa: ARG001
    suite = load_suite(Contract(suite=label, parameters=json.loads(parameters)), root)
    found: dict[str, list[Bound]] = {}
    for item in suite.expectations if suite else ():
        column = item["kwargs"].get("column")
        if item["type"] in _ENDS and column is not None:
            found.setdefault(str(column), []).extend(_of(item))
    return {column: tuple(bounds) for column, bounds in found.items()}


def _of(item: Mapping[str, Any]) -> Iterator[Bound]:
    for end in _ENDS[item["type"]]:
        value = item["kwargs"].get(end)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            side: Literal["above", "below"] = "below" if end == "min_value" else "above"
            yield Bound(float(value), side, item["severity"], float(item["kwargs"].get("mostly") or 1.0))
