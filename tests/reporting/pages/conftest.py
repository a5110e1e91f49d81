"""Facts as `gather` hands them to pages, made up: an asset with a motor that gets hot, and a model over a fleet."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest

from datadriver.fleet.status import STATES, InstanceStatus
from datadriver.reporting.bands import Bound
from datadriver.reporting.facts import (
    AssetFacts,
    AssetLine,
    Change,
    CheckCurve,
    Heading,
    InstanceLine,
    Mark,
    ModelFacts,
    ScoreCurve,
    TagCurve,
)
from datadriver.reporting.trends import trends
from datadriver.tracking.monitor_records import Alarm, CheckState, RetrainRequest
from datadriver.tracking.records import Version

SECOND = 10**6
HOUR, DAY = 3600 * SECOND, 86400 * SECOND
END = int(datetime(2025, 5, 1, tzinfo=UTC).timestamp()) * SECOND
START = END - 14 * DAY
MODEL = "motor_temperature"


def iso(number: int) -> str:
    """Write an instant as the ledger keeps it."""
    return datetime.fromtimestamp(number / SECOND, UTC).isoformat(timespec="microseconds")


HEADING = Heading(
    usecase="pumps",
    description="Pumps",
    index="time",
    timezone="UTC",
    end=iso(END),
    window="1d",
    made_at="2025-05-01T05:10:00.000000+00:00",
    since=iso(END - DAY),
    since_at="2025-04-30T05:10:00.000000+00:00",
    mlflow="mlflow ui --backend-store-uri sqlite:///.datadriver/mlflow.db",
)


@pytest.fixture(scope="session")
def heading() -> Heading:
    return HEADING


@pytest.fixture(scope="session")
def asset_facts() -> Callable[..., AssetFacts]:
    """Make the facts of an asset; what is given stands instead of what is made."""
    return _asset_facts


@pytest.fixture(scope="session")
def model_facts() -> Callable[..., ModelFacts]:
    """Make the facts of a model over some instances."""
    return _model_facts


@pytest.fixture(scope="session")
def tag_curve() -> Callable[..., TagCurve]:
    """Make a tag, hour by hour; `hole` is a stretch of hours without readings."""
    return _tag


def _asset_facts(name: str = "PL-015", **changes: Any) -> AssetFacts:
    random = np.random.default_rng(1)
    hot = np.maximum(0, np.arange(336) - 200) * 0.2
    facts = AssetFacts(
        heading=HEADING,
        line=_line(name),
        start=START,
        end=END,
        tags=(
            _tag(MODEL, "degC", 92 + hot + random.normal(0, 1, 336), bounds=(Bound(110.0, "above", "warning", 0.995),)),
            _tag("vibration", "g", random.normal(0.6, 0.05, 336), hole=(120, 140), limits=(0, 10)),
        ),
        scores=(_residuals(name, random), _probabilities(random)),
        checks=(*_data_checks(), *_model_checks(name)),
        models={MODEL: "motor_temperature.html"},
        events=(
            Mark(END - 9 * DAY, "maintenance", "kind: inspection"),
            Mark(END - 2 * DAY, "failures", "mode: bearing", grave=True),
        ),
        before=("PL-014", "PL-014.html"),
        after=("PL-016", "PL-016.html"),
    )
    return replace(facts, **changes)


def _tag(name: str, unit: str, mean: np.ndarray, *, hole: tuple[int, int] = (0, 0), **limits: Any) -> TagCurve:
    keep = np.ones(len(mean), dtype=bool)
    keep[slice(*hole)] = False
    at, mean = (START + HOUR * np.arange(len(mean)))[keep], mean[keep]
    return TagCurve(name, unit, at, mean, mean - 0.5, mean + 0.5, np.full(len(at), 2.0), **limits)


def _residuals(name: str, random: np.random.Generator) -> ScoreCurve:
    at = START + HOUR * np.arange(1, 337)
    hot = np.maximum(0, np.arange(336) - 200) * 0.2
    predicted = 92 + random.normal(0, 0.2, 336)
    actual = 92 + hot + random.normal(0, 0.5, 336)
    residual = actual - predicted
    return ScoreCurve(
        name, MODEL, at, predicted, actual, residual, residual > 6, np.ones(336, dtype=int), "residual", 6.0, "degC"
    )


def _probabilities(random: np.random.Generator) -> ScoreCurve:
    at = START + HOUR * np.arange(1, 337)
    score = np.clip(random.normal(0.1, 0.03, 336), 0, 1)
    nothing = np.full(336, np.nan)
    return ScoreCurve(
        "type=ESP", "failure", at, score, nothing, nothing, score > 0.3, np.ones(336, dtype=int), "score", 0.3
    )


def check_curve(check: str, measure: str, values: Any, limit: float, **more: Any) -> CheckCurve:
    """Make a check over 14 days; breaches are above the limit, for completeness below."""
    values = np.asarray(values, dtype=float)
    start = START + DAY * np.arange(len(values))
    beyond = values < limit if check == "completeness" else values > limit
    outcome = tuple(
        "unknown" if np.isnan(value) else "breach" if bad else "ok" for value, bad in zip(values, beyond, strict=True)
    )
    names = {"unit": "", "model": "", "about": ("",) * len(values), "state": outcome, "details": {}} | more
    return CheckCurve(
        check=check,
        measure=measure,
        start=start,
        at=start + DAY,
        value=values,
        limit=np.full(len(values), limit),
        outcome=outcome,
        reason=tuple(f"{check} is {value:.3g}" for value in values),
        **names,
    )


def _data_checks() -> tuple[CheckCurve, ...]:
    share = np.full(14, 0.99)
    share[5] = 0.4
    states = ("ok",) * 5 + ("silenced",) + ("ok",) * 8
    return (
        check_curve("freshness", "s", np.full(14, 1800.0), 21600.0),
        check_curve("completeness", "share", share, 0.9, state=states, about=("vibration",) * 14),
    )


def _model_checks(name: str) -> tuple[CheckCurve, ...]:
    ramp = np.maximum(0, np.arange(14) - 8) * 0.1
    details = {"load: PSI": np.full(14, 0.03), "flow: PSI": 0.05 + ramp, "flow: KS": ramp}
    mine = {"unit": name, "model": MODEL}
    return (
        check_curve("drift", "PSI", 0.05 + ramp, 0.2, about=("flow",) * 14, details=details, **mine),
        check_curve("performance", "mae", np.where(np.arange(14) < 4, np.nan, 0.6 + ramp), 0.71, **mine),
    )


def check_state(name: str, check: str, state: Any, **more: Any) -> CheckState:
    """Make the state of a check after the newest window."""
    values = {"outcome": "breach" if state == "alarm" else "ok", "severity": "critical", "recent": "oobbb"} | more
    known = {"unit": "", "model": ""} | values
    return CheckState(asset=name, check=check, state=state, window_start=iso(END - DAY), window_end=iso(END), **known)


def _line(name: str) -> AssetLine:
    alarm = check_state(
        name,
        "alarms",
        "alarm",
        unit=name,
        model=MODEL,
        value=0.92,
        limit=0.0,
        measure="share",
        reason="92% of 24 scores are alarms: residual above 6 degC",
        since=iso(END - 3 * DAY),
        owner="rotating@field",
        runbook="https://wiki.example/hot-motor",
    )
    fresh = check_state(name, "freshness", "ok", value=1800.0, limit=21600.0, measure="s")
    opened = Alarm(
        1,
        name,
        name,
        MODEL,
        "alarms",
        "critical",
        iso(END - 3 * DAY),
        "56% of 24 scores are alarms",
        owner="rotating@field",
    )
    return AssetLine(
        id=name,
        page=f"{name}.html",
        attributes={"country": "NO", "depth_m": 2410},
        state="alarm",
        reason=alarm.reason,
        checks=(alarm, fresh),
        instances=(_regression(name), instance_line("type=ESP", "failure", "baseline", model=0.31, baseline=0.34)),
        alarms=(opened,),
    )


def _regression(name: str) -> InstanceLine:
    line = instance_line(name, MODEL, "champion", model=0.645, baseline=1.82)
    asked = RetrainRequest(name, MODEL, "flow is unlike the training part", name, "drift", iso(END), "b", iso(END))
    changes = (
        Change(iso(END), "request", reason=asked.reason),
        Change(iso(END - 5 * DAY), "promote", 2, 1, "ana", "run", 7),
    )
    return replace(line, requests=(asked,), changes=changes)


def instance_line(unit: str, model: str, state: Any, /, **figures: Any) -> InstanceLine:
    """Make an instance; `model` and `baseline` among the figures are its `mae` on the holdout."""
    role = "baseline" if state == "baseline" else "model"
    primary = figures.pop("primary", "mae")
    reason = figures.pop("reason", f"{model} of {unit} is {state}")
    metrics = {of: {primary: value} for of, value in figures.items()}
    champion = Version(
        unit, model, 2, "f3c0" * 8, "m", "p", "s", "r", role, "predict", metrics, {}, 6.0, {"reason": reason},
        iso(END - 20 * DAY),
    )  # fmt: skip
    status = InstanceStatus(
        unit, model, 2, state, reason, metrics.get(role, {}), metrics.get("baseline", {}), primary, last_train=iso(END)
    )
    return InstanceLine(status, "regression", (unit,), champion, False, (champion,))


def _model_facts(count: int = 30, **changes: Any) -> ModelFacts:
    random = np.random.default_rng(2)
    lines = []
    for number in range(1, count + 1):
        unit, baseline = f"PL-{number:03d}", float(random.uniform(1.2, 2.4))
        model = baseline * float(random.uniform(0.3, 1.1))
        state = "champion" if model < baseline else "baseline"
        reason = f"mae {model:.3g} against the baseline's {baseline:.3g}"
        lines.append(instance_line(unit, MODEL, state, model=model, baseline=baseline, reason=reason))
    for place, reason in ((3, "PL-004: 60% nulls"), (4, "PL-005: 41% nulls")):
        for line in lines[place : place + 1]:
            lines[place] = replace(line, status=replace(line.status, state="rejected", reason=reason))
    lines.sort(key=lambda line: STATES.index(line.status.state))
    facts = ModelFacts(
        heading=HEADING,
        name=MODEL,
        page="motor_temperature.html",
        problem="regression",
        primary="mae",
        greater_is_better=False,
        lines=tuple(lines),
        checks=(check_state("PL-001", "drift", "alarm", unit="PL-001", model=MODEL),),
        trends=trends(fact_rows(count, random))[MODEL],
        pages={line.unit: f"{line.unit}.html" for line in lines},
    )
    return replace(facts, **changes)


def fact_rows(count: int, random: np.random.Generator) -> pd.DataFrame:
    """Make the facts of drift of some assets over 14 days."""
    rows = [
        {
            "asset_id": f"PL-{number:03d}",
            "model": MODEL,
            "check": "drift",
            "window_start": pd.Timestamp(START + day * DAY, unit="us", tz="UTC"),
            "window_end": pd.Timestamp(START + (day + 1) * DAY, unit="us", tz="UTC"),
            "value": float(value),
            "limit": 0.2,
            "measure": "PSI",
            "outcome": "breach" if value > 0.2 else "ok",
        }
        for number in range(1, count + 1)
        for day, value in enumerate(random.uniform(0, 0.25, 14))
    ]
    return pd.DataFrame(rows)
