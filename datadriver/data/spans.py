"""Lengths of the index: the bins, how long values are held, and how far before a window that makes us read."""

from __future__ import annotations

from datetime import timedelta

from datadriver.config.sections import UseCase
from datadriver.config.values import format_amount
from datadriver.data.align import NO_HOLD, OF_THE_BIN, UNLIMITED, label_of
from datadriver.data.readers import Origin
from datadriver.data.readings import Track
from datadriver.data.window import Window, as_number, from_number, span_number
from datadriver.errors import ConfigError


def bin_size(usecase: UseCase) -> int | None:
    """Return the length of a bin in microseconds or steps, None for `native`."""
    resolution = usecase.data.resolution
    if resolution == "native":
        return None
    return _length(resolution, usecase.data.index, "data.resolution", least=1)


def _length(span: timedelta | int, kind: str, path: str, *, least: int = 0) -> int:
    if isinstance(span, timedelta) != (kind == "time"):
        wanted = "a duration such as 10min" if kind == "time" else "a whole number of steps"
        raise ConfigError(f"{path}: {format_amount(span)!r} does not fit an index of kind {kind}; write {wanted}")
    number = span_number(span)
    if number < least:
        raise ConfigError(f"{path}: {format_amount(span)!r} is too short")
    return number


def longest_hold(origin: Origin) -> int | None:
    """Return the source's `max_gap`, None where it is not given."""
    span = origin.source.max_gap
    return None if span is None else _length(span, origin.kind, f"data.sources.{origin.name}.max_gap")


def hold_at(origin: Origin, track: Track, size: int | None) -> int:
    """Return how old a value of this tag may be that stands at a label."""
    gap = longest_hold(origin)
    if origin.source.join == "asof":
        return UNLIMITED if gap is None else gap
    of_the_bin = size is not None and track.tag.aggregate in OF_THE_BIN and track.tag.type == "number"
    return NO_HOLD if gap is None or track.tag.fill == "none" or of_the_bin else gap


def reach(origin: Origin, window: Window, size: int | None) -> Window:
    """Return what has to be read so that the values inside of the window do not depend on where it starts."""
    gap = longest_hold(origin)
    if window.start is None or (origin.source.join == "asof" and gap is None):
        return Window(None, window.end)
    start = as_number(window.start) - (gap or 0)
    if size is not None and origin.source.join == "bin":
        start = label_of(start, size) - size + 1
    return Window(from_number(start, origin.kind), window.end)
