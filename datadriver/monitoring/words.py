"""How facts speak: figures, lengths of time, instants, and how far inside of a limit a figure is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from datadriver.config.fleet import Instance
from datadriver.config.monitor_section import ModelCheck
from datadriver.data.contract.wording import clock, plural
from datadriver.data.window import Instant, Window, format_instant, from_number
from datadriver.monitoring.facts import Fact, Subject
from datadriver.monitoring.rows import Kind

_PARTS = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))


def amount(value: float) -> str:
    """Write a figure with three significant digits.

    >>> amount(0.61234), amount(1234.5), amount(2.0)
    ('0.612', '1,234', '2')
    """
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def percent(share: float) -> str:
    """Write a share, never rounding something to nothing or to all.

    >>> percent(0.31), percent(0.9996), percent(0.0004), percent(0.013), percent(0.9876)
    ('31%', '>99.9%', '<0.1%', '1.3%', '98.8%')
    """
    if 0 < share < 0.001:
        return "<0.1%"
    if 0.999 < share < 1:
        return ">99.9%"
    return f"{100 * share:.1f}".removesuffix(".0") + "%"


def lasting(length: int, kind: Kind) -> str:
    """Write a length of the index, with its two largest units.

    >>> lasting(25_200_000_000, "time"), lasting(90_061_000_000, "time"), lasting(3, "step"), lasting(250_000, "time")
    ('7 h', '1 d 1 h', '3 steps', '0.25 s')
    """
    if kind == "step":
        return plural(length, "step")
    seconds = length / 1_000_000
    if seconds < 60:
        return f"{seconds:.3g} s"
    rest, said = round(seconds), []
    for unit, size in _PARTS:
        count, rest = divmod(rest, size)
        if count:
            said.append(f"{count} {unit}")
    return " ".join(said[:2])


def moment(number: int, kind: Kind) -> str:
    """Write a place on the index.

    >>> moment(1_745_935_200_000_000, "time"), moment(17, "step")
    ('2025-04-29 14:00 UTC', 'step 17')
    """
    instant: Instant = from_number(number, kind)
    return f"step {instant}" if isinstance(instant, int) else clock(format_instant(instant))


def as_unit(length: int, kind: Kind) -> float:
    """Return a length of the index in the unit of facts: seconds or steps."""
    return length / 1_000_000 if kind == "time" else float(length)


def unit_of(kind: Kind) -> str:
    """Name that unit."""
    return "s" if kind == "time" else "steps"


def spare(value: float, limit: float) -> float:
    """Say how far below an upper limit a figure is, as a share of the limit; a limit of zero is kept or not.

    >>> spare(0.15, 0.2) > 0.24, spare(0.3, 0.2) < 0, spare(0.0, 0.0), spare(0.1, 0.0)
    (True, True, 1.0, -1.0)
    """
    if limit == 0:
        return 1.0 if value <= 0 else -1.0
    return (limit - value) / abs(limit)


def too_few(rows: int, needed: int, *, what: str = "rows") -> str:
    """Say that a window cannot be judged.

    >>> too_few(9, 20), too_few(0, 20, what="scores")
    ('9 of the 20 rows needed', 'no scores (20 are needed)')
    """
    return f"no {what} ({needed:,} are needed)" if rows == 0 else f"{rows:,} of the {needed:,} {what} needed"


def unknown(  # noqa: PLR0913 - what a fact is made of
    subject: Subject,
    check: str,
    window: Window,
    reason: str,
    *,
    rows: int = 0,
    version: int | None = None,
    details: Mapping[str, float | None] | None = None,
) -> Fact:
    """Return the fact that a window cannot be judged."""
    return Fact(subject, check, window, "unknown", rows=rows, reason=reason, version=version, details=details or {})


def unknowns(
    subject: Subject, check: str, windows: Sequence[Window], reason: str, *, version: int | None = None
) -> tuple[Fact, ...]:
    """Return such a fact for each of some windows."""
    return tuple(unknown(subject, check, window, reason, version=version) for window in windows)


def asked(check: ModelCheck, instance: Instance) -> bool:
    """Tell whether a check is meant for a model; a model with a grid is meant by its own name, too."""
    return check.models is None or instance.model in check.models or instance.model.partition("[")[0] in check.models
