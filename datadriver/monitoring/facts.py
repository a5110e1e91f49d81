"""What the checks hand to the rules: one fact per check, subject and window, with its reason in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from datadriver.data.window import Window

Outcome = Literal["ok", "breach", "unknown"]
"""`unknown`: the window does not have what it takes to judge; the reason says what is missing."""

DATA_CHECKS = ("freshness", "completeness", "gaps", "frozen", "out_of_range", "contract")
"""Checks of an asset's data, in the order in which reports show them."""

MODEL_CHECKS = ("drift", "score_drift", "performance", "alarms")
"""Checks of one instance on one asset."""


@dataclass(frozen=True)
class Subject:
    """What a fact is about: the data of an asset, or one instance on that asset (then `unit` and `model` are set)."""

    asset: str
    unit: str = ""
    model: str = ""

    def __str__(self) -> str:
        """Name it as reports do.

        >>> str(Subject("P-1")), str(Subject("P-1", "P-1", "wear")), str(Subject("P-1", "type=ESP", "failure"))
        ('P-1', 'P-1/wear', 'type=ESP/failure on P-1')
        """
        if not self.model:
            return self.asset
        return f"{self.unit}/{self.model}" + ("" if self.unit == self.asset else f" on {self.asset}")


@dataclass(frozen=True)
class Fact:
    """What one check found in one window.

    Attributes:
        subject: whose data or model.
        check: its name in `monitor.checks`.
        window: the window, both ends given.
        outcome: whether it holds the limit.
        value: the figure that was compared, None if it could not be taken.
        limit: what it was compared with.
        unit: of both: `s`, `steps`, `share`, `PSI`, `KS`, the metric's name, or that of the tag (`degC`).
        about: the tag, feature or metric with the worst figure; empty where there is none.
        rows: how many rows or scores were looked at.
        reason: a sentence with figures and units, for breaches and unknowns; for `ok` a short one or nothing.
        version: the champion's version that was judged; None for data checks.
        details: the figure of every tag, feature or metric that was looked at.
        spare: how far inside of its limit the figure is, as a share of the limit; negative when beyond it.
    """

    subject: Subject
    check: str
    window: Window
    outcome: Outcome
    value: float | None = None
    limit: float | None = None
    unit: str = ""
    about: str = ""
    rows: int = 0
    reason: str = ""
    version: int | None = None
    details: Mapping[str, float | None] = field(default_factory=dict)
    spare: float | None = None
