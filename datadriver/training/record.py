"""What a training tells about itself: counts, figures, parameters, the reference for drift, the pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
import pandas as pd

from datadriver.config.fleet import Instance
from datadriver.config.values import format_amount
from datadriver.data.contract.measures import does_move
from datadriver.data.frame import SensorFrame
from datadriver.data.window import Window, as_instant, shift
from datadriver.training.evaluate import Duel, Judged, Parts
from datadriver.training.features import only_floats
from datadriver.training.metrics import Metric
from datadriver.training.plots import View
from datadriver.training.prepare import Prepared
from datadriver.training.problems import Problem
from datadriver.training.reference import Spell, columns_of, reference, usual_distances, usual_metric
from datadriver.training.splits import DEFAULT_HOLDOUT, Split
from datadriver.training.targets import describe

_SAMPLE = 5000
_FEW = 500


def counts(prepared: Prepared, split: Split, parts: Parts) -> dict[str, int]:
    """Return what became of the rows that were read, and how many each part has."""
    return {
        **prepared.counts,
        "embargoed": split.embargoed,
        "fit": len(parts.fit),
        "holdout": len(parts.holdout),
        "positive_fit": parts.fit.positive,
        "positive_holdout": parts.holdout.positive,
        "events_fit": parts.fit.event_count,
        "events_holdout": parts.holdout.event_count,
    }


def columns(prepared: Prepared) -> tuple[tuple[str, str], ...]:
    """Return names and dtypes of the features."""
    return tuple((str(name), str(dtype)) for name, dtype in prepared.features.dtypes.items())


def figures(model: Judged, baseline: Judged, duel: Duel | None) -> dict[str, Mapping[str, float]]:
    """Return the metrics of all who were judged; champion and challenger only where they were compared."""
    found = {"model": model.values, "baseline": baseline.values}
    if duel is not None and duel.champion:
        found |= {"champion": duel.champion, "challenger": duel.challenger}
    return found


def missing_metrics(model: Judged, baseline: Judged, asked: Sequence[str]) -> list[str]:
    """Say which of the metrics that were asked for have no value, and why."""
    return [
        f"{name} of the {judged.scorer.role} is not available: {reason}"
        for judged in (model, baseline)
        for name, reason in judged.reasons.items()
        if name in asked
    ]


def odd_features(fitted: Prepared) -> list[str]:
    """Name features that say nothing on the training part: without a value, or always the same."""
    empty, constant = [], []
    features = fitted.features
    if not features.empty and only_floats(features):
        whole = features.to_numpy()
        features = features.loc[:, ~(whole != whole[0]).any(axis=0) | np.isnan(whole).any(axis=0)]
    for name, column in features.items():
        values = column.to_numpy()
        known = values[~column.isna().to_numpy()]
        if not len(known):
            empty.append(str(name))
        elif (known == known[0]).all():
            constant.append(str(name))
    kinds = (("without a value", empty), ("with one value only", constant))
    return [f"features {what} in the training part: {', '.join(names)}" for what, names in kinds if names]


def extent(prepared: Prepared) -> Window:
    """Return the window from the first to just past the last instant of some rows."""
    instants = prepared.features.index.get_level_values(1)
    first, last = as_instant(instants.min()), as_instant(instants.max())
    tick = pd.Timedelta(microseconds=1).to_pytimedelta() if isinstance(last, pd.Timestamp) else 1
    return Window(first, shift(last, tick))


def parameters(instance: Instance) -> dict[str, str | int | float | bool]:
    """Return what the instance was configured with, flat, for the run's page."""
    spec = instance.spec
    holdout = spec.evaluate.train or spec.evaluate.holdout or DEFAULT_HOLDOUT
    found: dict[str, Any] = {
        "problem": spec.problem,
        "target": describe(spec.target) if spec.target else None,
        "features": spec.features,
        "estimator": spec.estimator,
        "baseline": spec.baseline,
        "mask": instance.usecase.data.mask,
        "split": spec.evaluate.split,
        "train" if spec.evaluate.train else "holdout": format_amount(holdout),
        "seed": instance.usecase.seed,
        **{f"estimator.{name}": value for name, value in spec.params.items()},
        **{f"baseline.{name}": value for name, value in spec.baseline_params.items()},
    }
    plain = (str, int, float, bool)
    return {
        name: value if isinstance(value, plain) else str(value) for name, value in found.items() if value is not None
    }


def training_reference(  # noqa: PLR0913, PLR0917 - all that is known when a version is made
    instance: Instance,
    frames: Sequence[SensorFrame],
    problem: Problem,
    version: Judged,
    parts: Parts,
    primary: Metric,
) -> dict[str, Any]:
    """Return the summary of features, scores and compared alarm values of the training part.

    With it go the distances of the monitoring windows in training part and holdout: what is usual. The holdout's
    count because the version was found good enough on them; known anomalies do not.
    """
    fitted = version.evidence.train_scores
    scores = fitted if fitted is not None else np.full(len(parts.fit), np.nan)
    values = {"score": scores}
    alarm = instance.spec.alarm
    if alarm is not None and alarm.on != "score":
        values[alarm.on] = problem.alarm_value(alarm.on, scores, parts.fit.target.to_numpy())
    kept = reference(parts.fit.features, values)
    ordinary = problem.fitted_on(parts.holdout.target)
    windows = usual_distances(
        kept,
        _under_each_other(parts.fit.features, parts.holdout.only(ordinary).features),
        np.concatenate([scores, version.evidence.y_score[ordinary]]),
        fitted=np.arange(len(parts.fit) + int(ordinary.sum())) < len(parts.fit),
        spell=_spell(instance),
    )
    if problem.has_residual:
        windows["metric"] = usual_metric(version.evidence, primary, _trailing(instance))
    return kept | {"windows": windows, "moving": _moving(frames), "tags": _typical(frames)}


def _under_each_other(above: pd.DataFrame, below: pd.DataFrame) -> pd.DataFrame:
    """Return `pd.concat` of two parts of one frame, whose indexes have their levels in common."""
    first, second = cast("Any", above.index), cast("Any", below.index)
    if not all(one is other or one.equals(other) for one, other in zip(first.levels, second.levels, strict=True)):
        return pd.concat([above, below])
    codes: Any = [np.concatenate(pair) for pair in zip(first.codes, second.codes, strict=True)]
    index = pd.MultiIndex(first.levels, codes, names=first.names, verify_integrity=False)
    return pd.concat([above, below], ignore_index=True).set_axis(index)


def _moving(frames: Sequence[SensorFrame]) -> list[str]:
    """Name the tags that move in some asset: some thousand rows tell."""
    found: set[str] = set()
    for sensor in frames:
        columns, step = columns_of(sensor.frame), max(1, len(sensor.frame) // _SAMPLE)
        numbers = {name: column for name, column in columns.items() if isinstance(column, np.ndarray)}
        found.update(name for name, values in numbers.items() if does_move(values[::step]))
    return sorted(found)


def _typical(frames: Sequence[SensorFrame]) -> dict[str, list[float] | str | None]:
    """Return for each tag two values that it often has, or its usual text: what an example of raw rows is made of."""
    parts = [sensor.frame.iloc[:: max(1, len(sensor.frame) // _FEW)] for sensor in frames]
    some = pd.concat(parts) if len(parts) > 1 else parts[0]
    found: dict[str, list[float] | str | None] = {}
    for name, column in columns_of(some).items():
        known = np.sort(column[~np.isnan(column)]) if isinstance(column, np.ndarray) else column.dropna()
        if not len(known):
            found[name] = None
        elif isinstance(known, np.ndarray):
            found[name] = [float(f"{known[len(known) * part // 4]:.6g}") for part in (1, 3)]
        else:
            found[name] = str(known.mode().iloc[0])
    return found


def _spell(instance: Instance) -> Spell:
    monitor = instance.usecase.monitor
    least = [check.min_rows for check in (monitor.checks.drift, monitor.checks.score_drift) if check is not None]
    return Spell(instance.usecase.monitor_window, min(least, default=Spell.min_rows))


def _trailing(instance: Instance) -> Spell:
    """Return the rows that the check of the performance looks at."""
    check, length = instance.usecase.monitor.checks.performance, instance.usecase.monitor_window
    return Spell(length) if check is None else Spell(check.window or length, check.min_rows)


def scored_holdout(version: Judged, parts: Parts) -> pd.DataFrame:
    """Return target and score of the holdout rows."""
    values = {"y_true": version.evidence.y_true, "y_score": version.evidence.y_score}
    return pd.DataFrame(values, index=parts.holdout.features.index)


def draw(
    instance: Instance, frames: Sequence[SensorFrame], problem: Problem, version: Judged, parts: Parts
) -> Mapping[str, bytes]:
    """Draw the problem's pictures of the version, unless the use case wants none."""
    if not instance.usecase.tracking.plots:
        return {}
    target = instance.spec.target
    unit = frames[0].units.get(target.column or "") if target else None
    name = describe(target) if target else "score"
    train_scores = version.evidence.train_scores
    view = View(
        title=f"{instance.key} ({version.scorer.role})",
        quantity=name,
        instants=parts.holdout.features.index.get_level_values(1),
        y_true=version.evidence.y_true,
        y_score=version.evidence.y_score,
        fit_instants=parts.fit.features.index.get_level_values(1),
        fit_score=train_scores if train_scores is not None else np.zeros(0),
        threshold=version.threshold,
        on_residual=instance.spec.alarm is not None and instance.spec.alarm.on == "residual",
        unit=unit,
    )
    return problem.plots(view)
