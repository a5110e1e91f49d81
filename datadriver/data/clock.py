"""One clean increasing clock: stamps as plants write them become instants, by the policy of `times`.

Instants are whole numbers here: microseconds since 1970 in UTC, or steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from datadriver.config.sections import Times
from datadriver.data.frame import Issue, IssueKind
from datadriver.data.window import format_instant, from_number
from datadriver.errors import ConfigError, DataError

Numbers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

_ISO = r"^\d{4}-\d{2}(?:-\d{2}(?:[T ]|$)|$)|^\d{8}(?:T|$)"
# The `-01` of a bare ISO date is no offset: a time has to come before one.
_AWARE = r"(\d{2}[T ].*\d) ?(?:Z|z|[+-]\d{2}(?::?\d{2})?)$"
_FRACTION = r"(\.\d{6})\d+"
_EPOCH_UNITS = {"s": 10**6, "ms": 10**3, "us": 1, "ns": 1}


@dataclass(frozen=True)
class Dial:
    """How the stamps of a source are to be read.

    `date_format`, `epoch` (unit of numbers that count from 1970) and `offsets` are options of the source.
    With `offsets: ignore` the clock face counts, read in the source's zone: for loggers that never change
    their clock while the export adds the offsets of summer and winter time.
    """

    source: str
    where: str
    kind: Literal["time", "step"]
    zone: str
    times: Times
    date_format: str | None = None
    epoch: str | None = None
    offsets: str | None = None

    def issue(self, kind: IssueKind, flags: Flags, shown: Any, at: Numbers | None = None) -> tuple[Issue, ...]:
        """Count flagged rows; `shown` (same length) gives the examples, `at` the instants where they are known."""
        count = int(np.count_nonzero(flags))
        if not count:
            return ()
        found = np.flatnonzero(flags)
        examples = self.examples(np.asarray(shown)[found[:3]])
        return (Issue(self.source, None, kind, count, examples, None if at is None else at[found]),)

    def examples(self, shown: Any) -> tuple[str, ...]:
        """Write a few stamps for people: instants as ISO 8601, anything else as it is."""
        if isinstance(shown, np.ndarray) and shown.dtype == np.int64:
            return tuple(format_instant(from_number(value, self.kind)) for value in shown)
        return tuple(str(value) for value in shown)


@dataclass(frozen=True)
class Instants:
    """Stamps as numbers; those that are not `valid` mean nothing: not readable, or `refused` by the policy."""

    numbers: Numbers
    valid: Flags
    issues: tuple[Issue, ...] = ()
    refused: Flags | None = None


def read_instants(column: pd.Series, dial: Dial, groups: Numbers | None = None) -> Instants:
    """Turn a column of stamps into instants, and count the ones that cannot be.

    `groups` tells apart interleaved clocks of one table (tags of a long one).

    Raises:
        DataError: if not one stamp can be read, or times are bare numbers and `options.epoch` is not given.
    """
    read = _steps(column) if dial.kind == "step" else _times(column, dial, groups)
    readable = read.valid if read.refused is None else read.valid | read.refused
    absent = column.isna().to_numpy()
    bad = dial.issue("bad_stamp", ~readable & ~absent, column)
    if bad and not readable.any():
        hint = (
            "check `index`"
            if dial.kind == "step"
            else ("for other ways than ISO 8601 give options.date_format, for numbers options.epoch")
        )
        raise DataError(
            f"{dial.where}: none of {len(column)} values of {column.name!r} is a {dial.kind}, "
            f"e.g. {bad[0].examples[0]!r}; {hint}"
        )
    missing = dial.issue("bad_stamp", absent, np.broadcast_to("empty", len(column)))
    return Instants(read.numbers, read.valid, read.issues + _merged(bad, missing))


def _merged(bad: tuple[Issue, ...], missing: tuple[Issue, ...]) -> tuple[Issue, ...]:
    if not (bad and missing):
        return bad + missing
    total = bad[0].count + missing[0].count
    return (Issue(bad[0].source, None, "bad_stamp", total, (*bad[0].examples, *missing[0].examples)[:3]),)


def _steps(column: pd.Series) -> Instants:
    if pd.api.types.is_integer_dtype(column.dtype) and not column.hasnans:
        return Instants(column.to_numpy(dtype="int64"), np.ones(len(column), dtype=bool))
    values = pd.to_numeric(column.astype("object"), errors="coerce").to_numpy(dtype="float64", na_value=np.nan)
    valid = np.isfinite(values) & (np.abs(values) < 2**53)
    valid &= np.equal(np.round(values), values, where=valid, out=np.zeros(len(values), dtype=bool))
    return Instants(np.where(valid, values, 0).astype("int64"), valid)


def _times(column: pd.Series, dial: Dial, groups: Numbers | None) -> Instants:
    if dial.offsets not in (None, "ignore"):
        raise ConfigError(f"data.sources.{dial.source}.options.offsets: {dial.offsets!r}; the only choice is `ignore`")
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        stamps = pd.DatetimeIndex(column)
        return _localised(stamps if dial.offsets is None else stamps.tz_localize(None), dial, groups)
    if dial.epoch is not None:
        return _epochs(column, dial)
    if pd.api.types.is_numeric_dtype(column.dtype) and column.notna().any():
        raise DataError(
            f"{dial.where}: {column.name!r} holds numbers, e.g. {column.dropna().iloc[0]}, but the index is `time`; "
            "if they count from 1970, give options.epoch (s, ms, us or ns); if they are cycles, set data.index to step"
        )
    return _texts(column, dial, groups)


def _epochs(column: pd.Series, dial: Dial) -> Instants:
    if dial.epoch not in _EPOCH_UNITS:
        raise ConfigError(f"data.sources.{dial.source}.options.epoch: {dial.epoch!r}; write s, ms, us or ns")
    values = pd.to_numeric(column, errors="coerce").to_numpy(dtype="float64", na_value=np.nan)
    values = values * _EPOCH_UNITS[dial.epoch] if dial.epoch != "ns" else values // 1000
    valid = np.isfinite(values) & (np.abs(values) < 2**62)
    return Instants(np.where(valid, values, 0).round().astype("int64"), valid)


def _texts(column: pd.Series, dial: Dial, groups: Numbers | None) -> Instants:
    """Read texts: those with an offset say their instant, the others are in the source's zone."""
    if not isinstance(column.dtype, pd.StringDtype):
        column = column.astype("object").where(column.notna(), "").astype("str")
    texts = column.fillna("").str.strip()
    if dial.date_format is None:
        iso = texts.str.match(_ISO).to_numpy(dtype=bool)
        texts = texts if iso.all() else texts.where(iso, "")
        if dial.offsets == "ignore":
            texts = texts.str.replace(_AWARE, r"\1", regex=True)
    aware = texts.str.contains(_offset_pattern(dial), regex=True).to_numpy(dtype=bool)
    numbers, valid = np.zeros(len(texts), dtype="int64"), np.zeros(len(texts), dtype=bool)
    issues: tuple[Issue, ...] = ()
    refused = np.zeros(len(texts), dtype=bool)
    if aware.any():
        stamps = _parse(texts[aware], dial, utc=True)
        numbers[aware], valid[aware] = _numbers(stamps), ~np.asarray(stamps.isna())
    if not aware.all():
        naive = ~aware
        read = _localised(_parse(texts[naive], dial), dial, None if groups is None else groups[naive])
        numbers[naive], valid[naive], issues = read.numbers, read.valid, read.issues
        if read.refused is not None:
            refused[naive] = read.refused
    return Instants(numbers, valid, issues, refused)


def _offset_pattern(dial: Dial) -> str:
    """Return what marks a stamp with offset."""
    if dial.date_format is None:
        return _AWARE.replace("(", "(?:", 1)
    return r"." if "%z" in dial.date_format else r"(?!)"


def _parse(texts: pd.Series, dial: Dial, *, utc: bool = False) -> pd.DatetimeIndex:
    try:
        stamps = pd.DatetimeIndex(pd.to_datetime(texts, format=dial.date_format or "ISO8601", errors="coerce", utc=utc))
    except ValueError as error:
        raise ConfigError(f"data.sources.{dial.source}.options.date_format: {dial.date_format!r}: {error}") from error
    if stamps.unit == "ns" and stamps.hasnans and dial.date_format is None:
        # One stamp with nanoseconds makes all of them ns, and years before 1677 or after 2262 unreadable.
        stamps = pd.DatetimeIndex(
            pd.to_datetime(texts.str.replace(_FRACTION, r"\1", regex=True), format="ISO8601", errors="coerce", utc=utc)
        )
    return stamps


def _numbers(stamps: pd.DatetimeIndex) -> Numbers:
    numbers: Numbers = stamps.as_unit("us").asi8
    return numbers


def _localised(stamps: pd.DatetimeIndex, dial: Dial, groups: Numbers | None) -> Instants:
    """Give naive stamps their zone; hours that clocks repeat or skip are resolved by the policy, and counted."""
    stamps = stamps.as_unit("us")
    missing = np.asarray(stamps.isna())
    if stamps.tz is not None or dial.zone == "UTC":
        return Instants(_numbers(stamps), ~missing)
    local = stamps.tz_localize(dial.zone, ambiguous="NaT", nonexistent="NaT")
    unclear = np.asarray(local.isna()) & ~missing
    numbers, valid = _numbers(local).copy(), ~missing
    if not unclear.any():
        return Instants(numbers, valid)
    places = np.flatnonzero(unclear)
    odd = stamps[places]
    earlier = odd.tz_localize(dial.zone, ambiguous=np.ones(len(odd), dtype=bool), nonexistent="NaT")
    skipped = np.asarray(earlier.isna())
    issues = dial.issue("ambiguous", ~skipped, odd.astype(str)) + dial.issue("nonexistent", skipped, odd.astype(str))
    doubled, gone = places[~skipped], places[skipped]
    numbers[gone] = _before_the_gap(odd[skipped], dial.zone)
    valid[gone] = dial.times.nonexistent == "shift"
    second = _second_pass(odd[~skipped], dial, None if groups is None else groups[doubled])
    numbers[doubled] = _numbers(odd[~skipped].tz_localize(dial.zone, ambiguous=~second))
    valid[doubled] = dial.times.ambiguous != "drop"
    return Instants(numbers, valid, issues, refused=~valid & ~missing)


def _before_the_gap(stamps: pd.DatetimeIndex, zone: str) -> Numbers:
    """Read skipped stamps by the offset before the change: a logger that did not change its clock in time."""
    last = stamps.tz_localize(zone, nonexistent="shift_backward")
    return _numbers(last) + _numbers(stamps) - _numbers(last.tz_localize(None))


def _second_pass(stamps: pd.DatetimeIndex, dial: Dial, groups: Numbers | None) -> Flags:
    """Tell which stamps of a repeated hour belong to its second pass.

    `infer`: those from the first step backwards on, in the order of the rows; without one all are the first pass.
    """
    if dial.times.ambiguous != "infer":
        return np.full(len(stamps), dial.times.ambiguous == "later")
    keys = [np.asarray(stamps.normalize()), np.zeros(len(stamps)) if groups is None else groups]
    numbers = pd.Series(_numbers(stamps))
    backwards = (numbers.groupby(keys).diff() < 0).astype("int8")
    return backwards.groupby(keys).cummax().to_numpy() > 0


def distinct(numbers: Numbers) -> Numbers:
    """Return the different numbers, sorted; many times faster than numpy.unique where they are sorted already."""
    ordered = numbers if bool((numbers[1:] >= numbers[:-1]).all()) else np.sort(numbers)
    return ordered[np.append(True, ordered[1:] != ordered[:-1])] if len(ordered) else ordered


@dataclass(frozen=True)
class Order:
    """Positions of the rows that count, sorted; `same` numbers the runs of rows that are merged into one (`mean`)."""

    positions: Numbers
    same: Numbers | None
    issues: tuple[Issue, ...]


def put_in_order(
    numbers: Numbers, dial: Dial, inside: Flags, *, groups: Numbers | None = None, known: Numbers | None = None
) -> Order:
    """Sort the rows inside of the window by group and instant; late rows and duplicates follow the policy.

    Both are counted. Rows of one instant that became known at different times are corrections, not duplicates.

    Raises:
        DataError: if the policy is `reject` and there is something to reject.
    """
    if groups is None and known is None and (len(numbers) < 2 or bool((numbers[1:] > numbers[:-1]).all())):
        return Order(np.flatnonzero(inside), None, ())
    late, back = _late(numbers, groups)
    issues = dial.issue("unsorted", late & inside, numbers, numbers)
    issues += dial.issue("backward_jump", back & inside, numbers, numbers)
    _reject(dial, "order", issues)
    positions = np.flatnonzero(inside & ~late if dial.times.order == "drop" else inside)
    keys = [key[positions] for key in (known, numbers, groups) if key is not None]
    order = np.lexsort(keys)
    positions, keys = positions[order], [key[order] for key in keys]
    repeats = np.zeros(len(positions), dtype=bool)
    repeats[1:] = np.logical_and.reduce([key[1:] == key[:-1] for key in keys])
    doubles = dial.issue("duplicate", repeats, numbers[positions], numbers[positions])
    _reject(dial, "duplicates", doubles)
    if not doubles:
        return Order(positions, None, issues)
    if dial.times.duplicates == "mean":
        return Order(positions, np.cumsum(~repeats) - 1, issues + doubles)
    kept = ~repeats if dial.times.duplicates == "first" else np.append(~repeats[1:], True)
    return Order(positions[kept], None, issues + doubles)


def _late(numbers: Numbers, groups: Numbers | None) -> tuple[Flags, Flags]:
    """Flag rows earlier than any row before them, and rows earlier than the row just before."""
    rows = pd.Series(numbers)
    if groups is None:
        highest, before = np.maximum.accumulate(numbers), rows.shift(fill_value=-(2**63))
    else:
        highest, before = rows.groupby(groups).cummax().to_numpy(), rows.groupby(groups).shift(fill_value=-(2**63))
    return numbers < highest, numbers < before.to_numpy()


def _reject(dial: Dial, policy: Literal["order", "duplicates"], issues: tuple[Issue, ...]) -> None:
    if issues and getattr(dial.times, policy) == "reject":
        found = ", ".join(f"{issue.count} {issue.kind} (e.g. {issue.examples[0]})" for issue in issues)
        raise DataError(f"{dial.where}: {found}, and times.{policy} is reject")
