"""From a fleet row and a window to a sensor frame: read every source, align them on one clock."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from datadriver.config.fleet import Asset
from datadriver.config.sections import UseCase
from datadriver.data.align import at_labels, bin_tracks, label_of, labels_of, last_known, without_nulls
from datadriver.data.clean import Values
from datadriver.data.clock import Flags, Numbers, distinct
from datadriver.data.fingerprint import extent
from datadriver.data.frame import Issue, SensorFrame
from datadriver.data.readers import Given, Origin, joined
from datadriver.data.readings import Readings, in_window, load_readings
from datadriver.data.spans import bin_size, hold_at, longest_hold, reach
from datadriver.data.window import Window, as_number, format_instant, frame_index, from_number
from datadriver.errors import ConfigError, DataError

_MOST_LABELS = 100_000_000


@dataclass(frozen=True)
class _Clock:
    """The labels of a frame, and how sources get there: by bins of `size`, or as they are (`native`)."""

    size: int | None
    labels: Numbers


def read_frame(
    usecase: UseCase, asset: Asset, window: Window, root: Path, *, given: Given | None = None
) -> SensorFrame:
    """Read an asset's sources and align them on one clock.

    Args:
        usecase: The use case, with the overrides of this asset applied.
        asset: The asset.
        window: Which labels are wanted; readings before its start are read where bins and holds need them.
        root: Folder of the use case.
        given: Rows to take instead of reading a source, by its name.

    Returns:
        Labels are multiples of the resolution (every one between first and last, empty bins NaN), or the
        main source's instants. At either end of the window, bins without any reading or held value of the
        main source are left out; without an end, so is a bin that may not be complete.

    Raises:
        DataError: if the asset has no data in the window, or a column is missing.
        ConfigError: if settings contradict each other.
        UnavailableError: if a database or file system does not answer.
    """
    size, (main, *others) = bin_size(usecase), joined(usecase, root, given or {})
    read = {main.name: load_readings(main, asset, reach(main, window, size))}
    clock, columns = _main(main, read[main.name], window, size, main.where(asset))
    if not len(clock.labels):
        raise DataError(_no_data(main, asset, window, usecase, given))
    owners = dict.fromkeys(columns, main.name)
    for other in others:
        read[other.name] = load_readings(other, asset, reach(other, window, size))
        found = _columns(other, read[other.name], clock)
        _refuse_collisions(owners, found, other.name)
        owners |= dict.fromkeys(found, other.name)
        columns |= found
    sources = (main, *others)
    issues = [issue for readings in read.values() for issue in readings.issues]
    issues += [
        gap for other in sources for gap in _gaps(other, read[other.name], window, size=size if other is main else None)
    ]
    tags = {_column(other, name): track.tag for other in sources for name, track in read[other.name].tracks.items()}
    return SensorFrame(
        asset=asset,
        frame=_frame(columns, clock.labels, usecase),
        roles={name: tag.role for name, tag in tags.items()},
        units={name: tag.unit for name, tag in tags.items() if tag.unit},
        issues=tuple(issues),
        window=window,
        rows_read={name: readings.rows_read for name, readings in read.items()},
        readings={
            _column(other, name): without_nulls(track).at
            for other in sources
            if other.source.join == "bin"
            for name, track in read[other.name].tracks.items()
            if track.values.dtype != object
        },
    )


def _main(
    main: Origin, readings: Readings, window: Window, size: int | None, where: str
) -> tuple[_Clock, dict[str, Values]]:
    """Lay the labels where the main source has something to say, with its columns."""
    labels = _labels(main, readings.rows, window, size, where)
    columns = _columns(main, readings, _Clock(size, labels))
    if size is None or not len(labels):
        return _Clock(size, labels), columns
    busy = np.zeros(len(labels), dtype=bool)
    places = (distinct(labels_of(readings.rows, size)) - labels[0]) // size
    busy[places[(places >= 0) & (places < len(labels))]] = True
    for name, values in columns.items():
        if readings.tracks[name].tag.aggregate != "count":
            busy |= _filled(values)
    kept = np.flatnonzero(busy)
    inside = slice(kept[0], kept[-1] + 1) if len(kept) else slice(0, 0)
    return _Clock(size, labels[inside]), {name: values[inside] for name, values in columns.items()}


def _filled(values: Values) -> Flags:
    return np.asarray(pd.notna(values), dtype=bool)


def _labels(main: Origin, rows: Numbers, window: Window, size: int | None, where: str) -> Numbers:
    """Return the labels inside of the window between first and last row (or last held value)."""
    if size is None:
        return rows[in_window(rows, window)]
    if not len(rows):
        return rows
    low, high = label_of(rows[0], size), int(rows[-1]) // size * size
    if window.start is not None:
        low = max(low, label_of(as_number(window.start), size))
    if window.end is not None:
        high = label_of(rows[-1], size) + (longest_hold(main) or 0) // size * size
        high = min(high, (as_number(window.end) - 1) // size * size)
    if (high - low) // size > _MOST_LABELS:
        raise DataError(
            f"{where}: from {_shown(low, main)} to {_shown(high, main)} there are {(high - low) // size} bins; "
            "is a stamp wrong by years? What comes after an `--until` is left out"
        )
    return np.arange(low, high + 1, size, dtype="int64")


def _columns(origin: Origin, readings: Readings, clock: _Clock) -> dict[str, Values]:
    """Return a source's columns at the labels."""
    tracks = readings.tracks
    if origin.source.join == "asof":
        tracks = {name: last_known(track, hold_at(origin, track, clock.size)) for name, track in tracks.items()}
    elif clock.size is not None:
        tracks = bin_tracks(tracks, clock.size)
    else:
        tracks = {name: without_nulls(track) for name, track in tracks.items()}
    columns = {}
    for name, track in tracks.items():
        values = at_labels(track, clock.labels, hold_at(origin, track, clock.size))
        if track.tag.aggregate == "count" and clock.size is not None and origin.source.join == "bin":
            values = np.where(_filled(values), values, 0.0)  # nothing in a bin is a count, too
        columns[_column(origin, name)] = values
    return columns


def _column(origin: Origin, tag: str) -> str:
    return f"{origin.name}.{tag}" if origin.source.join == "asof" and origin.source.tags is None else tag


def _refuse_collisions(owners: Mapping[str, str], found: Mapping[str, Values], name: str) -> None:
    twice = sorted(set(owners) & set(found))
    if twice:
        raise ConfigError(
            f"data.sources.{name}: column {twice[0]!r} comes from source {owners[twice[0]]!r} too; "
            "give one of them another name with `tags: {new_name: {from: " + twice[0] + "}}`"
        )


def _frame(columns: Mapping[str, Values], labels: Numbers, usecase: UseCase) -> pd.DataFrame:
    index = frame_index(labels, usecase.data.index)
    arrays = {
        name: pd.array(values, dtype="str") if values.dtype == object else values for name, values in columns.items()
    }
    return pd.DataFrame(arrays, index=index)


def _gaps(origin: Origin, readings: Readings, window: Window, *, size: int | None) -> Iterator[Issue]:
    """Count the stretches without rows that are longer than values are held (in the main source: than a bin)."""
    longest = max(longest_hold(origin) or 0, size or 0)
    if origin.source.join != "bin" or not longest:
        return
    starts = np.flatnonzero(np.diff(readings.rows) > longest)
    ends = readings.rows[starts + 1]
    if window.start is not None:
        starts = starts[ends >= as_number(window.start)]
    if len(starts):
        rows = readings.rows
        shown = [f"{_shown(rows[i], origin)} to {_shown(rows[i + 1], origin)}" for i in starts[:3]]
        yield Issue(origin.name, None, "gap", len(starts), tuple(shown))


def _shown(number: int, origin: Origin) -> str:
    return format_instant(from_number(number, origin.kind))


def _no_data(main: Origin, asset: Asset, window: Window, usecase: UseCase, given: Given | None) -> str:
    try:
        whole = extent(usecase, asset, main.root, given=given)
    except DataError as error:
        return error.message
    return f"{main.where(asset)}: no data in the window {window}; its data are from {whole}"
