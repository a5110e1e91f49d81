"""Which rows are fitted and which are held out: by time, by group or by a stable hash of rows.

Every split is a function of the rows alone, so that a later one on more data agrees with it: docs/adr/0007.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import pandas as pd

from datadriver.config.sections import Evaluate
from datadriver.config.values import Amount, Rows, Share, format_amount
from datadriver.data.window import Instant, as_instant, format_instant, shift
from datadriver.errors import ConfigError, DataError
from datadriver.training.results import Seen
from datadriver.training.stable_hash import place, row_places

DEFAULT_HOLDOUT = Share(0.2)


@dataclass(frozen=True)
class Table:
    """The identity of the rows to split, one entry each: asset, group, and instant in any order."""

    assets: np.ndarray
    groups: np.ndarray
    instants: pd.Index

    def __len__(self) -> int:
        return len(self.instants)


@dataclass(frozen=True)
class Split:
    """Boolean arrays over the rows; a row in neither is left out by the embargo."""

    fit: np.ndarray
    holdout: np.ndarray
    seen: Seen

    @property
    def embargoed(self) -> int:
        """Number of rows that belong to neither part."""
        return int((~self.fit & ~self.holdout).sum())


def split_rows(table: Table, evaluate: Evaluate, *, horizon: timedelta | int, seed: int, where: str) -> Split:
    """Split the rows as `evaluate` says.

    Args:
        table: The rows that have a label and count.
        evaluate: The section of the model.
        horizon: How far a label looks ahead.
        seed: Chooses groups and rows.
        where: Instance and step, for messages.

    Raises:
        ConfigError: if the amount does not go with the split or the index.
        DataError: if one of the parts would be empty.
    """
    if not len(table):
        raise DataError(f"{where}: there are no rows to split")
    embargo = _embargo(evaluate, horizon)
    if evaluate.split == "group":
        return _by_group(table, evaluate, horizon, seed, where)
    if evaluate.split == "random":
        return _by_row(table, evaluate, horizon, seed, where)
    return _by_time(table, evaluate, embargo, horizon, where)


def unseen(table: Table, seen: Seen) -> np.ndarray:
    """Tell for each row whether a version that has seen `seen` cannot have been fitted on it.

    `table.groups` holds the values of the attribute `seen.group`.
    """
    if seen.until is None:
        return np.ones(len(table), dtype=bool)
    fair = np.asarray(table.instants > seen.until)
    if seen.groups:
        fair |= ~np.isin(table.groups.astype(str), seen.groups)
    if seen.random:
        fair |= row_places(table.assets, table.instants, seen.seed) < seen.share
    return fair


def _by_time(table: Table, evaluate: Evaluate, embargo: timedelta | int, horizon: timedelta | int, where: str) -> Split:
    instants = table.instants
    cut = _cut(instants.sort_values(), evaluate, where)
    holdout = np.asarray(instants >= cut)
    fit = ~holdout & np.asarray(instants <= shift(cut, -embargo)) if embargo else ~holdout
    _both(fit, holdout, where, f"cut at {format_instant(cut)}, embargo {format_amount(embargo)}")
    return Split(fit, holdout, Seen(until=_until(instants[fit], horizon)))


def _by_group(table: Table, evaluate: Evaluate, horizon: timedelta | int, seed: int, where: str) -> Split:
    groups = table.groups.astype(str)
    names = sorted({str(name) for name in table.groups})
    if len(names) < 2:
        raise DataError(
            f"{where}: a split by group needs two groups, the rows have {len(names)} value of "
            f"{evaluate.group!r} ({names[0]!r}); use `split: time`, or pool more assets with `fit`"
        )
    places = {name: place(name, seed) for name in names}
    chosen = _groups_below(places, _share(evaluate, where, "the groups").fraction)
    holdout = np.isin(groups, sorted(chosen))
    until = _until(table.instants[~holdout], horizon)
    fitted = tuple(name for name in names if name not in chosen)
    return Split(~holdout, holdout, Seen(until=until, groups=fitted, group=evaluate.group))


def _groups_below(places: Mapping[str, float], share: float) -> set[str]:
    """Return the groups whose place is below the share: adding groups never moves one into the holdout.

    In a small fleet there may be none (or all) of them: then the first place alone is held out (or the last alone
    fitted), so that there is something to judge by.
    """
    chosen = {name for name, value in places.items() if value < share}
    if not chosen:
        return {min(places, key=lambda name: places[name])}
    if len(chosen) == len(places):
        return chosen - {max(places, key=lambda name: places[name])}
    return chosen


def _by_row(table: Table, evaluate: Evaluate, horizon: timedelta | int, seed: int, where: str) -> Split:
    if evaluate.embargo not in (None, 0):
        raise ConfigError(f"{where}: evaluate.embargo does not go with `split: random`, whose parts touch everywhere")
    places = row_places(table.assets, table.instants, seed)
    share = _row_share(evaluate, places, where)
    holdout = places < share
    _both(~holdout, holdout, where, f"random share {share:.3g}")
    seen = Seen(until=_until(table.instants[~holdout], horizon), random=True, share=share, seed=seed)
    return Split(~holdout, holdout, seen)


def _row_share(evaluate: Evaluate, places: np.ndarray, where: str) -> float:
    amount = evaluate.train or evaluate.holdout
    if not isinstance(amount, Rows):
        return _share(evaluate, where, "the rows").fraction
    count = len(places) - amount.count if evaluate.train else amount.count
    if not 0 < count < len(places):
        raise DataError(_too_few(where, amount, len(places)))
    return float(np.sort(places)[count])


def _share(evaluate: Evaluate, where: str, of: str) -> Share:
    amount = evaluate.train or evaluate.holdout or DEFAULT_HOLDOUT
    if not isinstance(amount, Share):
        raise ConfigError(
            f"{where}: `split: {evaluate.split}` takes a share of {of} such as 20%, not {format_amount(amount)}"
        )
    return Share(1 - amount.fraction) if evaluate.train else amount


def _cut(instants: pd.Index, evaluate: Evaluate, where: str) -> Instant:
    """Return the first instant of the holdout; `instants` are sorted, with repeats where assets are pooled."""
    amount: Amount = evaluate.train or evaluate.holdout or DEFAULT_HOLDOUT
    if isinstance(amount, timedelta):
        return _cut_by_duration(instants, amount, from_start=evaluate.train is not None, where=where)
    count = amount.count if isinstance(amount, Rows) else max(1, round(amount.fraction * len(instants)))
    position = count if evaluate.train else len(instants) - count
    if not 0 < position < len(instants):
        raise DataError(_too_few(where, amount, len(instants)))
    return as_instant(instants[position])


def _cut_by_duration(instants: pd.Index, amount: timedelta, *, from_start: bool, where: str) -> Instant:
    if not isinstance(instants, pd.DatetimeIndex):
        raise ConfigError(f"{where}: the index is a step; write rows (`60 rows`) or a share, not a duration")
    edge = instants[0] + amount if from_start else instants[-1] - amount
    position = int(instants.searchsorted(edge, side="left" if from_start else "right"))
    if not 0 < position < len(instants):
        raise DataError(
            f"{where}: the rows span {format_instant(instants[0])} to {format_instant(instants[-1])}; "
            f"{'a training part' if from_start else 'a holdout'} of {format_amount(amount)} leaves no other part"
        )
    return as_instant(instants[position])


def _embargo(evaluate: Evaluate, horizon: timedelta | int) -> timedelta | int:
    """Return the embargo; unless said otherwise that of the label, which would else look into the holdout."""
    return horizon if evaluate.embargo is None or evaluate.embargo == "horizon" else evaluate.embargo


def _until(instants: pd.Index, horizon: timedelta | int) -> Instant:
    """Return the last instant that a fit on these rows has seen, itself or through its labels.

    A label at t looks at (t, t + horizon], a row at t + horizon looks only past that: hence one tick less.
    """
    last = as_instant(instants.max())
    if not horizon:
        return last
    tick = timedelta(microseconds=1) if isinstance(horizon, timedelta) else 1
    return shift(shift(last, horizon), -tick)


def _both(fit: np.ndarray, holdout: np.ndarray, where: str, how: str) -> None:
    if not fit.any() or not holdout.any():
        raise DataError(
            f"{where}: {int(fit.sum())} rows are left to fit and {int(holdout.sum())} to judge ({how}); "
            "both parts need rows: read more history, or make the holdout or the embargo shorter"
        )


def _too_few(where: str, amount: Amount, rows: int) -> str:
    return f"{where}: {format_amount(amount)} of {rows} rows leave nothing for the other part"
