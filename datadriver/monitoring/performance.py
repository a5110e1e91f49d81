"""Performance once the truth is known: the primary metric on the newest rows with labels, beside the holdout's."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from datadriver.config.fleet import Instance
from datadriver.config.metric_names import CLASSIFICATION
from datadriver.config.monitor_section import Performance
from datadriver.config.values import format_amount
from datadriver.data.window import Window, frame_index, span_number
from datadriver.errors import DatadriverError
from datadriver.monitoring.facts import Fact, Subject
from datadriver.monitoring.rows import Cut, sorted_rows
from datadriver.monitoring.truth import Truth, labels_for
from datadriver.monitoring.words import amount, asked, moment, percent, spare, too_few, unknown, unknowns
from datadriver.tracking.records import Version
from datadriver.training.metrics import Evidence, Metric, find_metric, measure
from datadriver.training.problems import find_problem
from datadriver.training.targets import horizon

__all__ = ["labels_for", "performance_facts"]

_USUAL = 0.99
_FEWEST_WINDOWS = 5
_NO_LOSS = 0.0005
_PROBED = {"score_stability", "synthetic_roc_auc"}
_CRISP = CLASSIFICATION - {"average_precision", "roc_auc", "brier", "log_loss"} | {"alarm_rate"}


def performance_facts(  # noqa: PLR0913, PLR0917 - what a verdict depends on
    subject: Subject,
    instance: Instance,
    version: Version,
    scores: pd.DataFrame,
    labels: pd.Series | None,
    windows: Sequence[Window],
    *,
    reference: Mapping[str, Any] | None = None,
    root: Path = Path(),
) -> tuple[Fact, ...]:
    """Compare the primary metric of each window with that of the holdout.

    Looked at are the rows of `performance.window` before the window's end; where labels look ahead, before the last
    row whose horizon has passed by then. Only scores of the champion count, and only rows whose label is one.

    Args:
        subject: The instance on the asset.
        instance: Its configuration.
        version: The champion.
        scores: Index `time` or `step`; columns `score`, `actual`, `version`; reaching back far enough.
        labels: What `labels_for` returned; None: the truth is `actual`.
        windows: The windows, both ends given.
        reference: What training kept: how the metric varied over the windows of the holdout.
        root: Folder of the use case, for metrics that are functions of it.

    Returns:
        A fact for each window, with the `holdout` metric and the number of `contradicting` rows as details.
    """
    check = instance.usecase.monitor.checks.performance
    if check is None or not asked(check, instance):
        return ()
    try:
        standard = _standard(instance, version, reference, check, root)
    except DatadriverError as error:
        return unknowns(subject, "performance", windows, error.message, version=version.version)
    if isinstance(standard, str):
        return unknowns(subject, "performance", windows, standard, version=version.version)
    own = scores[scores["version"] == version.version] if "version" in scores else scores
    truth = Truth.of(sorted_rows(own), None if labels is None else labels.sort_index(kind="stable"))
    parts = _trailing(instance, windows, truth, check).bounds(truth.at)
    return tuple(
        _fact(subject, instance, version, window, standard, truth.rows(slice(int(low), int(high))))
        for window, low, high in zip(windows, *parts, strict=True)
    )


def _trailing(instance: Instance, windows: Sequence[Window], truth: Truth, check: Performance) -> Cut:
    """Return the stretch of rows that counts for each window: events are entered late, so their labels end earlier."""
    target, length = instance.spec.target, check.window
    ends = Cut.of(windows).ends - span_number(horizon(target))
    if target is not None and target.events is not None and truth.newest is not None:
        ends = np.minimum(ends, truth.newest + 1)
    return Cut(ends - span_number(length or instance.usecase.monitor_window), ends)


@dataclass(frozen=True)
class _Standard:
    """The metric, what it was on the holdout, the limit, and what that is made of."""

    check: Performance
    metric: Metric
    holdout: float
    limit: float
    origin: str
    level: float

    def loss(self, value: float) -> float:
        """Return how much worse a value is than the holdout's; negative where it is better."""
        return self.holdout - value if self.metric.greater_is_better else value - self.holdout

    def beside(self, loss: float) -> str:
        """Say how large a loss is beside the holdout's metric."""
        if not self.holdout or abs(loss) < _NO_LOSS * abs(self.holdout):
            return ""
        return f" ({percent(abs(loss / self.holdout))} {'worse' if loss > 0 else 'better'})"


def _standard(
    instance: Instance, version: Version, reference: Mapping[str, Any] | None, check: Performance, root: Path
) -> _Standard | str:
    """Return what the windows are compared with, or why there is nothing."""
    name, problem = _primary(instance, version), find_problem(instance.spec.problem)
    if name in _PROBED:
        return (
            f"{name} decided for want of labels, and probes the model at training only: there is no truth to judge by"
        )
    holdout = version.metrics.get(version.role, {}).get(name)
    if holdout is None or not math.isfinite(holdout):
        return f"version {version.version} has no {name} of its holdout to compare with"
    alarm = instance.spec.alarm
    level: float | None = version.threshold if alarm is not None and alarm.on == "score" else None
    if level is None and name in _CRISP:
        if instance.spec.problem == "anomaly":
            return f"{name} needs an alarm threshold, and {instance.model} has none"
        level = problem.level(np.zeros(1))
    metric = find_metric(name, root)
    worse = -check.max_drop if metric.greater_is_better else check.max_drop
    limit, origin = holdout + worse * abs(holdout), f"{percent(check.max_drop)} worse than on the holdout"
    usual = _usual(instance, metric, (reference or {}).get("windows", {}).get("metric"), check)
    if usual is not None and (usual < limit if metric.greater_is_better else usual > limit):
        count, side = reference["windows"]["metric"]["count"], "above" if metric.greater_is_better else "below"  # type: ignore[index]
        limit, origin = usual, f"what {percent(_USUAL)} of the holdout's {count:,} windows stay {side}"
    return _Standard(check, metric, holdout, limit, origin, level if level is not None else 0.5)


def _primary(instance: Instance, version: Version) -> str:
    """Name the metric that decided: as named, else the first; of a problem's own the first that has a value."""
    evaluate, problem = instance.spec.evaluate, find_problem(instance.spec.problem)
    if evaluate.primary is not None or evaluate.metrics:
        return evaluate.primary or evaluate.metrics[0]
    both = [version.metrics.get(role, {}) for role in ("model", "baseline")]
    return next(
        (name for name in problem.metrics if all(one.get(name) is not None for one in both)), problem.metrics[0]
    )


def _usual(instance: Instance, metric: Metric, kept: Mapping[str, Any] | None, check: Performance) -> float | None:
    """Return the metric that all but one of a hundred windows of the holdout reached; None where nobody knows."""
    length = check.window or instance.usecase.monitor_window
    if not kept or kept["name"] != metric.name or kept["length"] != format_amount(length):
        return None
    if kept["count"] < _FEWEST_WINDOWS:
        return None
    return float(np.interp(1 - _USUAL if metric.greater_is_better else _USUAL, kept["levels"], kept["quantiles"]))


def _fact(  # noqa: PLR0913, PLR0917 - what a verdict depends on
    subject: Subject, instance: Instance, version: Version, window: Window, standard: _Standard, rows: Truth
) -> Fact:
    check, metric = standard.check, standard.metric
    usable = rows.usable(labelled=metric.name != "alarm_rate")
    left_out = int(rows.several.sum())
    details: dict[str, float | None] = {"holdout": standard.holdout, "contradicting": float(left_out)}
    also = f"; {left_out:,} rows with several different labels are left out" if left_out else ""
    missing = _missing(instance, usable, check, metric)
    if missing is None:
        values, reasons = _measured(metric, usable, standard.level, subject.asset, instance)
        missing = None if metric.name in values else reasons[metric.name].replace("the holdout", "the window")
    if missing is not None:
        return unknown(
            subject,
            "performance",
            window,
            missing + also,
            rows=len(usable.at),
            version=version.version,
            details=details,
        )
    value, reached = values[metric.name], standard.loss(values[metric.name])
    most = standard.loss(standard.limit)
    return Fact(
        subject,
        "performance",
        window,
        "breach" if reached > most else "ok",
        value=value,
        limit=standard.limit,
        unit=metric.name,
        about=metric.name,
        rows=len(usable.at),
        reason=f"{metric.name} {amount(value)} on {len(usable.at):,} rows{_when(instance, usable)}, "
        f"{amount(standard.holdout)} on the holdout{standard.beside(reached)}; "
        f"limit {amount(standard.limit)} ({standard.origin}){also}",
        version=version.version,
        details=details | {metric.name: value},
        spare=spare(reached, most),
    )


def _missing(instance: Instance, usable: Truth, check: Performance, metric: Metric) -> str | None:
    """Say what a window lacks."""
    if len(usable.at) < check.min_rows:
        return too_few(len(usable.at), check.min_rows, what="scores with a known truth")
    if metric.name not in CLASSIFICATION:
        return None
    events = instance.spec.target is not None and instance.spec.target.events is not None
    found = usable.events if events else int((usable.y_true == 1).sum())
    if found < check.min_events:
        return too_few(found, check.min_events, what="events" if events else "positive rows")
    return None


def _measured(
    metric: Metric, usable: Truth, level: float, asset: str, instance: Instance
) -> tuple[dict[str, float], dict[str, str]]:
    """Compute the metric as on a holdout; a function of the use case that fails is a reason."""
    instants = frame_index(usable.at, instance.usecase.data.index)
    index = pd.MultiIndex.from_arrays([np.full(len(instants), asset), instants], names=["asset_id", instants.name])
    evidence = Evidence(usable.y_true, usable.scores, pd.DataFrame(index=index), level)
    try:
        return measure([metric], evidence)
    except DatadriverError as error:
        return {}, {metric.name: error.message}


def _when(instance: Instance, usable: Truth) -> str:
    """Say of which time the rows are, where their labels look ahead."""
    if not horizon(instance.spec.target):
        return ""
    return f" up to {moment(int(usable.at[-1]), instance.usecase.data.index)}"
