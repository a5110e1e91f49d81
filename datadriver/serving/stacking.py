"""Requests of one row each, scored in one pass, each as if it had come alone.

That is right only where nothing of a row depends on another row. It is done if

- the configuration says so: one wide source of numbers, no lookback, no alarm that has to last;
- the requests say so: one row of plain numbers each, whose stamp is the label of its bin;
- and it was proved: the first requests are scored both ways, with rows between them emptied, and agree.

No reading of one request ever stands on the clock of another: each row is a bin of its own, of which the same
aggregates are taken as always, nothing is held, and its true instant is put on afterwards. Instants of a pass differ,
as they do in every sensor frame. Scores agree with those of a lone request to 1e-12: linear models add up in another
order.
"""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

from datadriver.config.fleet import Asset
from datadriver.config.resolve import resolve
from datadriver.config.sections import Tag, UseCase
from datadriver.data.align import NO_HOLD, at_labels, bin_tracks
from datadriver.data.clean import Values, clean
from datadriver.data.clock import Numbers, read_instants
from datadriver.data.contract.compiled.plan import plan_of
from datadriver.data.contract.suite import load_suite
from datadriver.data.contract.verdict import Verdict, judge
from datadriver.data.frame import SensorFrame
from datadriver.data.readers import Origin, joined
from datadriver.data.readings import ROW_NUMBERS, Track, dial, notation
from datadriver.data.spans import bin_size
from datadriver.data.window import frame_index
from datadriver.errors import DatadriverError
from datadriver.serving.documents import Table, records
from datadriver.serving.packaged import Loaded, Package
from datadriver.serving.rows import WHOLE, answer_rows, history_of
from datadriver.serving.score import stretch

Record = dict[str, Any]
Scored = tuple[Record, ...] | None
"""The scores of one request; None where it has to be scored alone, which says what is wrong with it, too."""

_NUMBERS = frozenset({float, int, type(None)})
PROOFS = 8
"""So many requests are scored both ways, at most."""
logger = logging.getLogger("datadriver.serve")


@dataclass(frozen=True)
class Stack:
    """How requests for one asset and some models are scored in one pass."""

    package: Package
    asset: Asset
    models: tuple[Loaded, ...]
    usecase: UseCase
    origin: Origin

    @classmethod
    def of(cls, package: Package, asset: Asset, models: Sequence[Loaded]) -> Stack | None:
        """Return the stack for an asset and models; None where the configuration lets rows depend on each other."""
        usecase = resolve(package.usecase, asset)
        sources = joined(usecase, package.root)
        source = sources[0].source
        if len(sources) > 1 or sources[0].long or source.known_at or any(history_of(one.instance) for one in models):
            return None
        if any(tag.type == "text" for tag in (source.tags or {}).values()):
            return None
        suite = load_suite(usecase.contract, package.root)
        if suite is not None and plan_of(suite.by_row).left:
            return None
        return cls(package, asset, tuple(models), usecase, sources[0])

    def score(self, tables: Sequence[Table]) -> list[Scored]:
        """Return the scores of requests whose tables have the same columns."""
        found: list[Scored] = [None] * len(tables)
        rows = {place: tuple(table.data[0]) for place, table in enumerate(tables) if len(table.data) == 1}
        copies: dict[tuple[Any, ...], list[int]] = {}  # the same row again has the same scores
        for place, row in rows.items():
            copies.setdefault(row, []).append(place)
        for row, scored in zip(copies, self._score(tables[0].columns, list(copies)), strict=True):
            for place in copies[row]:
                found[place] = scored
        return found

    def holds(self, tables: Iterable[Table]) -> bool | None:
        """Try on requests whether rows are scored the same alone and beside others; None if they prove nothing."""
        distinct = list({tuple(table.data[0]): table for table in tables if len(table.data) == 1}.values())[:PROOFS]
        if len(distinct) < 2:
            return None
        together = self.score(distinct)
        usable = [place for place, scored in enumerate(together) if scored]
        if len(usable) < 2:
            return None
        tried = [distinct[place] for place in usable]
        alone = [self._alone(table) for table in tried]
        passes = [[together[place] for place in usable]]
        for parity in (0, 1):  # what is filled from a neighbour shows where rows between are empty
            emptied = [self._emptied(table) if place % 2 == parity else table for place, table in enumerate(tried)]
            passes.append(self.score(emptied))
            expected = [None if place % 2 == parity else one for place, one in enumerate(alone)]
            if not all(map(_agree, expected, passes[-1])):
                return False
        return all(map(_agree, alone, passes[0]))

    def _alone(self, table: Table) -> Scored:
        names = [one.packaged.model for one in self.models]
        try:
            given = {self.origin.name: table.frame()}
            return tuple(records(answer_rows(self.package, given, asset=self.asset.id, models=names).scores))
        except DatadriverError:
            return None

    def _emptied(self, table: Table) -> Table:
        """Return a row with its instant and no reading."""
        kept = {self.origin.source.index, self.origin.source.asset}
        row = [value if name in kept else None for name, value in zip(table.columns, table.data[0], strict=True)]
        return Table(table.columns, [row])

    def _score(self, columns: tuple[str, ...], rows: Sequence[tuple[Any, ...]]) -> list[Scored]:
        """Score different rows; those of one instant in passes of their own."""
        found: list[Scored] = [None] * len(rows)
        tags = self._tags(columns)
        plain = [place for place, row in enumerate(rows) if self._is_plain(columns, row)]
        if tags is None or not plain:
            return found
        labels = self._labels([rows[place][columns.index(self.origin.source.index)] for place in plain])
        if labels is None:
            return found
        for chosen in _passes(labels):
            places = [plain[place] for place in chosen]
            sensor = self._sensor(columns, tags, [rows[place] for place in places], labels[chosen])
            for place, scored in zip(places, self._scores(sensor), strict=True):
                found[place] = scored
        return found

    def _tags(self, columns: tuple[str, ...]) -> Mapping[str, Tag] | None:
        """Return the tags of rows with these columns; None where the columns are not those of the source."""
        source = self.origin.source
        fixed = {source.index, source.asset}
        if source.index not in columns:
            return None
        if source.tags is None:
            names = [name for name in columns if name not in fixed and not ROW_NUMBERS.fullmatch(name)]
            return {name: Tag() for name in names} or None
        needed = {tag.source_name or name for name, tag in source.tags.items() if not tag.optional}
        known = {tag.source_name or name for name, tag in source.tags.items()} | fixed
        return source.tags if needed <= set(columns) <= known else None

    def _is_plain(self, columns: tuple[str, ...], row: tuple[Any, ...]) -> bool:
        source = self.origin.source
        for name, value in zip(columns, row, strict=True):
            if name == source.index:
                if type(value) is not (int if self.origin.kind == "step" else str):
                    return False
            elif name == source.asset:
                if str(value) != self.asset.id:
                    return False
            elif type(value) not in _NUMBERS or (type(value) is int and abs(value) > 2**53):
                return False
        return True

    def _labels(self, stamps: Sequence[Any]) -> Numbers | None:
        """Return the label of each stamp; None where one of them is unclear, or no label of a bin."""
        source, size = self.origin.source, bin_size(self.usecase)
        numbers = None if {"date_format", "epoch", "offsets"} & set(source.options) else _iso_instants(stamps)
        if numbers is None:
            read = read_instants(pd.Series(list(stamps), name=source.index), dial(self.origin, self.asset))
            if read.issues or not read.valid.all():
                return None
            numbers = read.numbers
        return None if size is not None and (numbers % size).any() else numbers

    def _sensor(
        self, columns: tuple[str, ...], tags: Mapping[str, Tag], rows: Sequence[tuple[Any, ...]], labels: Numbers
    ) -> SensorFrame:
        """Lay each row on a bin of its own, then put the true instants on."""
        places = np.arange(len(rows), dtype="int64")
        written = notation(self.origin)
        tracks = {}
        for name, tag in tags.items():
            column = tag.source_name or name
            at = columns.index(column) if column in columns else None
            values = np.array([None if at is None else row[at] for row in rows], dtype="float64")
            cleaned = clean(pd.Series(values), tag, source=self.origin.name, name=name, notation=written)
            tracks[name] = Track(tag, places, places, cleaned.values)
        binned = tracks if bin_size(self.usecase) is None else bin_tracks(tracks, 1)
        frame = pd.DataFrame(
            {name: _laid(track, places, binned=binned is not tracks) for name, track in binned.items()},
            index=frame_index(labels, self.usecase.data.index),
        )
        return SensorFrame(
            asset=self.asset,
            frame=frame,
            roles={name: tag.role for name, tag in tags.items()},
            units={name: tag.unit for name, tag in tags.items() if tag.unit},
            rows_read={self.origin.name: len(rows)},
        )

    def _scores(self, sensor: SensorFrame) -> list[Scored]:
        """Return the scores of each row; None for those that are not scored, or that the contract rejects."""
        verdicts = self._verdicts(sensor)
        index = sensor.frame.index
        found: list[list[Record]] = [[] for _ in verdicts]
        for one in self.models:
            estimator, root = self.package.estimator(one), self.package.root
            scored = stretch(one.instance, one.packaged, estimator, sensor, verdicts[0], WHOLE, root=root)
            named = {"unit": scored.unit, "model": scored.model, "asset_id": scored.asset}
            said = {"version": scored.version, "role": scored.role, "result_key": scored.result_key}
            rows = records(scored.frame.reset_index(names=str(index.name)))
            for place, row in zip(index.get_indexer(scored.frame.index), rows, strict=True):
                verdict = verdicts[place]
                judged = {"verdict": verdict.action, "reason": verdict.reason}
                found[place].append({**named, **row, **said, **judged})
        rejected = [verdict.action == "reject" for verdict in verdicts]
        return [tuple(rows) if rows and not refused else None for rows, refused in zip(found, rejected, strict=True)]

    def _verdicts(self, sensor: SensorFrame) -> list[Verdict]:
        """Judge every row by itself: at once where nothing is unexpected in any of them."""

        def verdict(part: SensorFrame) -> Verdict:
            return judge(part, self.usecase.contract, "score", self.package.root, by_row=True)

        together = verdict(sensor)
        if all(check.success and not check.unexpected_count for check in together.checks):
            return [together] * len(sensor.frame)
        rows = (sensor.frame.iloc[place : place + 1] for place in range(len(sensor.frame)))
        return [verdict(replace(sensor, frame=row)) for row in rows]


def _iso_instants(stamps: Sequence[Any]) -> Numbers | None:
    """Return the instants of stamps that are written out in full, with seconds and offset; None if one is not.

    A short cut: `read_instants` gives the same, in milliseconds for a handful of them.
    """
    if not all(isinstance(stamp, str) and _FULL.fullmatch(stamp) for stamp in stamps):
        return None
    try:
        passed = [datetime.fromisoformat(stamp) - _1970 for stamp in stamps]
    except ValueError:
        return None
    return np.array([span // _MICROSECOND for span in passed], dtype="int64")


_FULL = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d{3}|\.\d{6})?(Z|[+-]\d\d:\d\d)", re.ASCII)
_1970 = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def _laid(track: Track, places: Numbers, *, binned: bool) -> Values:
    values = at_labels(track, places, NO_HOLD)
    if binned and track.tag.aggregate == "count":
        values = np.where(np.isnan(values), 0.0, values)
    return values


def _passes(labels: Numbers) -> list[Numbers]:
    """Return positions in passes, in each of which labels increase strictly.

    >>> [one.tolist() for one in _passes(np.array([3, 1, 3, 2]))]
    [[1, 3, 0], [2]]
    """
    order = np.argsort(labels, kind="stable")
    ordered = labels[order]
    starts = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))
    copy = np.arange(len(order)) - np.repeat(starts, np.diff(np.append(starts, len(order))))
    return [order[copy == number] for number in range(int(copy.max()) + 1)]


def _agree(one: Scored, other: Scored) -> bool:
    if one is None or other is None:
        return one is other
    return len(one) == len(other) and all(map(_agree_on_record, one, other))


def _agree_on_record(one: Record, other: Record) -> bool:
    return one.keys() == other.keys() and all(_same(one[name], other[name]) for name in one)


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-9)
    return bool(one == other)
