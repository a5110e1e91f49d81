"""An example of what to ask a packaged model: a document of raw rows with enough history for one score and more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import pandas as pd

from datadriver.config.fleet import Asset
from datadriver.config.resolve import resolve
from datadriver.config.sections import UseCase
from datadriver.data.readers import Origin, joined
from datadriver.data.window import as_number, from_number, span_number
from datadriver.serving.packaged import Package
from datadriver.serving.rows import history_of

_AT_MOST = 5000
_MORE = 2
"""So many rows after the history."""

Values = Mapping[str, Sequence[float] | str | None]


def example(package: Package, asset: Asset, *, end: pd.Timestamp | None = None) -> dict[str, Any]:
    """Return a document for `predict`: values that the tags often had in training, at regular instants before `end`.

    Where the models were trained before tags were noted, the values are made up.
    """
    usecase = resolve(package.usecase, asset)
    models = package.models_of(asset)
    tags: dict[str, Any] = {name: value for one in reversed(models) for name, value in one.packaged.tags.items()}
    if not tags:
        tags = {name: [1.0, 2.0] for one in models for name, _ in one.packaged.features}
    histories = [span_number(span) for one in models if (span := history_of(one.instance))]
    instants = _instants(usecase, max(histories, default=0), end)
    main, *others = joined(usecase, package.root)
    known_elsewhere = {f"{other.name}.{name}" for other in others for name in tags if name.startswith(f"{other.name}.")}
    sources = {main.name: _columns(main, instants, {k: v for k, v in tags.items() if k not in known_elsewhere}, others)}
    for other in others:
        short = {name.removeprefix(f"{other.name}."): value for name, value in tags.items()}
        own = {name: value for name, value in short.items() if f"{other.name}.{name}" in tags} or tags
        sources[other.name] = _columns(other, instants if other.source.join == "bin" else instants[:1], own, [])
    several = len(package.manifest.assets) > 1
    params = {"asset": asset.id} if several else {}
    if usecase.data.index == "time":
        params["end"] = from_number(instants[-1] + 1, "time").isoformat()  # type: ignore[union-attr]
    return {"sources": sources, **({"params": params} if params else {})}


def _instants(usecase: UseCase, history: int, end: pd.Timestamp | None) -> list[int]:
    """Return regular instants, as numbers, that reach over the history of every model."""
    if usecase.data.index == "step":
        step = usecase.data.resolution if isinstance(usecase.data.resolution, int) else 1
        return [step * place for place in range(1, -(-history // step) + _MORE + 1)]
    minute = span_number(timedelta(minutes=1))
    resolution = usecase.data.resolution
    step = span_number(resolution) if isinstance(resolution, timedelta) else max(minute, history // 12)
    step = max(step, -(-history // _AT_MOST // step) * step)
    last = as_number(end or pd.Timestamp("2026-01-01", tz="UTC")) // step * step
    count = -(-history // step) + _MORE
    return [last - step * place for place in reversed(range(count))]


def _columns(origin: Origin, instants: Sequence[int], values: Values, others: Sequence[Origin]) -> dict[str, Any]:
    """Return the rows of a source as `{columns, data}`, in the names that the source has."""
    source = origin.source
    if source.tags is not None:
        wanted = {tag.source_name or name: values.get(name, [1.0, 2.0]) for name, tag in source.tags.items()}
    else:
        declared = {name for other in others for name in other.source.tags or ()}
        wanted = {name: value for name, value in values.items() if name not in declared}
    stamps = [_stamp(origin, instant) for instant in instants]
    fixed = [source.index, *([source.known_at] if source.known_at else [])]
    if origin.long is not None:
        columns = [*fixed, origin.long.tag, origin.long.value]
        rows = [
            [*([stamp] * len(fixed)), name, _value(value, place)]
            for place, stamp in enumerate(stamps)
            for name, value in wanted.items()
        ]
        return {"columns": columns, "data": rows}
    rows = [
        [*([stamp] * len(fixed)), *(_value(value, place) for value in wanted.values())]
        for place, stamp in enumerate(stamps)
    ]
    return {"columns": [*fixed, *wanted], "data": rows}


def _value(value: Any, place: int) -> Any:
    return value if value is None or isinstance(value, str) else value[place % len(value)]


def _stamp(origin: Origin, instant: int) -> str | int | float:
    """Write an instant as the source has it."""
    found = from_number(instant, origin.kind)
    if isinstance(found, int):
        return found
    options = origin.source.options
    if options.get("epoch"):
        return instant * {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[options["epoch"]] // 10**6
    if options.get("date_format"):
        return found.tz_convert(origin.zone).strftime(options["date_format"])
    return found.isoformat()
