"""Facts about the models that serve one asset: features once per model, scores and labels beside them."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from datadriver.config.fleet import Instance
from datadriver.data.events import read_events
from datadriver.data.frame import SensorFrame
from datadriver.data.window import Window, frame_index
from datadriver.fleet.monitor_look import Findings, Look, References, Watch, all_of
from datadriver.monitoring.alarms import alarm_facts
from datadriver.monitoring.drift import drift_facts, score_drift_facts
from datadriver.monitoring.facts import MODEL_CHECKS, Fact, Subject
from datadriver.monitoring.performance import performance_facts
from datadriver.monitoring.rules import is_watched
from datadriver.monitoring.truth import labels_for
from datadriver.monitoring.words import unknowns
from datadriver.training.prepare import counted_features, in_reach
from datadriver.training.scoring import reading_window


@dataclass
class Eye:
    """Judges instances on one asset."""

    look: Look
    sensor: SensorFrame | None
    scores: Mapping[tuple[str, str], pd.DataFrame]
    references: References
    found: Findings
    root: Path

    def __post_init__(self) -> None:
        self._features: dict[Any, pd.DataFrame] = {}
        self._events: dict[str, pd.DataFrame] = {}

    def judge(self, watch: Watch) -> None:
        """Add the facts of one instance."""
        instance, version = watch.instance, watch.champion
        windows = self.look.windows(watch.since)
        subject = Subject(self.look.asset.id, instance.unit.key, instance.model)
        if not windows:
            return
        rows = self.scores.get((instance.unit.key, instance.model))
        rows = _no_scores(self.look.usecase.data.index) if rows is None else rows

        def lost(*checks: str) -> Callable[[str], list[Fact]]:
            return lambda reason: self._unknown(watch, subject, windows, checks, reason)

        reference: Mapping[str, Any] | None = None
        with self.found.noting(str(subject), lambda _: ()):
            reference = self.references.of(version, self.look.usecase, self.root)
        with self.found.noting(str(subject), lost("drift")):
            if is_watched(self.look.usecase.monitor, "drift", instance.model):
                self.found.facts += self._drift(watch, subject, reference, windows)
        with self.found.noting(str(subject), lost("score_drift", "alarms")):
            self.found.facts += score_drift_facts(subject, instance, version, reference, rows, windows)
            self.found.facts += alarm_facts(subject, instance, version, rows, windows, unit=self._unit(instance))
        with self.found.noting(str(subject), lost("performance")):
            if is_watched(self.look.usecase.monitor, "performance", instance.model):
                labels = self._labels(instance, rows)
                self.found.facts += performance_facts(
                    subject, instance, version, rows, labels, windows, reference=reference, root=self.root
                )

    def _unknown(
        self, watch: Watch, subject: Subject, windows: Sequence[Window], checks: Sequence[str], reason: str
    ) -> list[Fact]:
        said = {fact.check for fact in self.found.facts if fact.subject == subject}
        watched = [
            check
            for check in MODEL_CHECKS
            if check in checks
            and check not in said
            and is_watched(self.look.usecase.monitor, check, watch.instance.model)
        ]
        version = watch.champion.version
        return [fact for check in watched for fact in unknowns(subject, check, windows, reason, version=version)]

    def _drift(
        self, watch: Watch, subject: Subject, reference: Mapping[str, Any] | None, windows: Sequence[Window]
    ) -> Sequence[Fact]:
        version = watch.champion
        if self.sensor is None:
            return unknowns(subject, "drift", windows, "its data cannot be read", version=version.version)
        features = self._counted(watch.instance, self.sensor, all_of(windows))
        return drift_facts(subject, watch.instance, version, reference, features, windows)

    def _counted(self, instance: Instance, sensor: SensorFrame, span: Window) -> pd.DataFrame:
        """Return the features of the rows that count, as scoring sees them; models that share them share one frame."""
        spec = instance.spec
        hidden = spec.target.column if spec.target else None
        key = (spec.features, hidden, spec.window.lookback, spec.alarm and spec.alarm.for_, span)
        if key not in self._features:
            own = replace(sensor, frame=reading_window(instance, span).slice(sensor.frame))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # training has reported them
                self._features[key], _ = counted_features(
                    instance, in_reach(instance, own, span), self.root, span, warm=False
                )
        return self._features[key]

    def _labels(self, instance: Instance, rows: pd.DataFrame) -> pd.Series | None:
        """Return the truth as it is known now: of the scored instants for events, of the frame for a column."""
        target, asset, end = instance.spec.target, self.look.asset, self.look.end
        if target is None or (target.events is None and self.sensor is None):
            return None
        if target.events is None:
            return labels_for(instance, self.sensor or SensorFrame(asset, rows), None, end)
        scored = SensorFrame(asset, pd.DataFrame(index=rows.index), window=Window(None, end))
        return labels_for(instance, scored, self._log(target.events), end)

    def _log(self, source: str) -> pd.DataFrame:
        if source not in self._events:
            look = self.look
            self._events[source] = read_events(look.usecase, source, look.asset, self.root, known_before=look.end)
        return self._events[source]

    def _unit(self, instance: Instance) -> str:
        column = instance.spec.target.column if instance.spec.target else None
        return "" if self.sensor is None or column is None else self.sensor.units.get(column, "")


@cache
def _no_scores(kind: Literal["time", "step"]) -> pd.DataFrame:
    types = {"score": "float64", "actual": "float64", "residual": "float64", "alarm": "bool", "version": "int64"}
    types |= {"verdict": "str", "reason": "str"}
    index = frame_index(np.empty(0, dtype="int64"), kind)
    return pd.DataFrame({name: pd.Series(dtype=kind, index=index) for name, kind in types.items()}, index=index)
