"""What follows from the facts about some assets: folded onto what is known of them, ready for the ledger."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from datadriver.config.sections import UseCase
from datadriver.data.window import Instant, Window, as_instant, as_number, parse_instant, shift
from datadriver.fleet.monitor_look import Look
from datadriver.monitoring.facts import Fact
from datadriver.monitoring.rules import AlarmSpan, Folded, Judged, Memory, Terms, fold, terms
from datadriver.monitoring.store import fact_of, memory_of, read_facts, row_digest
from datadriver.monitoring.windows import length_of
from datadriver.tracking.monitor_records import Alarm, CheckState, RetrainRequest
from datadriver.tracking.monitoring import CheckKey, MonitorResult
from datadriver.tracking.records import Key, instant_text

_REMEMBERED = 60  # windows before those that are judged again, among which each check's memory is looked for

States = Mapping[CheckKey, CheckState]


@dataclass(frozen=True)
class Sequel:
    """The facts of one check in order, after what it remembers of earlier windows.

    Attributes:
        known: digests of the windows that are on record.
        again: whether windows are judged again; then later ones that are on record follow the facts.
    """

    facts: tuple[Fact, ...]
    memory: Memory = field(default_factory=Memory)
    known: Mapping[Window, str] = field(default_factory=dict)
    again: bool = False

    def new(self, judged: Iterable[Judged]) -> list[Judged]:
        """Return the rows that are not on record just so."""
        if not self.known:
            return list(judged)
        return [row for row in judged if self.known.get(row.fact.window) != row_digest(row)]


class Past:
    """What was known of some assets: their newest states, and where windows are judged again, the facts on record."""

    def __init__(self, usecase: UseCase, looks: Sequence[Look], states: States, path: str) -> None:
        self._usecase, self._states = usecase, states
        self._stored: dict[CheckKey, list[Mapping[str, object]]] = {}
        again = [look for look in looks if self._is_again(look)]
        if not again:
            return
        start = min((look.first for look in again), key=as_number)
        early = shift(start, -length_of(usecase) * _REMEMBERED)
        facts = read_facts(path, assets=[look.asset.id for look in again], window=Window(early, None))
        for row in facts.to_dict("records"):
            key = CheckKey(row["asset_id"], row["unit"], row["model"], row["check"])
            self._stored.setdefault(key, []).append({str(name): value for name, value in row.items()})

    def before(self, key: CheckKey, facts: Sequence[Fact]) -> Sequel:
        """Put the facts of a check between what it remembers and the later windows that are on record."""
        start, end = _start(facts[0].window), as_number(facts[-1].window.end or 0)
        state = self._states.get(key)
        if state is None or start >= as_number(self._instant(state.window_end)):
            return Sequel(tuple(facts), self._memory(state))
        rows = self._stored.get(key, [])
        earlier = [row for row in rows if _at(row, "window_end") <= start]
        later = [fact_of(row) for row in rows if _at(row, "window_start") >= end]
        known = {fact_of(row).window: str(row["digest"]) for row in rows if _at(row, "window_start") >= start}
        memory = memory_of(earlier[-1]) if earlier else self._alarm_alone(state, start)
        return Sequel((*facts, *later), memory, known, again=True)

    def of(self, asset: str) -> States:
        """Return the newest states of the checks of one asset."""
        return {key: state for key, state in self._states.items() if key.asset == asset}

    def _is_again(self, look: Look) -> bool:
        first = as_number(look.first)
        return any(as_number(self._instant(state.window_end)) > first for state in self.of(look.asset.id).values())

    def _alarm_alone(self, state: CheckState, start: int) -> Memory:
        """Return what is certain without a row on record: an alarm that is open since before."""
        since = None if state.since is None else self._instant(state.since)
        return Memory() if since is None or as_number(since) > start else Memory(since=since, version=state.version)

    def _memory(self, state: CheckState | None) -> Memory:
        if state is None:
            return Memory()
        since = None if state.since is None else self._instant(state.since)
        return Memory(state.recent, since, state.version)

    def _instant(self, text: str) -> Instant:
        return parse_instant(text, self._usecase)


class Verdicts:
    """Folds the facts of assets, and gathers what the ledger is to record of them."""

    def __init__(self, past: Past, batch: str) -> None:
        self._past, self._batch = past, batch
        self._looked: list[str] = []
        self._states: list[CheckState] = []
        self._alarms: list[Alarm] = []
        self._again: dict[CheckKey, str] = {}
        self._retired: dict[CheckKey, str] = {}
        self._requests: list[RetrainRequest] = []

    def sequels(self, facts: Iterable[Fact]) -> dict[CheckKey, Sequel]:
        """Return the facts of each check of one asset, beside what is known of it."""
        found: dict[CheckKey, list[Fact]] = {}
        for fact in facts:
            subject = fact.subject
            found.setdefault(CheckKey(subject.asset, subject.unit, subject.model, fact.check), []).append(fact)
        return {
            key: self._past.before(key, sorted(some, key=lambda fact: _start(fact.window)))
            for key, some in found.items()
        }

    def judge(self, look: Look, sequels: Mapping[CheckKey, Sequel], silent: Mapping[Window, str]) -> list[Judged]:
        """Fold the checks of one asset and return the rows that are not on record yet."""
        known, rows = self._past.of(look.asset.id), []
        for key, sequel in sequels.items():
            settings = terms(look.usecase.monitor, key.check)
            folded = fold(sequel.facts, settings, sequel.memory, silent)
            state = _state(key, folded.judged[-1], settings, self._batch)
            if key not in known or state != replace(known[key], batch=self._batch, at=""):
                self._states.append(state)
            if sequel.again:
                self._again[key] = _text(sequel.facts[0].window.start)
            self._follow(key, folded, settings, look, again=sequel.again)
            rows += sequel.new(folded.judged)
        subjects = {(key.unit, key.model) for key in sequels}
        dropped = [key for key in known if key not in sequels and (key.unit, key.model) in subjects]
        self._retired |= dict.fromkeys(dropped, "the check does not apply any more")
        self._looked.append(look.asset.id)
        return rows

    def result(self) -> MonitorResult:
        """Return what the ledger is to record."""
        return MonitorResult(
            self._batch, self._looked, self._states, self._alarms, self._again, self._retired, self._requests
        )

    def _follow(self, key: CheckKey, folded: Folded, settings: Terms, look: Look, *, again: bool) -> None:
        """Take the alarms of one check, and ask for a training where one is open at the end."""
        for span in folded.alarms:
            if span.reason or span.closed is not None or again:
                self._alarms.append(_alarm(key, span, settings, self._batch))
            if span.reason and span.closed is None and "retrain" in settings.then:
                self._requests += _requests(key, span, look, self._batch)


def _state(key: CheckKey, row: Judged, settings: Terms, batch: str) -> CheckState:
    fact, memory = row.fact, row.memory
    return CheckState(
        *key,
        state=row.state,
        outcome=fact.outcome,
        severity=row.severity,
        window_start=_text(fact.window.start),
        window_end=_text(fact.window.end),
        value=fact.value,
        limit=fact.limit,
        measure=fact.unit,
        about=fact.about,
        reason=row.reason,
        rows=int(fact.rows),
        since=instant_text(memory.since),
        recent=memory.recent,
        version=memory.version,
        owner=settings.owner,
        runbook=settings.runbook,
        batch=batch,
    )


def _alarm(key: CheckKey, span: AlarmSpan, settings: Terms, batch: str) -> Alarm:
    return Alarm(
        0,
        *key,
        severity=settings.severity,
        opened=_text(span.opened),
        reason=span.reason,
        closed=instant_text(span.closed),
        close_reason=span.close_reason,
        owner=settings.owner,
        runbook=settings.runbook,
        batch=batch,
    )


def _requests(key: CheckKey, span: AlarmSpan, look: Look, batch: str) -> list[RetrainRequest]:
    """Ask for the instance, or where an alarm about data asks, for all that serve the asset."""
    serving = [Key(watch.instance.unit.key, watch.instance.model) for watch in look.watches]
    asked = [Key(key.unit, key.model)] if key.model else serving
    reason = f"{key.check} on {key.asset}: {span.reason}"
    return [
        RetrainRequest(one.unit, one.model, reason, key.asset, key.check, _text(span.opened), batch) for one in asked
    ]


def _text(instant: Instant | None) -> str:
    return instant_text(instant) or ""


def _start(window: Window) -> int:
    return as_number(window.start or 0)


def _at(row: Mapping[str, object], column: str) -> int:
    return as_number(as_instant(row[column]))
