"""A suite as a plan of checks: which expectations are compiled, and which are left to Great Expectations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from datadriver.data.contract.compiled import figures, sensor, several, table, values
from datadriver.data.contract.compiled.given import Check, Given, Uncompiled
from datadriver.data.contract.compiled.outcomes import Missing
from datadriver.data.contract.engine import Outcome
from datadriver.data.contract.suite import Suite
from datadriver.data.contract.view import View

MAKERS: Mapping[str, Callable[[Given], Check]] = {
    **values.MAKERS,
    **figures.MAKERS,
    **several.MAKERS,
    **table.MAKERS,
    **sensor.MAKERS,
}


@dataclass(frozen=True)
class Plan:
    """The checks of a suite, in its order; None for what Great Expectations must judge."""

    checks: tuple[Check | None, ...]

    @property
    def left(self) -> tuple[int, ...]:
        """Positions of the expectations that are not compiled."""
        return tuple(position for position, check in enumerate(self.checks) if check is None)

    def run(self, view: View) -> list[Outcome | None]:
        """Return the outcome of each expectation; None for those that Great Expectations must judge."""
        with np.errstate(all="ignore"):  # infinities are values like others
            return [check and _outcome(check, view) for check in self.checks]


@lru_cache(maxsize=256)
def plan_of(suite: Suite) -> Plan:
    """Compile a suite; once per process and content."""
    return Plan(tuple(_compiled(item["type"], item["kwargs"]) for item in suite.expectations))


def _compiled(kind: str, kwargs: Mapping[str, Any]) -> Check | None:
    if kind not in MAKERS:
        return None
    given = Given(kwargs)
    try:
        check = MAKERS[kind](given)
        given.none_left()
    except Uncompiled:
        return None
    return check


def _outcome(check: Check, view: View) -> Outcome | None:
    try:
        return check(view)
    except Missing as missing:
        return Outcome(False, exception=str(missing))
    except Uncompiled:
        return None
