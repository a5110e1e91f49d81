"""The keywords of an expectation, taken in their plainest form only: what is unusual, Great Expectations judges."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd

from datadriver.data.contract.engine import Outcome
from datadriver.data.contract.view import View

Check = Callable[[View], Outcome]
"""Judges a frame as one expectation does.

Raises `Uncompiled` where the columns are of a kind that it does not know.
"""
Bound = float | pd.Timestamp

_INSTANT = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:\d\d)", re.ASCII)
_EXACT = 2**53
_WITHOUT_EFFECT: Mapping[str, Any] = {"row_condition": None, "condition_parser": None, "catch_exceptions": True}


class Uncompiled(Exception):  # noqa: N818 - it is no error: Great Expectations judges instead
    """Raised where an expectation is not compiled as it stands, or not for such a column."""


class Given:
    """Takes keywords one by one; whatever is of another type than expected, or left over, is not compiled.

    Great Expectations coerces ("0.9" is a share), refuses or ignores such values by rules that are not repeated here.
    """

    def __init__(self, kwargs: Mapping[str, Any]) -> None:
        without_effect = [key for key, value in _WITHOUT_EFFECT.items() if key in kwargs and kwargs[key] is value]
        self._left = {key: value for key, value in kwargs.items() if key not in without_effect}

    def none_left(self) -> None:
        """Refuse keywords that nobody took."""
        if self._left:
            raise Uncompiled(sorted(self._left))

    def has(self, key: str) -> bool:
        """Say whether a keyword is there; one that is null is taken as not there."""
        if self._left.get(key) is None:
            self._left.pop(key, None)
        return key in self._left

    def text(self, key: str) -> str:
        """Take a text that is not empty."""
        value = self._left.pop(key, None)
        if not isinstance(value, str) or not value:
            raise Uncompiled(key)
        return value

    def optional_text(self, key: str) -> str | None:
        """Take a text if there is one."""
        return self.text(key) if self.has(key) else None

    def names(self, key: str) -> list[str]:
        """Take a list of texts, each once."""
        value = self._left.pop(key, None)
        if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
            raise Uncompiled(key)
        if len(set(value)) < len(value):
            raise Uncompiled(key)
        return value

    def scalars(self, key: str) -> list[Any]:
        """Take a list of texts, numbers, booleans and nulls."""
        value = self._left.pop(key, None)
        if not isinstance(value, list) or not all(isinstance(item, (str, int, float, type(None))) for item in value):
            raise Uncompiled(key)
        return value

    def flag(self, key: str, *, default: bool | None = None) -> bool:
        """Take true or false."""
        value = self._left.pop(key, default)
        if not isinstance(value, bool):
            raise Uncompiled(key)
        return value

    def choice(self, key: str, allowed: Sequence[str], *, default: str | None = None) -> str:
        """Take one of a few texts."""
        value = self._left.pop(key, default)
        if value not in allowed:
            raise Uncompiled(key)
        return str(value)

    def number(self, key: str, *, default: float | None = None) -> float:
        """Take a finite number."""
        value = self._left.pop(key, default)
        if not _is_number(value):
            raise Uncompiled(key)
        return float(value)

    def optional_number(self, key: str) -> float | None:
        """Take a finite number if there is one."""
        return self.number(key) if self.has(key) else None

    def integer(self, key: str) -> int:
        """Take a whole number."""
        value = self._left.pop(key, None)
        if not isinstance(value, int) or isinstance(value, bool):
            raise Uncompiled(key)
        return value

    def text_or_integer(self, key: str) -> str | int:
        """Take a text or a whole number."""
        return self.text(key) if isinstance(self._left.get(key), str) else self.integer(key)

    def optional_integer(self, key: str) -> int | None:
        """Take a whole number if there is one."""
        return self.integer(key) if self.has(key) else None

    def inner(self, key: str) -> Given:
        """Take an object with keywords of its own."""
        value = self._left.pop(key, None)
        if not isinstance(value, dict):
            raise Uncompiled(key)
        return Given(value)

    def numbers(self, key: str, *, default: list[float] | None = None) -> list[float]:
        """Take a list of finite numbers."""
        value = self._left.pop(key, default)
        if not isinstance(value, list) or not all(map(_is_number, value)):
            raise Uncompiled(key)
        return [float(number) for number in value]

    def pairs(self, key: str) -> list[tuple[float | None, float | None]]:
        """Take a list of pairs of finite numbers or nulls."""
        value = self._left.pop(key, None)
        if not isinstance(value, list) or not all(isinstance(pair, list) and len(pair) == 2 for pair in value):
            raise Uncompiled(key)
        if not all(end is None or _is_number(end) for pair in value for end in pair):
            raise Uncompiled(key)
        return [(low, high) for low, high in value]

    def mostly(self) -> float:
        """Take the share of values that must be as expected; 1 if nothing is said."""
        share = self.number("mostly", default=1.0)
        if not 0 <= share <= 1:
            raise Uncompiled("mostly")
        return share

    def instant_or_number(self, key: str) -> Bound | None:
        """Take a finite number, or an ISO time with its offset, if there is one."""
        value = self._left.get(key)
        if not isinstance(value, str):
            return self.optional_number(key)
        if not _INSTANT.fullmatch(value):
            raise Uncompiled(key)
        try:
            return pd.Timestamp(self.text(key))
        except ValueError as error:
            raise Uncompiled(key) from error


def _is_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return math.isfinite(value) and (isinstance(value, float) or abs(value) <= _EXACT)
