"""Drift: windows in which a model's features, or its scores, are more unlike the training part than its own windows.

`details` has `<feature>: PSI`, `<feature>: KS` and `nulls of <feature>` (their share) for every feature.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from datadriver.config.fleet import Instance
from datadriver.config.monitor_section import Drift, ScoreDrift
from datadriver.data.window import Window
from datadriver.monitoring.facts import Fact, Subject
from datadriver.monitoring.rows import Cut, instants_of, sorted_rows
from datadriver.monitoring.usual import Usual
from datadriver.monitoring.words import amount, asked, percent, spare, too_few, unknown, unknowns
from datadriver.tracking.records import Version
from datadriver.training.distances import Distances, Floats, Rows, compare
from datadriver.training.reference import nulls_of


def drift_facts(  # noqa: PLR0913, PLR0917 - what a verdict depends on
    subject: Subject,
    instance: Instance,
    version: Version,
    reference: Mapping[str, Any] | None,
    features: pd.DataFrame,
    windows: Sequence[Window],
) -> tuple[Fact, ...]:
    """Compare the features of each window with those of the training part.

    Args:
        subject: The instance on the asset.
        instance: Its configuration.
        version: The champion.
        reference: What training kept with it, None if nothing.
        features: The rows that count, of all windows; sorted index `time` or `step`.
        windows: The windows, both ends given.

    Returns:
        A fact for each window; none where the check is off, or not meant for this model.
    """
    check = instance.usecase.monitor.checks.drift
    if check is None or not asked(check, instance):
        return ()
    kept = (reference or {}).get("features", {})
    known = {name: summary for name, summary in kept.items() if name in features.columns}
    return _facts("drift", subject, instance, version, reference, check, known, features, windows)


def score_drift_facts(  # noqa: PLR0913, PLR0917 - what a verdict depends on
    subject: Subject,
    instance: Instance,
    version: Version,
    reference: Mapping[str, Any] | None,
    scores: pd.DataFrame,
    windows: Sequence[Window],
) -> tuple[Fact, ...]:
    """Compare the scores of each window with those of the training part; only those of the champion count."""
    check = instance.usecase.monitor.checks.score_drift
    if check is None or not asked(check, instance):
        return ()
    kept = (reference or {}).get("score")
    own = scores[scores["version"] == version.version] if "version" in scores else scores
    known = {"score": kept} if kept else {}
    return _facts("score_drift", subject, instance, version, reference, check, known, own[["score"]], windows)


@dataclass(frozen=True)
class _Figures:
    """One kind of distance of every trait (rows) in every window (columns), and their limits; NaN: not judged."""

    kind: str
    values: Floats
    limits: Floats

    @property
    def excess(self) -> Floats:
        """How large each is beside its limit."""
        return np.nan_to_num(self.values / self.limits, nan=-1.0)


@dataclass(frozen=True)
class _Comparison:
    """Everything that one check compared, for all windows."""

    check: Drift | ScoreDrift
    kept: Mapping[str, Mapping[str, Any]]
    table: pd.DataFrame
    rows: Rows
    traits: Mapping[str, Distances]
    usual: Usual
    figures: Sequence[_Figures]

    def details(self, place: int) -> dict[str, float | None]:
        """Return every figure of one window."""
        found: dict[str, float | None] = {}
        for name, one in self.traits.items():
            if name in self.kept:
                for kind, values in (("PSI", one.psi), ("KS", one.ks)):
                    found[f"{name}: {kind}"] = None if np.isnan(values[place]) else float(values[place])
            else:
                found[name] = self.nulls(name.removeprefix(nulls_of("")), place)
        return found

    def nulls(self, feature: str, place: int) -> float | None:
        """Return the share of nulls of a feature in one window."""
        size = int(self.traits[nulls_of(feature)].rows[place])
        return 1 - int(self.traits[feature].rows[place]) / size if size else None

    def column(self, feature: str, place: int) -> pd.Series:
        """Return the values of a feature in one window."""
        column: pd.Series = self.table[feature][self.rows.codes == place].dropna()
        return column


def _facts(  # noqa: PLR0913, PLR0917 - what one verdict depends on
    name: str,
    subject: Subject,
    instance: Instance,
    version: Version,
    reference: Mapping[str, Any] | None,
    check: Drift | ScoreDrift,
    kept: Mapping[str, Mapping[str, Any]],
    table: pd.DataFrame,
    windows: Sequence[Window],
) -> tuple[Fact, ...]:
    kept = {trait: summary for trait, summary in kept.items() if _comparable(summary)}
    if not reference or not kept:
        return unknowns(subject, name, windows, _without(reference, version, table), version=version.version)
    if not windows:
        return ()
    table = sorted_rows(table)
    positions, codes = Cut.of(windows).positions(instants_of(table.index))
    table, rows = table.iloc[positions], Rows(codes, len(windows))
    traits = dict(_traits(kept, reference["rows"], table, rows))
    families = ("score",) if name == "score_drift" else ("features", "nulls")
    usual = Usual.of(reference, families, check.usual, instance)
    figures = [_figures(kind, limit, traits, usual, check.min_rows) for kind, limit in _limits(check)]
    compared = _Comparison(check, kept, table, rows, traits, usual, figures)
    sizes = rows.sizes()
    return tuple(
        _fact(name, subject, version, window, compared, place)
        if sizes[place] >= check.min_rows
        else unknown(
            subject,
            name,
            window,
            too_few(int(sizes[place]), check.min_rows, what="scores" if name == "score_drift" else "rows"),
            rows=int(sizes[place]),
            version=version.version,
            details=compared.details(place),
        )
        for place, window in enumerate(windows)
    )


def _comparable(summary: Mapping[str, Any]) -> bool:
    return "quantiles" not in summary or "edges" in summary or "values" in summary


def _without(reference: Mapping[str, Any] | None, version: Version, table: pd.DataFrame) -> str:
    """Say why there is nothing to compare with."""
    known = list((reference or {}).get("features", {}))
    if not known:
        return f"version {version.version} came without a reference of its training; train again"
    if any(name in table for name in known) or "score" in table:
        return f"the reference of version {version.version} is of an older form; train again"
    return (
        f"none of the features that version {version.version} was trained on ({', '.join(known[:3])}) is there any more"
    )


def _limits(check: Drift | ScoreDrift) -> Iterator[tuple[str, float]]:
    if check.psi is not None:
        yield "psi", check.psi
    if check.ks is not None:
        yield "ks", check.ks


def _traits(
    kept: Mapping[str, Mapping[str, Any]], total: int, table: pd.DataFrame, rows: Rows
) -> Iterator[tuple[str, Distances]]:
    for name, summary in kept.items():
        values, nulls = compare(summary, total, table[name], rows)
        yield name, values
        yield nulls_of(name), nulls


def _figures(kind: str, limit: float, traits: Mapping[str, Distances], usual: Usual, min_rows: int) -> _Figures:
    values = [np.where(one.rows >= min_rows, getattr(one, kind), np.nan) for one in traits.values()]
    chance = [
        np.zeros(len(one.rows)) if usual.problem else usual.chance(kind, one, len(traits)) for one in traits.values()
    ]
    limits = [
        np.maximum(floor, max(limit, usual.bound(kind, name))) for floor, name in zip(chance, traits, strict=True)
    ]
    return _Figures(kind, np.array(values), np.array(limits))


def _fact(  # noqa: PLR0913, PLR0917
    name: str, subject: Subject, version: Version, window: Window, compared: _Comparison, place: int
) -> Fact:
    """Judge one window by the trait that is farthest beyond its limit, or nearest to it."""
    names, details, rows = list(compared.traits), compared.details(place), int(compared.rows.sizes()[place])
    worst = max(compared.figures, key=lambda one: float(one.excess[:, place].max()), default=None)
    if worst is None or worst.excess[:, place].max() < 0:
        reason = "no limit is set" if worst is None else "no feature has enough values"
        return unknown(subject, name, window, reason, rows=rows, version=version.version, details=details)
    trait = int(worst.excess[:, place].argmax())
    value, limit = float(worst.values[trait, place]), float(worst.limits[trait, place])
    beyond = {names[row] for one in compared.figures for row in np.flatnonzero(one.excess[:, place] > 1)}
    about, kind = names[trait], worst.kind.upper()
    if value <= limit:
        outcome, reason = "ok", f"largest {kind} {amount(value)} ({about}), limit {amount(limit)}"
    else:
        said = f"{_change(about, compared, place)}: {kind} {amount(value)}, {_limit(limit, worst.kind, compared)}"
        others = [other for other in names if other in beyond and other != about]
        more = f"; also {', '.join(others[:3])}" + (f" and {len(others) - 3} more" if len(others) > 3 else "")
        outcome, reason = "breach", said + (more if others else "")
        if compared.usual.problem:
            outcome, reason = "unknown", f"{said}, but nobody knows whether that is unusual: {compared.usual.problem}"
    return Fact(
        subject,
        name,
        window,
        outcome,  # type: ignore[arg-type]
        value=value,
        limit=limit,
        unit=kind,
        about=about,
        rows=rows,
        reason=reason,
        version=version.version,
        details=details,
        spare=spare(value, limit),
    )


def _limit(limit: float, kind: str, compared: _Comparison) -> str:
    """Say what the limit is made of."""
    said, usual = getattr(compared.check, kind), compared.usual
    if limit <= said or usual.share is None:
        return f"limit {amount(limit)}"
    windows = f"{usual.count:,} windows of {usual.length}"
    return f"limit {amount(limit)} (what {percent(usual.share)} of {windows} in training stay below)"


def _change(trait: str, compared: _Comparison, place: int) -> str:
    """Say in figures what changed."""
    if trait not in compared.kept:
        feature = trait.removeprefix(nulls_of(""))
        now, then = compared.nulls(feature, place) or 0.0, compared.kept[feature]["nulls"]
        return f"{percent(now)} of {feature} is null, {percent(then)} in training"
    kept, values = compared.kept[trait], compared.column(trait, place)
    if "shares" in kept:
        now_shares = values.astype("str").value_counts(normalize=True)
        names = dict.fromkeys([*now_shares.index, *kept["shares"]])
        most = max(names, key=lambda text: abs(now_shares.get(text, 0.0) - kept["shares"].get(text, 0.0)))
        then, now = kept["shares"].get(most, 0.0), float(now_shares.get(most, 0.0))
        before = "never seen in training" if most not in kept["shares"] else f"{percent(then)} in training"
        return f"{trait} is {most!r} in {percent(now)} of the rows, {before}"
    middle = kept["quantiles"][len(kept["quantiles"]) // 2]
    return f"{trait} has a median of {amount(float(values.median()))}, {amount(middle)} in training"
