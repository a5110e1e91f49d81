"""The contract's verdict on the rows of each window, with what reading them ran into."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from datadriver.config.section import Severity
from datadriver.data.contract.verdict import CheckResult, judge
from datadriver.data.frame import Issue, SensorFrame
from datadriver.data.window import Window
from datadriver.monitoring.facts import Fact
from datadriver.monitoring.rows import Cut
from datadriver.monitoring.watched import Watched
from datadriver.monitoring.words import spare, unknown

_GRAVE: Mapping[Severity, int] = {"info": 0, "warning": 1, "critical": 2}


def contract_facts(watched: Watched, root: Path) -> Iterator[Fact]:
    """Yield for each window how many breaches of the contract count; nothing where there is no contract.

    Raises:
        ConfigError: if the suite is wrong.
    """
    check, contract = watched.usecase.monitor.checks.contract, watched.usecase.contract
    if check is None or contract.suite is None:
        return
    for window in watched.windows:
        sensor = rows_of(watched, window)
        if not len(sensor.frame):
            yield unknown(watched.subject, "contract", window, "there are no rows to judge by the contract")
            continue
        failing = judge(sensor, contract, "score", root).failing
        counted = sorted(
            (one for one in failing if _GRAVE[one.severity] >= _GRAVE[check.at]),  # type: ignore[index]
            key=lambda one: -_GRAVE[one.severity],  # type: ignore[index]
        )
        yield Fact(
            watched.subject,
            "contract",
            window,
            "breach" if counted else "ok",
            value=float(len(counted)),
            limit=0.0,
            unit="breaches",
            about=(counted[0].column or "") if counted else "",
            rows=len(sensor.frame),
            reason=_reason(counted, len(failing)),
            details={name: float(sum(one.severity == name for one in failing)) for name in reversed(list(_GRAVE))},
            spare=spare(float(len(counted)), 0.0),
        )


def rows_of(watched: Watched, window: Window) -> SensorFrame:
    """Return the sensor frame of one window, with the issues and the number of readings of that window.

    Issues of which nobody knows where they were, such as stamps that cannot be read, are left out.
    """
    cut, sensor = Cut.of([window]), watched.sensor
    issues = tuple(found for issue in sensor.issues if (found := _inside(issue, cut)) is not None)
    read = dict.fromkeys(sensor.rows_read, 0)
    for tag in watched.tags:
        source = watched.source_of(tag)
        lost = sum(issue.count for issue in issues if (issue.source, issue.tag) == (source, tag))
        read[source] = max(read.get(source, 0), int(cut.counts(watched.readings(tag))[0]) + lost)
    return replace(sensor, frame=window.slice(sensor.frame), window=window, issues=issues, rows_read=read)


def _inside(issue: Issue, cut: Cut) -> Issue | None:
    if issue.at is None:
        return None
    count = int(cut.counts(np.sort(issue.at))[0])
    return replace(issue, count=count, examples=issue.examples if count == issue.count else ()) if count else None


def _reason(counted: list[CheckResult], failing: int) -> str:
    if not counted:
        return f"{failing:,} breach{'' if failing == 1 else 'es'} of less severity" if failing else ""
    return counted[0].message + (f" (and {len(counted) - 1} more)" if len(counted) > 1 else "")
