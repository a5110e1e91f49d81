"""From facts to states: so many breaches open an alarm, so many good windows close it, known work silences it.

Pure functions of facts, settings and what was remembered: folding windows one by one gives what folding them at once
does. What a check remembers is a letter for each of its last windows, and since when its alarm is open.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from datadriver.config.monitor_section import Check, ModelCheck, Monitor, Step
from datadriver.config.section import Severity
from datadriver.config.values import Votes
from datadriver.data.window import Instant, Window
from datadriver.monitoring.facts import Fact
from datadriver.tracking.monitor_records import Health

RETRAINING = frozenset({"drift", "score_drift", "performance"})
"""Checks whose alarms ask for a training by default: new data cannot cure a dead sensor, and a model must not learn
what a failing machine looks like."""

Letter = Literal["o", "n", "b", "u", "s"]
"""A window as a check remembers it: ok; ok, but near the limit; breach; unknown; silenced."""

_USUAL = Votes(3, 5)
_JUDGED = "onb"
_SHOWN = 14


@dataclass(frozen=True)
class Terms:
    """When breaches of one check become an alarm, when it ends, and what follows; see `config.monitor_section.Rule`."""

    votes: Votes = _USUAL
    clear: int = 2
    margin: float = 0.1
    severity: Severity = "warning"
    owner: str | None = None
    runbook: str | None = None
    then: tuple[Step, ...] = ()


@dataclass(frozen=True)
class Memory:
    """What a check remembers: letters of its last windows, the end of the window that opened its alarm, the version."""

    recent: str = ""
    since: Instant | None = None
    version: int | None = None


@dataclass(frozen=True)
class Judged:
    """A window of a check, after the rules.

    Attributes:
        fact: what was found in it.
        state: how the check stands after it.
        reason: of the state, in words.
        memory: what the check remembers after it.
        severity: of its alarms.
    """

    fact: Fact
    state: Health
    reason: str
    memory: Memory
    severity: Severity


@dataclass(frozen=True)
class AlarmSpan:
    """An alarm from the end of the window in which it opened to that in which it closed, None where it is open.

    `reason` is empty for an alarm that was open before the first window.
    """

    opened: Instant
    reason: str = ""
    closed: Instant | None = None
    close_reason: str = ""


@dataclass(frozen=True)
class Folded:
    """What became of one check over some windows: a state for each, the alarms that were open in any of them."""

    judged: tuple[Judged, ...]
    alarms: tuple[AlarmSpan, ...]


def check_of(monitor: Monitor, name: str) -> Check | None:
    """Return the settings of a check, None where it is switched off."""
    found: Check | None = getattr(monitor.checks, name, None)
    return found


def is_watched(monitor: Monitor, name: str, model: str) -> bool:
    """Tell whether a check is on, for a model (empty for checks of data); a grid's name stands for its variants."""
    check = check_of(monitor, name)
    if check is None:
        return False
    models = check.models if isinstance(check, ModelCheck) else None
    return not model or models is None or model in models or model.partition("[")[0] in models


def terms(monitor: Monitor, name: str) -> Terms:
    """Return the settings of one check, those of `monitor.alarm` and `monitor.then` where it has none of its own."""
    check, rule = check_of(monitor, name) or Check(), monitor.alarm
    usual = tuple(step for step in monitor.then if step != "retrain" or name in RETRAINING)
    return Terms(
        votes=check.when or rule.when,
        clear=check.clear or rule.clear,
        margin=rule.margin,
        severity=check.severity,
        owner=check.owner or rule.owner,
        runbook=check.runbook or rule.runbook,
        then=usual if check.then is None else check.then,
    )


def fold(
    facts: Iterable[Fact], terms: Terms, before: Memory | None = None, silent: Mapping[Window, str] | None = None
) -> Folded:
    """Fold the facts of one check of one subject, in the order of their windows.

    Args:
        facts: one per window.
        terms: the settings of the check.
        before: what it remembers of earlier windows.
        silent: windows that known work silences, and which work that is.
    """
    memory = before or Memory()
    judged: list[Judged] = []
    spans = [] if memory.since is None else [AlarmSpan(memory.since)]
    for fact in facts:
        memory = _serve(memory, fact, spans)
        one = _judge(fact, terms, memory, (silent or {}).get(fact.window), spans)
        judged.append(one)
        memory = one.memory
    return Folded(tuple(judged), tuple(spans))


def _serve(memory: Memory, fact: Fact, spans: list[AlarmSpan]) -> Memory:
    """Forget what another version did: votes start anew, an open alarm closes."""
    if fact.version is None or memory.version is None or fact.version == memory.version:
        return replace(memory, version=fact.version if fact.version is not None else memory.version)
    if memory.since is not None:
        spans[-1] = replace(spans[-1], closed=_end(fact), close_reason=f"version {fact.version} is champion now")
    return Memory(version=fact.version)


def _judge(fact: Fact, terms: Terms, memory: Memory, silence: str | None, spans: list[AlarmSpan]) -> Judged:
    letter = _letter(fact, terms, silence)
    recent = _remember(memory.recent, letter, keep=max(terms.votes.of, terms.clear))
    memory = replace(memory, recent=recent)
    votes = [vote for vote in recent if vote in _JUDGED][-terms.votes.of :]
    breaches = votes.count("b")
    if memory.since is None and letter == "b" and breaches >= terms.votes.needed:
        counted = f" ({breaches} of the last {len(votes)} windows)" if terms.votes.of > 1 else ""
        memory = replace(memory, since=_end(fact))
        spans.append(AlarmSpan(_end(fact), f"{fact.reason}{counted}"))
    elif memory.since is not None and letter == "o" and _is_calm(recent, terms.clear):
        spans[-1] = replace(spans[-1], closed=_end(fact), close_reason=_why_closed(terms))
        memory = replace(memory, since=None)
    state = _state(fact, memory, silence)
    return Judged(fact, state, _reason(fact, state, terms, breaches, silence), memory, terms.severity)


def _letter(fact: Fact, terms: Terms, silence: str | None) -> Letter:
    if silence is not None:
        return "s"
    if fact.outcome != "ok":
        return "b" if fact.outcome == "breach" else "u"
    return "n" if fact.spare is not None and fact.spare < terms.margin else "o"


def _remember(recent: str, letter: Letter, *, keep: int) -> str:
    """Append a letter; of the old ones the last `keep` that count stay, and about as many others as can be shown."""
    letters = recent + letter
    while len(letters) > keep + _SHOWN:
        counting = sum(one in _JUDGED for one in letters)
        place = 0 if counting > keep else next(at for at, one in enumerate(letters) if one not in _JUDGED)
        letters = letters[:place] + letters[place + 1 :]
    return letters


def _is_calm(recent: str, clear: int) -> bool:
    """Tell whether the last windows that count were all well inside of the limit."""
    votes = [vote for vote in recent if vote in _JUDGED][-clear:]
    return len(votes) == clear and set(votes) == {"o"}


def _state(fact: Fact, memory: Memory, silence: str | None) -> Health:
    if silence is not None and (memory.since is not None or fact.outcome == "breach"):
        return "silenced"
    if memory.since is not None:
        return "alarm"
    return "pending" if fact.outcome == "breach" else fact.outcome


def _reason(fact: Fact, state: Health, terms: Terms, breaches: int, silence: str | None) -> str:
    if state == "silenced":
        return f"{fact.reason or 'an alarm is open'} (silenced: {silence})"
    if state == "pending":
        return f"{fact.reason} ({breaches} of the {terms.votes.needed} windows that make an alarm)"
    if state == "alarm" and fact.outcome == "ok":
        now = f"the newest window holds the limit{f' ({fact.reason})' if fact.reason else ''}"
        return f"{now}; the alarm closes after {_clear(terms)}"
    if state == "alarm" and fact.outcome == "unknown":
        return f"{fact.reason}; the alarm stays open"
    return fact.reason


def _why_closed(terms: Terms) -> str:
    return f"the limit held for {_clear(terms)}"


def _clear(terms: Terms) -> str:
    windows = "1 window" if terms.clear == 1 else f"{terms.clear} windows in a row"
    return windows + (f" with {terms.margin:.0%} to spare" if terms.margin else "")


def _end(fact: Fact) -> Instant:
    assert fact.window.end is not None  # noqa: S101 - facts are about windows with both ends
    return fact.window.end
