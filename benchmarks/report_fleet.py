"""A monitored fleet of any size without its sensors: what `monitor` leaves in the ledger and in Parquet, made up.

The report reads nothing else, so that a fleet of thousands is there in seconds. States are as on a bad morning: a few
percent of the pumps in alarm, some on the way, some unreachable, some in maintenance.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from datadriver.data.window import Window
from datadriver.monitoring.facts import Fact, Subject
from datadriver.monitoring.rules import Judged, Memory
from datadriver.monitoring.store import monitor_path, write_facts, write_series
from datadriver.project import Project
from datadriver.serving.scores import Stretch, scores_path, write_scores
from datadriver.tracking import schema
from datadriver.tracking.monitor_records import Alarm, CheckState, RetrainRequest
from datadriver.tracking.monitoring import MonitorResult, record_monitoring
from datadriver.tracking.records import instant_text

YAML = """
name: pumps
description: Wear and failures of electric submersible pumps in five countries
fleet: {assets: fleet.csv}
data:
  resolution: 1h
  timezone: Europe/Oslo
  sources:
    sensors:
      format: parquet
      path: sensors.parquet
      index: ts
      asset: pump
      tags:
        intake_pressure: {unit: bar, range: [0, 400]}
        motor_temperature: {unit: degC, range: [0, 175]}
        vibration: {unit: g, range: [0, 10]}
        current: {unit: A, range: [-5, 300]}
        flow: {unit: m3/d, range: [0, 6000]}
    failures: {format: csv, path: failures.csv, index: failed_at, asset: asset_id, join: none}
models:
  motor_temperature:
    problem: regression
    target: {column: motor_temperature}
    estimator: pumps.models:estimator
    baseline: pumps.models:estimator
    evaluate: {metrics: [mae, r2], primary: mae}
    alarm: {on: residual, above: {quantile: 0.999}, for: 2h}
  behaviour:
    problem: anomaly
    estimator: pumps.models:estimator
    baseline: pumps.models:estimator
    evaluate: {metrics: [alarm_rate]}
    alarm: {above: {quantile: 0.995}}
monitor:
  history: 30
  alarm: {owner: wells-north@example.com, runbook: "https://wiki.example.com/pumps/runbook"}
"""

WINDOWS, HOURS = 30, 24
TAGS = {"intake_pressure": 140.0, "motor_temperature": 118.0, "vibration": 1.1, "current": 61.0, "flow": 780.0}
DATA = {"freshness": "critical", "completeness": "warning", "out_of_range": "warning", "contract": "critical"}
MODEL = {"drift": "warning", "score_drift": "warning", "performance": "warning", "alarms": "critical"}
MODELS = ("motor_temperature", "behaviour")
LETTERS = {"alarm": "b", "pending": "b", "unknown": "u", "silenced": "s", "ok": "o"}
MEASURES = {"freshness": ("s", 21600.0), "completeness": ("share", 0.9), "out_of_range": ("share", 0.01)}
MEASURES |= {"contract": ("breaches", 0.0), "drift": ("PSI", 0.2), "score_drift": ("KS", 0.1)}
MEASURES |= {"performance": ("mae", 2.2), "alarms": ("share", 0.0)}
SAYS = {
    "freshness": "newest reading is {far:.0f} h old at the window's end ({tag}), limit 6 h",
    "completeness": "{share:.0%} of the bins have a value of {tag}, limit 90%",
    "out_of_range": "{share:.1%} of the readings of {tag} are outside of its range, limit 1%",
    "contract": "{tag} is not between 0 and 175 in {share:.0%} of the rows (critical)",
    "drift": "{tag} has a median of 71.2, 61.3 in training: PSI {far:.2f}, limit 0.2",
    "score_drift": "score has a median of 122, 118 in training: KS {share:.2f}, limit 0.1",
    "performance": "mae {far:.2f} on 24 rows, 2.02 on the holdout (31% worse); limit 2.2",
    "alarms": "residual above 4.1 degC for 2 h in {share:.0%} of 24 scores, longest {far:.1f} h",
}
BLIND = {
    "performance": "no scores with a known truth (20 are needed)",
    "drift": "3 of the 20 rows needed",
}
MORNING = {"alarm": 0.035, "pending": 0.04, "unknown": 0.015, "silenced": 0.015}


@dataclass(frozen=True)
class Made:
    """A made fleet: where, and the end of its newest window."""

    root: Path
    end: pd.Timestamp


def make_report_fleet(root: Path, assets: int, *, seed: int = 5, end: str | None = None) -> Made:
    """Write a use case with a ledger, facts, series and scores as if it had been monitored for 30 days."""
    last = pd.Timestamp(end or datetime.now(UTC)).tz_convert("UTC").floor("D").as_unit("us")
    generator = np.random.default_rng(seed)
    _write_case(root, assets, generator)
    project = Project.open(root)
    _Making(project, generator, last).make()
    return Made(root, last)


def _write_case(root: Path, assets: int, generator: np.random.Generator) -> None:
    (root / "src" / "pumps").mkdir(parents=True)
    (root / "usecase.yaml").write_text(YAML.lstrip("\n"), "utf-8")
    (root / "src" / "pumps" / "__init__.py").write_text("")
    (root / "src" / "pumps" / "models.py").write_text(
        "from sklearn.dummy import DummyRegressor\n\ndef estimator():\n    return DummyRegressor()\n"
    )
    countries = generator.choice(["NO", "GB", "BR", "OM", "US"], assets)
    fleet = pd.DataFrame(
        {
            "asset_id": [f"15/9-F-{n} {'ABCD'[n % 4]}" if n % 17 == 0 else f"P-{n:05d}" for n in range(1, assets + 1)],
            "country": countries,
            "site": [
                f"{country} field {n}" for country, n in zip(countries, generator.integers(1, 9, assets), strict=True)
            ],
            "type": generator.choice(["ESP", "PCP"], assets, p=[0.8, 0.2]),
            "depth_m": generator.integers(900, 3200, assets),
        }
    )
    fleet.to_csv(root / "fleet.csv", index=False)
    failures = pd.DataFrame(columns=["asset_id", "failed_at", "kind"])
    failures.to_csv(root / "failures.csv", index=False)


class _Making:
    """One fleet at work: its random generator, its windows, its use case."""

    def __init__(self, project: Project, generator: np.random.Generator, end: pd.Timestamp) -> None:
        self.project, self.random, self.end = project, generator, end
        day = pd.Timedelta(days=1)
        self.starts = [end - day * (WINDOWS - n) for n in range(WINDOWS)]
        self.ends = [start + day for start in self.starts]
        self.batch = project.ledger.start_batch("monitor").id

    def make(self) -> None:
        ids = [asset.id for asset in self.project.assets]
        self._train()
        moods = self.random.choice([*MORNING, "ok"], len(ids), p=[*MORNING.values(), 1 - sum(MORNING.values())])
        for start in range(0, len(ids), 250):
            chunk = list(zip(ids[start : start + 250], moods[start : start + 250], strict=True))
            self._monitor(chunk)
            self._score(chunk)
        self._backdate(ids)
        self.project.ledger.finish_batch(self.batch)

    def _backdate(self, ids: list[str]) -> None:
        """Let all but the last asset have been looked at before."""
        before = self._text(pd.Timestamp.now("UTC") - pd.Timedelta(days=5))
        table = schema.monitored
        with self.project.ledger.writing() as connection:
            connection.execute(table.update().where(table.c.asset != ids[-1]).values(first_at=before))

    def _train(self) -> None:
        """Record a training of every instance five days ago: most are champions, some failed."""
        at = instant_text(datetime.now(UTC) - timedelta(days=5)) or ""
        outcomes, versions, items = [], [], []
        for instance in self.project.instances:
            key = {"unit": instance.unit.key, "model": instance.model}
            luck = self.random.random()
            state, reason = ("trained", "") if luck > 0.03 else _lost(luck)
            code = {"trained": 0, "rejected": 3, "failed": 4}[state]
            outcome = {"batch": self.batch, **key, "state": state, "reason": reason, "exit_code": code, "seconds": 0.1}
            recent = instant_text(datetime.now(UTC) - timedelta(hours=5)) if luck < 0.006 else at
            outcomes.append({**outcome, "result_key": None, "fingerprint": None, "at": recent})
            if state == "trained":
                versions.append(self._version(key, at))
                items.append({**key, "version": 1, "previous_version": None})
        with self.project.ledger.writing() as connection:
            connection.execute(schema.outcomes.insert(), outcomes)
            connection.execute(schema.versions.insert(), versions)
            header = {"at": at, "by": "anna", "action": "promote", "reason": "weekly training", "batch": self.batch}
            connection.execute(schema.releases.insert(), [{"id": 1, **header}])
            connection.execute(schema.release_items.insert(), [{"release": 1, **item} for item in items])

    def _version(self, key: dict[str, str], at: str) -> dict[str, Any]:
        mae = float(self.random.gamma(9, 0.2))
        worse = self.random.random() < 0.06
        figures = {"mae": mae, "r2": 0.9, "alarm_rate": 0.01}
        return {
            **key,
            "version": 1,
            "run_id": f"{self.random.integers(1 << 60):032x}",
            "model_uri": "models:/m-1",
            "path": "artifacts/m-1",
            "sha256": "0" * 64,
            "result_key": f"{self.random.integers(1 << 60):064x}",
            "role": "baseline" if worse else "model",
            "method": "predict",
            "metrics": {"model": figures, "baseline": {name: value * 1.4 for name, value in figures.items()}},
            "seen": {},
            "threshold": 4.1,
            "decision": {"better": True, "reason": f"mae {mae:.3f} beats baseline {mae * 1.4:.3f}"},
            "created_at": at,
        }

    def _monitor(self, chunk: list[tuple[str, str]]) -> None:
        rows = [row for asset, mood in chunk for row in self._rows(asset, str(mood))]
        path = monitor_path(self.project.usecase, self.project.root)
        write_facts(path, rows)
        write_series(path, pd.concat([self._series(asset) for asset, _ in chunk], ignore_index=True))
        states = [self._state(row) for row in rows if row.fact.window.end == self.end]
        opened = [self._alarm(state) for state in states if state.state in ("alarm", "silenced")]
        past = [self._closed(asset) for asset, mood in chunk if mood == "ok" and self.random.random() < 0.05]
        asked = [
            RetrainRequest(one.unit, one.model, one.reason, one.asset, one.check, one.opened, self.batch)
            for one in opened
            if one.model and one.check != "alarms"
        ]
        found = MonitorResult(self.batch, [asset for asset, _ in chunk], states, [*opened, *past], requests=asked)
        record_monitoring(self.project.ledger, found)

    def _rows(self, asset: str, mood: str) -> Iterator[Judged]:
        """Yield the facts of one asset: the checks that trouble it today, and those that hold."""
        troubled = set(self.random.choice([*DATA, *MODEL], self.random.integers(1, 4), replace=False))
        since = int(self.random.choice([1, 1, 2, 3, 5, 9]))
        subjects = [(Subject(asset), DATA), *((Subject(asset, asset, one), MODEL) for one in MODELS)]
        for subject, checks in subjects:
            for check, severity in checks.items():
                now = mood if check in troubled or mood == "unknown" else "ok"
                now = "unknown" if now == "ok" and check == "performance" and asset.endswith("7") else now
                letters = ""
                for n, (start, end) in enumerate(zip(self.starts, self.ends, strict=True)):
                    state = now if n >= WINDOWS - since else "ok"
                    letters = (letters + LETTERS[state])[-10:]
                    opened = self.ends[-since] if state in ("alarm", "silenced") else None
                    memory = Memory(letters, opened, 1 if subject.model else None)
                    fact = self._fact(subject, check, state, Window(start, end))
                    yield Judged(fact, state, fact.reason, memory, severity)

    def _fact(self, subject: Subject, check: str, state: str, window: Window) -> Fact:
        measure, limit = MEASURES[check]
        bad = state in ("alarm", "pending", "silenced")
        value = limit * (1.2 + self.random.gamma(1, 0.8)) + (self.random.random() if not limit else 0)
        value = value if bad else limit * 0.4
        tag = str(self.random.choice(list(TAGS)))
        figures = {"far": value if value < 100 else value / 3600, "share": min(value, 0.99)}
        outcome = "breach" if bad else "unknown" if state == "unknown" else "ok"
        words = {"breach": SAYS[check].format(tag=tag, model=subject.model, **figures), "ok": ""}
        return Fact(
            subject,
            check,
            window,
            outcome,
            value=None if outcome == "unknown" else value,
            limit=limit,
            unit=measure,
            about=tag,
            rows=24,
            reason=words.get(outcome, BLIND.get(check, "there are no readings")),
            details={name: value * share for name, share in zip(TAGS, (1.0, 0.7, 0.5, 0.4, 0.2), strict=True)},
        )

    def _series(self, asset: str) -> pd.DataFrame:
        at = pd.date_range(self.starts[0], self.end, freq="h", inclusive="left", unit="us")
        parts = []
        for tag, level in TAGS.items():
            mean = level * (1 + 0.03 * self.random.standard_normal(len(at)).cumsum() / 8)
            spread = 0.02 * level
            parts.append(
                pd.DataFrame(
                    {
                        "asset_id": asset,
                        "tag": tag,
                        "time": at,
                        "mean": mean,
                        "min": mean - spread,
                        "max": mean + spread,
                        "rows": 1,
                    }
                )
            )
        return pd.concat(parts, ignore_index=True)

    def _score(self, chunk: list[tuple[str, str]]) -> None:
        at = pd.date_range(self.starts[0], self.end, freq="h", inclusive="left", unit="us", name="time")
        stretches = []
        for asset, mood in chunk:
            for model in MODELS:
                score = 118 + self.random.standard_normal(len(at)).cumsum() / 8
                residual = self.random.standard_normal(len(at)) + (np.arange(len(at)) > 600) * (
                    5 if mood == "alarm" else 0
                )
                frame = pd.DataFrame({"score": score, "actual": score + residual, "residual": residual}, index=at)
                frame["alarm"] = np.abs(residual) > 4.1
                window = Window(self.starts[0], self.end)
                stretches.append(Stretch(asset, model, asset, 1, "model", "0" * 64, "pass", "", window, frame))
        write_scores(scores_path(self.project.root, self.project.usecase.scores.path), stretches)

    def _state(self, judged: Judged) -> CheckState:
        fact, memory = judged.fact, judged.memory
        return CheckState(
            fact.subject.asset,
            fact.subject.unit,
            fact.subject.model,
            fact.check,
            judged.state,
            fact.outcome,
            judged.severity,
            self._text(fact.window.start),
            self._text(fact.window.end),
            value=fact.value,
            limit=fact.limit,
            measure=fact.unit,
            about=fact.about,
            reason=fact.reason,
            since=None if memory.since is None else self._text(memory.since),
            recent=memory.recent,
            version=memory.version,
            owner=self.project.usecase.monitor.alarm.owner,
            runbook=self.project.usecase.monitor.alarm.runbook,
            batch=self.batch,
        )

    def _alarm(self, state: CheckState) -> Alarm:
        kept = ("asset", "unit", "model", "check", "severity", "reason", "owner", "runbook")
        known = {name: getattr(state, name) for name in kept}
        return Alarm(id=0, opened=state.since or state.window_end, batch=self.batch, **known)

    def _closed(self, asset: str) -> Alarm:
        closed, why = self._text(self.ends[-int(self.random.integers(1, 4))]), "the newest reading is 1 h old again"
        reason, opened = SAYS["freshness"].format(far=9, tag="current"), self._text(self.ends[-5])
        return Alarm(0, asset, "", "", "freshness", "critical", opened, reason, closed, why, batch=self.batch)

    def _text(self, instant: pd.Timestamp) -> str:
        return str(instant_text(instant.to_pydatetime()))


def _lost(luck: float) -> tuple[str, str]:
    if luck < 0.012:
        return "failed", "pumps.features:load_and_flow raised KeyError: 'discharge_pressure'"
    return "rejected", "612 rows are left for the fit; window.min_rows asks for 1000"
