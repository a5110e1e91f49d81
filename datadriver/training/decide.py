"""Which of model and baseline serves, and whether that should replace the champion; in words with figures."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from datadriver.config.sections import Promote
from datadriver.training.evaluate import Duel, Judged
from datadriver.training.metrics import Metric
from datadriver.training.results import Decision

_NOISE = 1e-9  # relative difference that the order of additions can make; it decides nothing


def beats(ours: float | None, theirs: float | None, *, greater_is_better: bool, margin: float = 0.0) -> bool:
    """Tell whether a figure beats another by more than the relative margin; a tie or a missing figure does not.

    >>> beats(1.92, 2.05, greater_is_better=False), beats(1.92, 2.05, greater_is_better=False, margin=0.1)
    (True, False)
    >>> beats(float("nan"), 2.05, greater_is_better=False), beats(2.0, 2.0, greater_is_better=True)
    (False, False)
    """
    if ours is None or not math.isfinite(ours):
        return False
    if theirs is None or not math.isfinite(theirs):
        return True
    gain = ours - theirs if greater_is_better else theirs - ours
    return gain > _NOISE * max(abs(ours), abs(theirs)) and gain >= margin * abs(theirs)


def better_of(metric: Metric, model: Judged, baseline: Judged, promote: Promote) -> Judged:
    """Return which of the two is the version: the model, unless it must beat its baseline and does not."""
    if "baseline" not in promote.beats or _beats(metric, model.values, baseline.values, promote.margin):
        return model
    return baseline


@dataclass(frozen=True)
class Candidates:
    """Model and baseline, and which of them is the version."""

    model: Judged
    baseline: Judged
    version: Judged


def decide(metric: Metric, candidates: Candidates, duel: Duel | None, promote: Promote) -> Decision:
    """Say whether the version should be promoted; `duel` compares it with the champion, None if there is none."""
    version = candidates.version
    if metric.name not in version.values:
        reason = version.reasons.get(metric.name, "it has no value")
        return Decision(None, f"cannot be judged: {metric.name} of the {version.scorer.role} is missing: {reason}")
    words = _against_baseline(metric, candidates, promote)
    if duel is None:
        return Decision(True, f"{words}; there is no champion yet")
    if "champion" not in promote.beats:
        return Decision(True, f"{words}; it need not beat the champion (v{duel.version})")
    if duel.unusable:
        return Decision(True, f"{words}; champion (v{duel.version}) cannot score the rows of today: {duel.problem}")
    if duel.problem is not None:
        return Decision(None, f"{words}; cannot be compared with champion (v{duel.version}): {duel.problem}")
    return _against_champion(metric, duel, version, words, promote.margin)


def _beats(metric: Metric, ours: Mapping[str, float], theirs: Mapping[str, float], margin: float = 0.0) -> bool:
    first, second = ours.get(metric.name), theirs.get(metric.name)
    return beats(first, second, greater_is_better=metric.greater_is_better, margin=margin)


def _against_baseline(metric: Metric, candidates: Candidates, promote: Promote) -> str:
    model, baseline = candidates.model, candidates.baseline
    ours, theirs = _figures(model.values.get(metric.name), baseline.values.get(metric.name))
    if candidates.version is baseline:
        short = f" by the margin of {promote.margin:.1%}" if _beats(metric, model.values, baseline.values) else ""
        return f"the baseline serves: {metric.name} {ours} of the model does not beat baseline {theirs}{short}"
    if "baseline" not in promote.beats:
        return f"{metric.name} {ours} (baseline {theirs})"
    return f"{metric.name} {ours} beats baseline {theirs}"


def _against_champion(metric: Metric, duel: Duel, version: Judged, words: str, margin: float) -> Decision:
    champion = f"(v{duel.version})"
    if metric.name not in duel.challenger:
        return Decision(
            None,
            f"{words}; cannot be compared with champion {champion}: {metric.name} has no value on the "
            f"{duel.rows:,} rows that it has not seen",
        )
    rows = len(version.evidence.y_score)
    ours, theirs = _figures(duel.challenger[metric.name], duel.champion.get(metric.name))
    on = "" if duel.rows == rows else f" on the {duel.rows:,} of {rows:,} holdout rows that it has not seen"
    if not _beats(metric, duel.challenger, duel.champion, margin):
        short = f" by the margin of {margin:.1%}" if _beats(metric, duel.challenger, duel.champion) else ""
        return Decision(False, f"{words}; {ours} does not beat champion {theirs} {champion}{short}{on}")
    if not on and words.startswith(f"{metric.name} {ours} beats baseline "):  # told with as many digits
        return Decision(True, f"{words} and champion {theirs} {champion}")
    return Decision(True, f"{words}; {ours} beats champion {theirs} {champion}{on}")


def _figures(ours: float | None, theirs: float | None) -> tuple[str, str]:
    """Write two figures with as few digits as tell them apart, but three at least.

    >>> _figures(1.92, 3.1), _figures(0.123456, 0.123451), _figures(2.0, None)
    (('1.92', '3.10'), ('0.12346', '0.12345'), ('2.00', 'not available'))
    """
    figures = [(_figure(ours, digits), _figure(theirs, digits)) for digits in range(3, 10)]
    return next((pair for pair in figures if pair[0] != pair[1]), figures[0])


def _figure(value: float | None, digits: int) -> str:
    if value is None or not math.isfinite(value):
        return "not available"
    if value and not 1e-4 <= abs(value) < 1e6:
        return f"{value:.{digits - 1}e}"
    return f"{value:#.{digits}g}".rstrip(".")
