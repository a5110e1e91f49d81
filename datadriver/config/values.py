"""The small values of `usecase.yaml`: durations, amounts, ranges and references to code."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any, NamedTuple

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

_UNITS = {
    "us": "microseconds",
    "ms": "milliseconds",
    "s": "seconds",
    "min": "minutes",
    "h": "hours",
    "d": "days",
    "w": "weeks",
}
_PART = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(us|ms|s|min|h|d|w)", re.IGNORECASE)
_SIZES = {"b": 1} | {
    f"{letter}{i}b": (1024 if i else 1000) ** power for power, letter in enumerate("kmgt", 1) for i in ("", "i")
}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?i?b)", re.IGNORECASE)
_REFERENCE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")


def parse_duration(text: object) -> timedelta:
    """Read a duration such as `10min`, `1d 12h` or `0.5s`.

    >>> parse_duration("1d 12h")
    datetime.timedelta(days=1, seconds=43200)

    Raises:
        ValueError: if the text is not a sum of numbers with the units us, ms, s, min, h, d, w.
    """
    if isinstance(text, timedelta):
        return text
    if isinstance(text, str) and text.strip():
        total, position = timedelta(), 0
        while match := _PART.match(text, position):
            try:
                total += timedelta(**{_UNITS[match[2].lower()]: float(match[1])})
            except OverflowError:
                raise ValueError(f"{text!r} is longer than datadriver can count") from None
            position = match.end()
        if position and not text[position:].strip():
            return total
    raise ValueError(f"{text!r} is not a duration; write a number and a unit, such as 10min, 1h or 30d")


def format_duration(value: timedelta) -> str:
    """Write a duration the way `parse_duration` reads it, with the largest units first.

    >>> format_duration(timedelta(hours=36))
    '1d 12h'
    """
    rest, parts = value // timedelta(microseconds=1), []
    for unit in ("d", "h", "min", "s", "ms", "us"):
        size = timedelta(**{_UNITS[unit]: 1}) // timedelta(microseconds=1)
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count}{unit}")
    return " ".join(parts) or "0s"


def _span(value: object) -> timedelta | int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    return parse_duration(value)


@dataclass(frozen=True)
class Share:
    """A part of a whole, 0 < fraction < 1, written `20%`."""

    fraction: float

    def __str__(self) -> str:
        return f"{self.fraction * 100:.12g}%"


@dataclass(frozen=True)
class Rows:
    """A number of rows, written `400 rows`."""

    count: int

    def __str__(self) -> str:
        return f"{self.count} rows"


Amount = timedelta | Share | Rows


def parse_amount(value: object) -> Amount:
    """Read how much of the data: a duration (`60d`), a share (`20%`) or a number of rows (`400 rows`).

    >>> parse_amount("20%"), parse_amount("400 rows")
    (Share(fraction=0.2), Rows(count=400))

    Raises:
        ValueError: if it is none of the three, or a share outside of 0 to 100%.
    """
    if isinstance(value, (timedelta, Share, Rows)):
        return value
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return Rows(value)
    text = str(value).strip()
    if match := re.fullmatch(r"(\d+(?:\.\d+)?)\s*%", text):
        fraction = float(match[1]) / 100
        if not 0 < fraction < 1:
            raise ValueError(f"{text!r} is not between 0% and 100%")
        return Share(fraction)
    if match := re.fullmatch(r"(\d+)\s*rows?", text):
        return Rows(int(match[1]))
    try:
        return parse_duration(value)
    except ValueError:
        raise ValueError(
            f"{value!r} is neither a duration (60d), nor a share (20%), nor a number of rows (400 rows)"
        ) from None


def parse_fraction(value: object) -> float:
    """Read a part of a whole, written `10%` or `0.1`.

    >>> parse_fraction("10%"), parse_fraction(0.9)
    (0.1, 0.9)

    Raises:
        ValueError: if it is not between 0 and 1.
    """
    text = str(value).strip()
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(%?)", text)
    fraction = float(match[1]) / (100 if match[2] else 1) if match and not isinstance(value, bool) else -1.0
    if not 0 <= fraction <= 1:
        raise ValueError(f"{value!r} is not a part of a whole; write a share such as 10%, or 0.1")
    return fraction


def parse_size(value: object) -> int:
    """Read a number of bytes, written `2GB`, `512 MiB` or plain.

    >>> parse_size("1.5GB"), parse_size("2 GiB")
    (1500000000, 2147483648)

    Raises:
        ValueError: if it is written otherwise, or is nothing.
    """
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return value
    match = _SIZE.fullmatch(str(value).strip())
    size = int(float(match[1]) * _SIZES[match[2].lower()]) if match and match[2].lower() in _SIZES else 0
    if not size:
        raise ValueError(f"{value!r} is not a size; write a number and a unit, such as 2GB or 512MB")
    return size


def format_size(size: int) -> str:
    """Write a number of bytes with the largest unit in which it is a whole number.

    >>> format_size(1_500_000_000), format_size(2 * 1024**3)
    ('1500MB', '2GiB')
    """
    units = sorted(_SIZES, key=lambda unit: -_SIZES[unit])
    unit = next(unit for unit in units if size % _SIZES[unit] == 0)
    return f"{size // _SIZES[unit]}{unit.upper().replace('I', 'i')}"


class Votes(NamedTuple):
    """`needed` of the last `of` windows."""

    needed: int
    of: int


def parse_votes(value: object) -> Votes:
    """Read how many of the last windows, written `3 of 5`.

    >>> parse_votes("3 of 5")
    Votes(needed=3, of=5)

    Raises:
        ValueError: if it is written otherwise, or needs none or more than there are.
    """
    if isinstance(value, Votes):
        return value
    match = re.fullmatch(r"\s*(\d+)\s+of\s+(\d+)\s*", str(value))
    votes = Votes(int(match[1]), int(match[2])) if match else Votes(0, 0)
    if not 1 <= votes.needed <= votes.of <= 100:
        raise ValueError(f"{value!r} does not say how many of the last windows; write for example 3 of 5")
    return votes


def format_votes(votes: Votes) -> str:
    """Write votes the way they are written in the file."""
    return f"{votes.needed} of {votes.of}"


def format_amount(value: Amount | int) -> str:
    """Write an amount or span the way it is written in the file."""
    return format_duration(value) if isinstance(value, timedelta) else str(value)


def _reference(value: object) -> str:
    if isinstance(value, str) and _REFERENCE.fullmatch(value):
        return value
    raise ValueError(f"{value!r} does not name a function; write package.module:function")


def _json(pattern: str, *examples: Any) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": pattern, "examples": list(examples)})


_DURATION_SCHEMA = _json(r"^\s*(\d+(\.\d+)?\s*(us|ms|s|min|h|d|w)\s*)+$", "10min", "1d 12h")

Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    PlainSerializer(lambda value: format_duration(value) if isinstance(value, timedelta) else value, return_type=str),
    _DURATION_SCHEMA,
]
"""A length of time, kept as `datetime.timedelta`."""

Span = Annotated[
    timedelta | int,
    BeforeValidator(_span),
    PlainSerializer(lambda value: format_duration(value) if isinstance(value, timedelta) else value),
    WithJsonSchema({"type": ["string", "integer"], "examples": ["365d", 200]}),
]
"""A length of the index: a duration where the index is time, a whole number where it is a step."""

Size = Annotated[
    int,
    BeforeValidator(parse_size),
    PlainSerializer(format_size, return_type=str),
    WithJsonSchema({"type": ["string", "integer"], "examples": ["2GB", "512MB"]}),
]
"""A number of bytes."""

AmountField = Annotated[
    Any,
    BeforeValidator(parse_amount),
    PlainSerializer(format_amount, return_type=str),
    WithJsonSchema({"type": ["string", "integer"], "examples": ["60d", "20%", "400 rows"]}),
]
"""How much of the data: duration, share or rows; kept as `timedelta`, `Share` or `Rows`."""

Reference = Annotated[
    str,
    BeforeValidator(_reference),
    _json(_REFERENCE.pattern, "pumps.features:load_and_flow"),
]
"""A function of the use case, as `package.module:function`."""
