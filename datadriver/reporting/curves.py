"""From stored rows to the curves that asset pages draw: whole frames at once, because there are many assets."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import pandas as pd

from datadriver.config.sections import Tag, UseCase
from datadriver.monitoring.facts import DATA_CHECKS, MODEL_CHECKS
from datadriver.reporting.bands import Bound
from datadriver.reporting.facts import CheckCurve, Floats, Instants, ScoreCurve, TagCurve

_ORDER = {check: place for place, check in enumerate((*DATA_CHECKS, *MODEL_CHECKS))}


@dataclass(frozen=True)
class ScoreTerms:
    """What the configuration says of an instance's scores: what alarms are raised on, the threshold, the unit."""

    on: Literal["residual", "score"] | None = None
    limit: float | None = None
    measure: str = ""


def tags_of(usecase: UseCase) -> Mapping[str, Tag]:
    """Return what the configuration says of tags, by name, those of every source."""
    return {name: tag for source in usecase.data.sources.values() for name, tag in (source.tags or {}).items()}


def tag_curves(series: pd.DataFrame) -> Mapping[str, tuple[TagCurve, ...]]:
    """Return the curves of each asset's tags by asset, without what the configuration says of them (`told`).

    Args:
        series: rows of `monitoring.store.read_series`, in its order.
    """
    columns = _Columns(series)
    found: dict[str, list[TagCurve]] = {}
    for (asset, tag), rows in columns.runs("asset_id", "tag"):
        mean, low, high, count = (columns.floats(name)[rows] for name in ("mean", "min", "max", "rows"))
        at = columns.instants("time", "step")[rows]
        found.setdefault(asset, []).append(TagCurve(tag, "", at, mean, low, high, count))
    return {asset: tuple(curves) for asset, curves in found.items()}


def told(
    curves: Sequence[TagCurve], tags: Mapping[str, Tag], bounds: Mapping[str, Sequence[Bound]]
) -> tuple[TagCurve, ...]:
    """Add to the curves of one asset what the configuration and the contract say; tags come in their order there."""
    places = {name: place for place, name in enumerate(tags)}
    return tuple(
        replace(
            curve,
            unit=tags[curve.tag].unit or "" if curve.tag in tags else "",
            limits=tags[curve.tag].range or (None, None) if curve.tag in tags else (None, None),
            bounds=tuple(bounds.get(curve.tag, ())),
        )
        for curve in sorted(curves, key=lambda one: (places.get(one.tag, len(places)), one.tag))
    )


def score_curves(
    scores: pd.DataFrame, terms: Mapping[str, Mapping[tuple[str, str], ScoreTerms]]
) -> Mapping[str, tuple[ScoreCurve, ...]]:
    """Return the curves of each instance that scored an asset, by asset.

    Args:
        scores: rows of `serving.scores.read_scores`, in its order.
        terms: by asset and instance.
    """
    columns = _Columns(scores)
    found: dict[str, list[ScoreCurve]] = {}
    for (unit, model, asset), rows in columns.runs("unit", "model", "asset_id"):
        own = terms.get(asset, {}).get((unit, model), ScoreTerms())
        found.setdefault(asset, []).append(
            ScoreCurve(
                unit,
                model,
                at=columns.instants("time", "step")[rows],
                score=columns.floats("score")[rows],
                actual=columns.floats("actual")[rows],
                residual=columns.floats("residual")[rows],
                alarm=columns.floats("alarm")[rows] > 0,
                version=columns.floats("version")[rows].astype("int64"),
                on=own.on,
                limit=own.limit,
                measure=own.measure,
            )
        )
    return {asset: tuple(curves) for asset, curves in found.items()}


def check_curves(facts: pd.DataFrame) -> Mapping[str, tuple[CheckCurve, ...]]:
    """Return the curves of each asset's checks by asset, data checks first.

    Args:
        facts: rows of `monitoring.store.read_facts`, in its order.
    """
    columns = _Columns(facts)
    found: dict[str, list[CheckCurve]] = {}
    for (asset, unit, model, check), rows in columns.runs("asset_id", "unit", "model", "check"):
        measures, texts = columns.texts("measure")[rows], ("outcome", "state", "about", "reason")
        found.setdefault(asset, []).append(
            CheckCurve(
                check,
                unit,
                model,
                measure=next((one for one in reversed(measures) if one), ""),
                start=columns.instants("window_start")[rows],
                at=columns.instants("window_end")[rows],
                value=columns.floats("value")[rows],
                limit=columns.floats("limit")[rows],
                **{name: tuple(columns.texts(name)[rows]) for name in texts},
                details=_details(columns.texts("details")[rows]),
            )
        )
    return {asset: tuple(sorted(curves, key=_place)) for asset, curves in found.items()}


class _Columns:
    """Columns of a sorted frame as arrays and lists, made once: a frame per asset and check would take longer."""

    def __init__(self, frame: pd.DataFrame) -> None:
        self._frame = frame
        self._made: dict[str, Any] = {}

    def runs(self, *names: str) -> Iterator[tuple[tuple[str, ...], slice]]:
        """Yield the values of some columns wherever they change, and the rows up to the next change."""
        columns = [self.texts(name) for name in names]
        keys = list(zip(*columns, strict=True))
        starts = [place for place, key in enumerate(keys) if place == 0 or key != keys[place - 1]]
        for start, end in pairwise([*starts, len(keys)]):
            yield keys[start], slice(start, end)

    def texts(self, name: str) -> list[str]:
        return self._once(name, lambda column: column.tolist())  # type: ignore[no-any-return]

    def floats(self, name: str) -> Floats:
        return self._once(name, lambda column: column.to_numpy("float64", na_value=np.nan))  # type: ignore[no-any-return]

    def instants(self, *names: str) -> Instants:
        name = next(name for name in names if name in self._frame.columns)
        return self._once(name, _numbers)  # type: ignore[no-any-return]

    def _once(self, name: str, make: Callable[[pd.Series], Any]) -> Any:
        if name not in self._made:
            self._made[name] = make(self._frame[name])
        return self._made[name]


def _place(curve: CheckCurve) -> tuple[str, str, int]:
    return curve.model, curve.unit, _ORDER.get(curve.check, len(_ORDER))


def _details(texts: Sequence[str]) -> Mapping[str, Floats]:
    """Turn a JSON object per window into an array per name, NaN where a window does not have it."""
    found: dict[str, Floats] = {}
    for place, text in enumerate(texts):
        for name, value in json.loads(text or "{}").items():
            if name not in found:
                found[name] = np.full(len(texts), np.nan)
            if value is not None:
                found[name][place] = value
    return found


def _numbers(instants: pd.Series) -> Instants:
    if pd.api.types.is_integer_dtype(instants.dtype):
        return instants.to_numpy("int64")
    return pd.DatetimeIndex(instants).as_unit("us").asi8
