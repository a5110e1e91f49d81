"""Raw rows in, scores out: inside of an image, by the same way through clock, contract and features as everywhere.

Rows are what a source has before anything was done to them. They come from the sources as `usecase.yaml` names them,
from files in their place, or handed over as tables (`Given`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pandas as pd

from datadriver.config.fleet import Asset, Instance
from datadriver.config.resolve import resolve
from datadriver.config.sections import UseCase
from datadriver.config.values import format_amount
from datadriver.data.align import label_of
from datadriver.data.contract.verdict import Verdict, judge
from datadriver.data.fingerprint import extent
from datadriver.data.frame import SensorFrame
from datadriver.data.read import read_frame
from datadriver.data.readers import Given, Origin, joined
from datadriver.data.spans import bin_size
from datadriver.data.window import Instant, Window, as_instant, as_number, format_instant, from_number, shift
from datadriver.errors import ConfigError, ContractBreach, DatadriverError, DataError, nearest
from datadriver.serving.packaged import Loaded, Package
from datadriver.serving.score import reading_of, start_of, stretch
from datadriver.serving.scores import KEY, Stretch

NOTHING: Given = {}
WHOLE = Window()


@dataclass(frozen=True)
class Unscored:
    """Instants of a model that have rows and no score: `[first, last]`, how many, and why."""

    unit: str
    model: str
    first: str
    last: str
    instants: int
    reason: str


@dataclass(frozen=True)
class Answer:
    """What came of rows that were handed over.

    Attributes:
        scores: columns of the scores table but the time of writing; a row per model and scored instant.
        verdict: of the contract, `pass` or `warn`; `reason` says why it is not `pass`.
        unscored: where there are rows, but not enough history before them or nothing that counts.
    """

    scores: pd.DataFrame
    verdict: str
    reason: str
    unscored: tuple[Unscored, ...] = ()


def score_rows(
    package: Package,
    rows: Mapping[str, pd.DataFrame],
    *,
    asset: str | None = None,
    models: Sequence[str] | None = None,
    window: Window | None = None,
) -> pd.DataFrame:
    """Return the scores of rows that are handed over: `answer_rows` without what it says beside them."""
    return answer_rows(package, rows, asset=asset, models=models, window=window).scores


def answer_rows(
    package: Package,
    rows: Mapping[str, pd.DataFrame],
    *,
    asset: str | None = None,
    models: Sequence[str] | None = None,
    window: Window | None = None,
) -> Answer:
    """Score every instant of the window that has enough history in the rows before it.

    Unlike a source, rows that are handed over do not tell whether there is more before them. So an instant is scored
    only if they reach back over the model's lookback, and over the time that its alarm has to last; then its score is
    that of `datadriver score` on a source that holds them.

    Args:
        package: The opened image.
        rows: A table per source of the sensor frame, as the source has it; order does not matter.
        asset: Whose rows; the image's only asset goes without saying.
        models: Their names; default: all that score the asset.
        window: Instants to score; default: all.

    Raises:
        ConfigError: a source, asset or model that is not there.
        DataError: a column is missing or unknown, or there is not enough history for a single score.
        ContractBreach: the contract rejects the rows.
        UseCaseError: a function of the use case failed.
    """
    chosen = package.asset(asset)
    wanted = package.models_of(chosen, models)
    usecase = resolve(package.usecase, chosen)
    _check_tables(usecase, package, chosen, rows)
    pairs = [(one, window or WHOLE) for one in wanted]
    sensor, verdict = _look(package, usecase, chosen, pairs, rows, handed=True)
    stretches, unscored = [], []
    for one, asked in pairs:
        scored = _stretch(package, one, sensor, verdict, asked)
        enough = _first_with_history(package, usecase, one, sensor, rows)
        known = replace(scored, frame=Window(enough, None).slice(scored.frame))
        stretches.append(known)
        unscored += _unscored(known, asked.slice(sensor.frame).index, enough, one.instance)
    if not any(len(one.frame) for one in stretches):
        raise DataError(_nothing_scored(chosen, sensor, wanted, unscored, asked))
    return Answer(table(stretches), verdict.action, verdict.reason, tuple(unscored))


@dataclass(frozen=True)
class Scored:
    """What came of one asset: the stretches, the models that failed with their errors, the verdict on its data."""

    stretches: tuple[Stretch, ...]
    lost: tuple[tuple[Loaded, DatadriverError], ...] = ()
    verdict: Verdict | None = None


def score_asset(
    package: Package,
    asset: Asset,
    models: Sequence[Loaded],
    window: Window = WHOLE,
    given: Given = NOTHING,
) -> Scored:
    """Score a window of one asset as `datadriver score` does, from its sources or from what is given in their place.

    Without a start, the window is as long as that of a first score.

    Args:
        package: The opened image.
        asset: The asset.
        models: Which of its models.
        window: Instants to score.
        given: Rows by source.

    Raises:
        DataError: there are no data in the window, or columns are missing.
        ContractBreach: the contract rejects them.
        UnavailableError: a source does not answer.
    """
    own = resolve(package.usecase, asset)
    if window.start is None:
        end = window.end if window.end is not None else extent(own, asset, package.root, given=given).end
        window = Window(start_of(None, end, own), window.end)
    pairs = [(one, window) for one in models]
    sensor, verdict = _look(package, own, asset, pairs, given)
    stretches, lost = [], []
    for one in models:
        try:
            stretches.append(_stretch(package, one, sensor, verdict, window))
        except DatadriverError as error:
            lost.append((one, error))
    return Scored(tuple(stretches), tuple(lost), verdict)


def table(stretches: Iterable[Stretch]) -> pd.DataFrame:
    """Return stretches as one frame with the columns of the scores table but for the time of writing."""
    return pd.concat([_table(one) for one in stretches], ignore_index=True)


def history_of(instance: Instance) -> timedelta | int | None:
    """Return how far before an instant rows must reach for its score and alarm; None where the instant is enough."""
    alarm, lookback = instance.spec.alarm, instance.spec.window.lookback
    lasting = alarm.for_ if alarm is not None else None
    found = [span for span in (lookback, lasting) if span]
    return None if not found else found[0] if len(found) == 1 else found[0] + found[1]  # type: ignore[operator]


def _look(  # noqa: PLR0913 - whose data, for what, and where from
    package: Package,
    usecase: UseCase,
    asset: Asset,
    pairs: Sequence[tuple[Loaded, Window]],
    given: Given,
    *,
    handed: bool = False,
) -> tuple[SensorFrame, Verdict]:
    """Read what the models need, and let the contract judge it: a lone instant handed over only by values and rows."""
    reading = reading_of((one.instance, window) for one, window in pairs)
    sensor = read_frame(usecase, asset, reading, package.root, given=given)
    by_row = handed and len(sensor.frame) == 1
    verdict = judge(sensor, usecase.contract, "score", package.root, by_row=by_row)
    if verdict.action == "reject":
        raise ContractBreach(f"{asset.id}, contract: {verdict.reason}")
    return sensor, verdict


def _stretch(package: Package, one: Loaded, sensor: SensorFrame, verdict: Verdict, window: Window) -> Stretch:
    return stretch(one.instance, one.packaged, package.estimator(one), sensor, verdict, window, root=package.root)


def _table(one: Stretch) -> pd.DataFrame:
    frame = one.frame.reset_index(names=str(one.frame.index.name))
    named = dict(zip(KEY, (one.unit, one.model, one.asset), strict=True))
    for place, (name, text) in enumerate(named.items()):
        frame.insert(place, name, text)
    return frame.assign(
        version=one.version, role=one.role, result_key=one.result_key, verdict=one.verdict, reason=one.reason
    )


# History --------------------------------------------------------------------------------------------------------------


def _first_with_history(package: Package, usecase: UseCase, one: Loaded, sensor: SensorFrame, given: Given) -> Any:
    """Return the first instant that the rows reach far enough back for; None where none is needed."""
    needed = history_of(one.instance)
    if not needed or sensor.frame.empty:
        return None
    first = as_instant(sensor.frame.index[0])
    if sensor.window.start is not None and first > sensor.window.start:  # type: ignore[operator]
        first = _first_label(package, usecase, sensor.asset, given)  # it may be a gap, with rows before it
    return shift(first, needed)


def _first_label(package: Package, usecase: UseCase, asset: Asset, given: Given) -> Instant:
    start, size = extent(usecase, asset, package.root, given=given).start, bin_size(usecase)
    assert start is not None  # noqa: S101 - where there is a frame, there are rows
    return start if size is None else from_number(label_of(as_number(start), size), usecase.data.index)


def _unscored(known: Stretch, instants: pd.Index, enough: Any, instance: Instance) -> list[Unscored]:
    """Say which instants of the window have no score, those without history apart from those that do not count."""
    rest = instants.difference(known.frame.index)
    early = rest[:0] if enough is None else rest[rest < enough]
    needed = history_of(instance)
    parts = {
        f"the rows before them do not reach back {format_amount(needed or 0)}": early,
        "out of operation by the mask, or no feature has a value": rest.difference(early),
    }
    return [
        Unscored(
            known.unit,
            known.model,
            format_instant(as_instant(part[0])),
            format_instant(as_instant(part[-1])),
            len(part),
            reason,
        )
        for reason, part in parts.items()
        if len(part)
    ]


def _nothing_scored(
    asset: Asset, sensor: SensorFrame, wanted: Sequence[Loaded], unscored: Sequence[Unscored], asked: Window
) -> str:
    """Say why there is not one score, how much history is needed, and from when on there would be scores."""
    index = sensor.frame.index
    rows = f"the rows are from {format_instant(as_instant(index[0]))} to {format_instant(as_instant(index[-1]))}"
    if not unscored:
        return f"{asset.id}: no instant can be scored: {rows}, and none of them is in the window {asked}"
    needs = [
        f"{one.packaged.model} looks back {format_amount(span)}, so its first instant would be "
        f"{format_instant(shift(as_instant(index[0]), span))}"
        for one in wanted
        if (span := history_of(one.instance))
    ]
    if not needs or all("mask" in one.reason for one in unscored):
        return f"{asset.id}: no instant can be scored: {rows}, and none counts: {unscored[0].reason}"
    return f"{asset.id}: no instant can be scored: {rows}; {'; '.join(needs)}. Give rows that reach further back"


# What is handed over --------------------------------------------------------------------------------------------------


def _check_tables(usecase: UseCase, package: Package, asset: Asset, rows: Given) -> None:
    """Refuse rows of sources that are not there, sources without rows, rows of other assets, and unknown columns."""
    origins = {one.name: one for one in joined(usecase, package.root)}
    for name in rows:
        if name not in origins:
            raise ConfigError(f"rows of {name!r}: scoring reads no such source{nearest(name, origins)}")
    missing = [name for name in origins if name not in rows]
    if missing:
        raise ConfigError(
            f"there are no rows of {', '.join(map(repr, missing))}: every source of the sensor frame is needed "
            f"({', '.join(map(repr, origins))}); columns with empty lists say that a source has nothing"
        )
    problems = [text for name, table in rows.items() for text in _column_problems(origins[name], table, asset)]
    if problems:
        raise DataError("\n".join(problems))


def _column_problems(origin: Origin, table: pd.DataFrame, asset: Asset) -> Iterable[str]:
    source, where = origin.source, origin.where(asset)
    columns = [str(name) for name in table.columns]
    if source.asset in columns:
        strange = table[source.asset].astype(str).ne(asset.id)
        if strange.any():
            yield (
                f"{where}: {int(strange.sum())} of {len(table)} rows are of another asset, such as "
                f"{str(table.loc[strange, source.asset].iloc[0])!r}; give rows of one asset at a time"
            )
    if source.tags is None and not origin.long:
        return
    fixed = [source.index, source.asset, source.known_at]
    fixed += [origin.long.tag, origin.long.value] if origin.long else []
    tags = [] if origin.long else [tag.source_name or name for name, tag in (source.tags or {}).items()]
    known = {name for name in (*fixed, *tags) if name}
    for name in columns:
        if name not in known:
            yield f"{where}: unknown column {name!r}{nearest(name, known - set(columns) or known)}"
    if origin.long and source.tags is not None and origin.long.tag in columns:
        names = {tag.source_name or name for name, tag in source.tags.items()}
        for name in sorted(set(table[origin.long.tag].dropna().astype(str)) - names):
            yield f"{where}: unknown tag {name!r}{nearest(name, names)}"
