"""The contract's verdict on a sensor frame: suite, outcomes, checks, verdict."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import pandas as pd

from datadriver.config.section import Action, Severity, Stage
from datadriver.config.sections import Contract
from datadriver.data.contract.batch import to_batch
from datadriver.data.contract.compiled.plan import plan_of
from datadriver.data.contract.engine import EXAMPLES, Outcome, run
from datadriver.data.contract.messages import column_of, describe
from datadriver.data.contract.suite import Suite, load_suite
from datadriver.data.contract.view import View
from datadriver.data.frame import Issue, SensorFrame
from datadriver.data.window import Instant, format_instant

Scalar = str | int | float | bool | None
_RANK: Mapping[str, int] = {"pass": 0, "ignore": 0, "warn": 1, "reject": 2}


@dataclass(frozen=True)
class Example:
    """An unexpected value and where it is: an ISO time in UTC, or a step."""

    value: Scalar
    at: str | int | None = None


@dataclass(frozen=True)
class CheckResult:
    """What one expectation found.

    `element_count` is the number of values judged, without nulls where nulls are not judged. `action` is what a breach
    leads to at this stage, and `pass` where there is none. `observed` is the figure of an expectation that compares
    one: a mean, a longest run. Everything but `examples` is plain JSON.
    """

    expectation: str
    column: str | None
    severity: str
    success: bool
    action: str
    unexpected_count: int | None
    element_count: int | None
    examples: tuple[Example, ...]
    observed: Any
    message: str


@dataclass(frozen=True)
class Verdict:
    """What the contract says of one asset's frame at one stage; `action` is the worst of the failing checks'."""

    asset_id: str
    stage: str
    action: Literal["pass", "warn", "reject"]
    checks: tuple[CheckResult, ...] = ()
    rows: int = 0
    issues: tuple[Issue, ...] = field(default=())

    @property
    def failing(self) -> tuple[CheckResult, ...]:
        """The checks that found a breach, the gravest action first, ignored ones included."""
        failed = (check for check in self.checks if not check.success)
        return tuple(sorted(failed, key=lambda check: -_RANK[check.action]))

    @property
    def reason(self) -> str:
        """One line: the gravest breach, and how many more there are; empty if nothing led to an action."""
        acted = [check for check in self.failing if _RANK[check.action]]
        more = f" (and {len(acted) - 1} more)" if len(acted) > 1 else ""
        return f"{acted[0].message}{more}" if acted else ""


def judge(  # noqa: PLR0913 - the frame, by what it is judged, and what for
    sensor: SensorFrame,
    contract: Contract,
    stage: Stage,
    root: Path,
    *,
    now: Instant | None = None,
    by_row: bool = False,
) -> Verdict:
    """Return the contract's verdict on a sensor frame; `pass` where the contract names no suite.

    Args:
        sensor: The frame, read with its issues.
        contract: The contract, with the overrides of the asset applied.
        stage: `train` or `score`: `on_breach` may say something else for each.
        root: Folder of the use case.
        now: The instant up to which freshness is counted, for a window without an end; default: this moment.
        by_row: Judge by what the suite expects of single values and rows alone, for a frame that is no stretch of time:
            of one instant nothing can be said about gaps, means or the number of rows.

    Raises:
        ConfigError: if the suite is wrong; lists every problem.
    """
    suite = load_suite(contract, root)
    suite = suite.by_row if suite is not None and by_row else suite
    if suite is None:
        return Verdict(sensor.asset.id, stage, "pass", (), len(sensor.frame), sensor.issues)
    outcomes = evaluate(suite, sensor, now=now)
    checks = _empty(suite, sensor, contract, stage) or _checks(suite, outcomes, sensor, contract, stage)
    action = max((check.action for check in checks if not check.success), key=_RANK.__getitem__, default="pass")
    worst = cast("Literal['pass', 'warn', 'reject']", "pass" if action == "ignore" else action)
    return Verdict(sensor.asset.id, stage, worst, checks, len(sensor.frame), sensor.issues)


def evaluate(suite: Suite, sensor: SensorFrame, *, now: Instant | None = None) -> tuple[Outcome, ...]:
    """Return what each expectation of the suite found, in its order; nothing for a frame without rows."""
    plan = plan_of(suite)
    if not len(sensor.frame):
        if plan.left:
            suite.gx(plan.left)  # refuses what is wrong with them
        return ()
    compiled = plan.run(View.of_sensor(sensor, now=now))
    left = tuple(position for position, outcome in enumerate(compiled) if outcome is None)
    judged = dict(zip(left, run(suite.gx(left), to_batch(sensor, now=now)), strict=True)) if left else {}
    return tuple(outcome or judged[position] for position, outcome in enumerate(compiled))


def _empty(suite: Suite, sensor: SensorFrame, contract: Contract, stage: Stage) -> tuple[CheckResult, ...]:
    """Return the one critical breach of a frame without rows: most expectations would find nothing wrong with it."""
    if len(sensor.frame):
        return ()
    message = f"there are no rows in the window {sensor.window}, and {suite.label} cannot be judged"
    name, action = "expect_table_row_count_to_be_between", contract.on_breach.action(stage, "critical")
    return (CheckResult(name, None, "critical", False, action, None, 0, (), 0, message),)


def _checks(
    suite: Suite, outcomes: Iterable[Outcome], sensor: SensorFrame, contract: Contract, stage: Stage
) -> tuple[CheckResult, ...]:
    pairs = zip(suite.expectations, outcomes, strict=True)
    return tuple(_check(item, outcome, sensor, contract, stage) for item, outcome in pairs)


def _check(
    item: Mapping[str, Any], outcome: Outcome, sensor: SensorFrame, contract: Contract, stage: Stage
) -> CheckResult:
    severity: Severity = item["severity"]
    action: Action | Literal["pass"] = "pass" if outcome.success else contract.on_breach.action(stage, severity)
    result = outcome.result
    examples = () if outcome.success else _examples(result, sensor.frame.index)
    return CheckResult(
        expectation=item["type"],
        column=column_of(item["kwargs"]),
        severity=severity,
        success=outcome.success,
        action=action,
        unexpected_count=_count(result.get("unexpected_count")),
        element_count=_judged(result),
        examples=examples,
        observed=plain(result.get("observed_value")),
        message=describe(item, outcome, sensor, [(example.value, example.at) for example in examples]),
    )


def _judged(result: Mapping[str, Any]) -> int | None:
    total = _count(result.get("element_count"))
    return None if total is None else total - (_count(result.get("missing_count")) or 0)


def _count(value: Any) -> int | None:
    return None if value is None else int(value)


def _examples(result: Mapping[str, Any], index: pd.Index) -> tuple[Example, ...]:
    values = list(result.get("partial_unexpected_list") or result.get("examples") or ())[:EXAMPLES]
    rows = list(result.get("partial_unexpected_index_list") or ())[:EXAMPLES]
    rows += [None] * (len(values) - len(rows))
    values += [None] * (len(rows) - len(values))
    return tuple(Example(plain(value), _at(index, row)) for value, row in zip(values, rows, strict=True))


def _at(index: pd.Index, row: Any) -> str | int | None:
    if not isinstance(row, (int, np.integer)) or not 0 <= row < len(index):
        return None
    instant = index[int(row)]
    return format_instant(instant) if isinstance(instant, pd.Timestamp) else int(instant)


def plain(value: Any) -> Any:
    """Return a value as JSON can hold it: no numpy, no times, no infinities or NaN; other types as text."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        return value if np.isfinite(value) else (None if np.isnan(value) else str(value))
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    if value is pd.NaT or value is pd.NA:
        return None
    return format_instant(value) if isinstance(value, pd.Timestamp) else str(value)
