"""Cron texts and time zones as people write them: what is wrong with one, in a sentence."""

from __future__ import annotations

import re
from zoneinfo import ZoneInfo

from datadriver.errors import nearest

_PRESETS = ("@hourly", "@daily", "@weekly", "@monthly", "@quarterly", "@yearly")
_CRON = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
_CRON_NAMES = "jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec|sun|mon|tue|wed|thu|fri|sat"
_CRON_PART = re.compile(rf"(\*|(\d+)(-(\d+))?|({_CRON_NAMES})(-({_CRON_NAMES}))?)(/[1-9]\d*)?", re.IGNORECASE)


def zone_problem(name: str) -> str | None:
    """Say what is wrong with the name of a time zone.

    >>> zone_problem("Europe/Oslo"), zone_problem("Europe/Osol")
    (None, "there is no time zone 'Europe/Osol'; did you mean 'Europe/Oslo' or 'Europe/Tiraspol'?")
    """
    try:
        ZoneInfo(name)
    except (ValueError, OSError, KeyError, ImportError):
        from zoneinfo import available_timezones  # noqa: PLC0415 - lists 600 files, for this message only

        return f"there is no time zone {name!r}{nearest(name, available_timezones())}"
    return None


def cron_problem(text: str) -> str | None:
    """Say what is wrong with a cron text of five fields or a preset.

    >>> cron_problem("0 3 * * 0"), cron_problem("0 25 * * *")
    (None, "'0 25 * * *': '25' is not an hour (0 to 23)")
    """
    if text.startswith("@"):
        return None if text in _PRESETS else f"there is no preset {text!r}{nearest(text, _PRESETS)}"
    fields = text.split()
    if len(fields) != 5:
        return f"{text!r} has {len(fields)} fields; cron has five: minute, hour, day, month, weekday"
    words = ("a minute", "an hour", "a day", "a month", "a weekday")
    for field, (low, high), word in zip(fields, _CRON, words, strict=True):
        for part in field.split(","):
            found = _CRON_PART.fullmatch(part)
            numbers = [int(number) for number in (found[2], found[4]) if number] if found else []
            if not found or any(not low <= number <= high for number in numbers) or numbers != sorted(numbers):
                return f"{text!r}: {part!r} is not {word} ({low} to {high})"
    return None
