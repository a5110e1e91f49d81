"""What the historian makes of clean readings: each kind of dirt is one small function that plants it.

Every function changes the export and returns what it planted, for the truth table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np

HOUR = np.timedelta64(3_600_000_000, "us")

SHARES = {
    "frozen": 0.12,
    "swapped": 0.03,
    "unit": 0.05,
    "text": 0.35,
    "clock_step": 0.06,
    "gap": 0.30,
    "late": 0.06,
    "duplicate": 0.20,
    "unsorted": 0.12,
}
"""Kinds of dirt in the order of planting, and the share of pumps that have each."""

WORDS = ("Bad Input", "No Data", "I/O Timeout", "Comm Fail", "Scan Off")
"""What historians write in the place of a number."""


@dataclass
class Export:
    """One pump's table as it will be written: stamps, numbers by tag, and words that stand for a number."""

    stamps: np.ndarray
    values: dict[str, np.ndarray]
    words: dict[str, np.ndarray] = field(default_factory=dict)

    def take(self, rows: np.ndarray) -> None:
        """Keep these rows, in this order."""
        self.stamps = self.stamps[rows]
        self.values = {tag: value[rows] for tag, value in self.values.items()}
        self.words = {tag: value[rows] for tag, value in self.words.items()}


@dataclass(frozen=True)
class Planted:
    """One piece of dirt; `tag` is empty where whole rows are concerned."""

    kind: str
    tag: str
    start: np.datetime64
    end: np.datetime64


def draw_kinds(rng: np.random.Generator) -> tuple[str, ...]:
    """Draw the kinds of dirt that one pump has."""
    return tuple(kind for kind, share in SHARES.items() if rng.random() < share)


def plant(rng: np.random.Generator, export: Export, kinds: Iterable[str]) -> tuple[Planted, ...]:
    """Plant each kind once; the order of `SHARES` is kept, so that rows move only after their values are set."""
    chosen = set(kinds)
    return tuple(PLANTERS[kind](rng, export) for kind in SHARES if kind in chosen)


def _episode(rng: np.random.Generator, export: Export, hours: tuple[float, float]) -> tuple[slice, Planted]:
    """Choose a stretch of rows that begins while the pump runs and does not touch the ends."""
    count = len(export.stamps)
    step = np.median(np.diff(export.stamps))  # earlier dirt may have left gaps, or clocks that run backwards
    margin = min(int(24 * HOUR / step), count // 10)
    length = np.exp(rng.uniform(*np.log(hours))) * HOUR
    rows = max(2, min(int(length / step), count // 2 - margin))
    possible = np.arange(margin, count - margin - rows)
    running = possible[export.values["frequency"][possible] > 5]
    begin = int(rng.choice(running if len(running) else possible))
    found = slice(begin, begin + rows)
    return found, Planted("", "", export.stamps[found].min(), export.stamps[found].max())


def _named(planted: Planted, kind: str, tag: str = "") -> Planted:
    return Planted(kind, tag, planted.start, planted.end)


def frozen(rng: np.random.Generator, export: Export) -> Planted:
    """A sensor repeats its last value for three hours to four days."""
    tag = str(
        rng.choice(["intake_pressure", "discharge_pressure", "motor_temperature", "vibration", "current", "flow"])
    )
    rows, planted = _episode(rng, export, (3, 96))
    export.values[tag][rows] = export.values[tag][rows.start]
    return _named(planted, "frozen", tag)


def swapped(rng: np.random.Generator, export: Export) -> Planted:
    """Two cables change places, after a repair for instance, for one to ten days."""
    pairs = [("intake_pressure", "discharge_pressure"), ("current", "frequency")]
    one, other = pairs[rng.choice(2, p=[0.7, 0.3])]
    rows, planted = _episode(rng, export, (24, 240))
    kept = export.values[one][rows].copy()
    export.values[one][rows], export.values[other][rows] = export.values[other][rows], kept
    return _named(planted, "swapped", f"{one},{other}")


def unit(rng: np.random.Generator, export: Export) -> Planted:
    """A transmitter is set to psi or to deg F, for half a day to a month."""
    tag = str(rng.choice(["intake_pressure", "discharge_pressure", "motor_temperature"]))
    rows, planted = _episode(rng, export, (12, 700))
    value = export.values[tag]
    value[rows] = value[rows] * 1.8 + 32 if tag == "motor_temperature" else value[rows] * 14.5038
    return _named(planted, "unit", tag)


def text(rng: np.random.Generator, export: Export) -> Planted:
    """A bad connection writes words among the numbers, a few or many, over hours or days."""
    tag = str(rng.choice(list(export.values)))
    rows, planted = _episode(rng, export, (6, 144))
    hit = np.arange(rows.start, rows.stop)
    chosen = rng.random(len(hit)) < np.exp(rng.uniform(*np.log((0.02, 0.6))))
    hit = hit[chosen] if chosen.any() else hit[:1]
    words = np.full(len(export.stamps), None, dtype=object)
    words[hit] = rng.choice(WORDS, len(hit))
    export.words[tag] = words
    return _named(planted, "text", tag)


def clock_step(rng: np.random.Generator, export: Export) -> Planted:
    """The data logger's clock is wrong by minutes or hours for half a day to five days, then set right again."""
    rows, planted = _episode(rng, export, (12, 120))
    step = rng.choice([-1, 1]) * np.exp(rng.uniform(*np.log((1 / 12, 6)))) * HOUR
    export.stamps[rows] += step.astype("timedelta64[s]")
    return _named(planted, "clock_step")


def gap(rng: np.random.Generator, export: Export) -> Planted:
    """Nothing arrives for two hours to four days, and never will."""
    rows, planted = _episode(rng, export, (2, 96))
    export.take(np.r_[0 : rows.start, rows.stop : len(export.stamps)])
    return _named(planted, "gap")


def late(rng: np.random.Generator, export: Export) -> Planted:
    """The newest hours, or up to three days, have not arrived yet."""
    end = export.stamps.max()
    start = end - min(np.exp(rng.uniform(*np.log((4, 72)))) * HOUR, (end - export.stamps.min()) / 3)
    export.take(np.flatnonzero(export.stamps < start))
    return Planted("late", "", start, end)


def duplicate(rng: np.random.Generator, export: Export) -> Planted:
    """A repeated transfer brings rows a second time, some with other values."""
    rows, planted = _episode(rng, export, (1, 120))
    again = np.arange(rows.start, rows.stop)
    export.take(np.r_[0 : rows.stop, again, rows.stop : len(export.stamps)])
    changed = rows.stop + np.flatnonzero(rng.random(len(again)) < 0.2)
    export.values["motor_temperature"][changed] += rng.normal(0, 0.2, len(changed))
    return _named(planted, "duplicate")


def unsorted(rng: np.random.Generator, export: Export) -> Planted:
    """A buffer is flushed late: its rows stand days after their place in the file."""
    rows, planted = _episode(rng, export, (1, 72))
    place = int(rng.integers(rows.stop + 1, len(export.stamps)))
    export.take(np.r_[0 : rows.start, rows.stop : place, rows, place : len(export.stamps)])
    return _named(planted, "unsorted")


PLANTERS: dict[str, Callable[[np.random.Generator, Export], Planted]] = {
    "frozen": frozen,
    "swapped": swapped,
    "unit": unit,
    "text": text,
    "clock_step": clock_step,
    "gap": gap,
    "late": late,
    "duplicate": duplicate,
    "unsorted": unsorted,
}
