"""Alarms of the models themselves: in how many scores of a window, for how long, and how far beyond the threshold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from datadriver.config.fleet import Instance
from datadriver.config.monitor_section import Alarms
from datadriver.config.sections import Quantile
from datadriver.data.window import Window, span_number
from datadriver.monitoring.facts import Fact, Subject
from datadriver.monitoring.rows import Cut, Flags, Floats, Ints, Kind, instants_of, sorted_rows
from datadriver.monitoring.words import (
    amount,
    as_unit,
    asked,
    lasting,
    moment,
    percent,
    spare,
    too_few,
    unknown,
    unknowns,
)
from datadriver.tracking.records import Version
from datadriver.training.problems import find_problem


def alarm_facts(  # noqa: PLR0913 - what a verdict depends on
    subject: Subject,
    instance: Instance,
    version: Version,
    scores: pd.DataFrame,
    windows: Sequence[Window],
    *,
    unit: str = "",
) -> tuple[Fact, ...]:
    """Return what share of each window's scores are alarms.

    Args:
        subject: The instance on the asset.
        instance: Its configuration.
        version: The champion, whose threshold is named.
        scores: Index `time` or `step`; columns `score`, `actual` and `alarm`. Those of earlier versions count, too.
        windows: The windows, both ends given.
        unit: Of the target's tag; empty where the score has none.

    Returns:
        A fact for each window, with `share`, `longest` (seconds or steps), `largest` and `threshold` as details; none
        where the check is off or the model has no alarm.
    """
    check, alarm = instance.usecase.monitor.checks.alarms, instance.spec.alarm
    if check is None or alarm is None or not asked(check, instance):
        return ()
    if version.threshold is None:
        reason = f"version {version.version} has no alarm threshold: its training knew no {alarm.on} to take it from"
        return unknowns(subject, "alarms", windows, reason, version=version.version)
    scores = sorted_rows(scores)
    figures = (scores[name].to_numpy("float64", na_value=np.nan) for name in ("score", "actual"))
    compared = find_problem(instance.spec.problem).alarm_value(alarm.on, *figures)
    at, flags = instants_of(scores.index), scores["alarm"].to_numpy(dtype=bool)
    facts = []
    for window, low, high in zip(windows, *Cut.of(windows).bounds(at), strict=True):
        part = slice(int(low), int(high))
        seen = _Seen(at[part], flags[part], compared[part], version.threshold, instance.usecase.data.index)
        facts.append(_fact(subject, instance, version, window, check, seen, unit))
    return tuple(facts)


@dataclass(frozen=True)
class _Seen:
    """The scores of one window: instants, alarms, and what is compared with the threshold."""

    at: Ints
    flags: Flags
    compared: Floats
    threshold: float
    kind: Kind

    @property
    def share(self) -> float:
        return float(self.flags.mean()) if len(self.flags) else 0.0

    @property
    def longest(self) -> int:
        """Length of the longest stretch of scores that are all alarms, from its first instant to its last."""
        edges = np.flatnonzero(np.diff(np.concatenate(([False], self.flags, [False]))))
        return int((self.at[edges[1::2] - 1] - self.at[edges[::2]]).max(initial=0))

    @property
    def peak(self) -> int | None:
        """Position of the largest value that was compared."""
        return int(np.nanargmax(self.compared)) if np.isfinite(self.compared).any() else None

    @property
    def details(self) -> dict[str, float | None]:
        peak = self.peak
        return {
            "share": self.share,
            "longest": as_unit(self.longest, self.kind),
            "largest": None if peak is None else float(self.compared[peak]),
            "threshold": self.threshold,
        }


def _fact(  # noqa: PLR0913, PLR0917 - what a verdict depends on
    subject: Subject, instance: Instance, version: Version, window: Window, check: Alarms, seen: _Seen, unit: str
) -> Fact:
    rows, alarm = len(seen.at), instance.spec.alarm
    if rows < check.min_rows:
        reason = too_few(rows, check.min_rows, what="scores")
        return unknown(subject, "alarms", window, reason, rows=rows, version=version.version, details=seen.details)
    return Fact(
        subject,
        "alarms",
        window,
        "breach" if seen.share > check.max else "ok",
        value=seen.share,
        limit=check.max,
        unit="share",
        about=alarm.on if alarm else "",
        rows=rows,
        reason=_reason(instance, seen, f" {unit}" if unit else ""),
        version=version.version,
        details=seen.details,
        spare=spare(seen.share, check.max),
    )


def _reason(instance: Instance, seen: _Seen, unit: str) -> str:
    alarm, peak = instance.spec.alarm, seen.peak
    assert alarm is not None  # noqa: S101 - the check is of models with an alarm
    origin = f" ({alarm.above.quantile} quantile of training)" if isinstance(alarm.above, Quantile) else ""
    lasts = f" for {lasting(span_number(alarm.for_), seen.kind)}" if alarm.for_ else ""
    said = f"{alarm.on} above {amount(seen.threshold)}{unit}{origin}{lasts}"
    said += f" in {percent(seen.share)} of {len(seen.at):,} scores"
    if seen.longest:
        said += f", longest {lasting(seen.longest, seen.kind)}"
    if peak is None:
        return f"{said}; no {alarm.on} is known"
    return f"{said}, largest {amount(float(seen.compared[peak]))}{unit} at {moment(int(seen.at[peak]), seen.kind)}"
