"""From stored rows to the curves of one asset: what its page draws."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

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


def tag_curves(
    series: pd.DataFrame, tags: Mapping[str, Tag], bounds: Mapping[str, Sequence[Bound]]
) -> Iterator[TagCurve]:
    """Yield a curve per tag, in the order of the configuration.

    Args:
        series: rows of `monitoring.store.read_series` of one asset.
        tags: what the configuration says of them.
        bounds: what the contract expects, by column.
    """
    places = {name: place for place, name in enumerate(tags)}
    parts = {str(name): rows for name, rows in series.groupby("tag", sort=True)}
    for name in sorted(parts, key=lambda one: (places.get(one, len(places)), one)):
        rows, tag = parts[name], tags.get(name)
        yield TagCurve(
            tag=name,
            unit=(tag.unit or "") if tag else "",
            at=_numbers(rows["step" if "step" in rows else "time"]),
            mean=rows["mean"].to_numpy("float64"),
            low=rows["min"].to_numpy("float64"),
            high=rows["max"].to_numpy("float64"),
            rows=rows["rows"].to_numpy("float64"),
            limits=(tag.range or (None, None)) if tag else (None, None),
            bounds=tuple(bounds.get(name, ())),
        )


def score_curves(scores: pd.DataFrame, terms: Mapping[tuple[str, str], ScoreTerms]) -> Iterator[ScoreCurve]:
    """Yield a curve per instance that scored the asset; `scores` are rows of `serving.scores.read_scores`."""
    for (unit, model), rows in scores.groupby(["unit", "model"], sort=True):
        own = terms.get((str(unit), str(model)), ScoreTerms())
        yield ScoreCurve(
            unit=str(unit),
            model=str(model),
            at=_numbers(rows["step" if "step" in rows else "time"]),
            score=rows["score"].to_numpy("float64"),
            actual=rows["actual"].to_numpy("float64"),
            residual=rows["residual"].to_numpy("float64"),
            alarm=rows["alarm"].to_numpy(dtype=bool),
            version=rows["version"].to_numpy("int64"),
            on=own.on,
            limit=own.limit,
            measure=own.measure,
        )


def check_curves(facts: pd.DataFrame) -> Iterator[CheckCurve]:
    """Yield a curve per check, data checks first; `facts` are rows of `monitoring.store.read_facts` of one asset."""
    groups: dict[tuple[str, str, str], pd.DataFrame] = dict(iter(facts.groupby(["unit", "model", "check"])))  # type: ignore[arg-type]
    for unit, model, check in sorted(groups, key=lambda key: (key[1], key[0], _ORDER.get(key[2], len(_ORDER)))):
        rows = groups[unit, model, check]
        yield CheckCurve(
            check=check,
            unit=unit,
            model=model,
            measure=next((one for one in reversed(rows["measure"].tolist()) if one), ""),
            start=_numbers(rows["window_start"]),
            at=_numbers(rows["window_end"]),
            value=rows["value"].to_numpy("float64"),
            limit=rows["limit"].to_numpy("float64"),
            outcome=tuple(rows["outcome"].tolist()),
            state=tuple(rows["state"].tolist()),
            about=tuple(rows["about"].tolist()),
            reason=tuple(rows["reason"].tolist()),
            details=_details(rows["details"].tolist()),
        )


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
