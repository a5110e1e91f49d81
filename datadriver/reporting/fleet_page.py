"""The fleet page: tiles, news and the list, worst first; rows beyond the first hundred wait as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from datadriver.config.fleet import AttributeValue
from datadriver.fleet.status import STATES
from datadriver.monitoring.standing import SEVERITIES
from datadriver.reporting.facts import ATTENTION, AssetLine, FleetFacts, Heading, ModelFacts, News
from datadriver.reporting.news import check_words
from datadriver.reporting.pages import render
from datadriver.tracking.monitor_records import CheckState
from datadriver.tracking.records import instant_order

SHOWN = 100
"""Rows of the page before anything is asked for; without JavaScript there are no more."""

TROUBLES = ("failed", "rejected", "baseline")
"""States of an instance that a row names without being unfolded."""

_FEW = 25
_WINDOWS = 12
_LINKS = ("https://", "http://", "mailto:")
_NEWS: Mapping[str, tuple[str, str]] = {
    "opened": ("alarm opened", "alarms opened"),
    "closed": ("alarm closed", "alarms closed"),
    "failing": ("training newly failing", "trainings newly failing"),
    "request": ("request to train again", "requests to train again"),
    "rollback": ("rollback", "rollbacks"),
    "champion": ("release", "releases"),
    "new": ("new asset", "new assets"),
    "gone": ("asset gone", "assets gone"),
}


@dataclass(frozen=True)
class Tile:
    """A count that is a filter: of assets by state, or of those with an instance in a state."""

    kind: Literal["state", "new", "training"]
    value: str
    count: int
    label: str
    detail: str = ""


@dataclass(frozen=True)
class Attribute:
    """A column of the fleet table as a filter: few values to choose from, numbers with a range, or text to find."""

    name: str
    kind: Literal["choice", "number", "text"]
    values: tuple[str, ...] = ()


@dataclass(frozen=True)
class NewsGroup:
    """News of one kind."""

    kind: str
    title: str
    items: tuple[News, ...]

    @property
    def size(self) -> int:
        """How many there are."""
        return len(self.items)


def render_fleet(facts: FleetFacts) -> str:
    """Render the fleet page."""
    rows = [_row(line, facts) for line in facts.assets]
    models = [_model_row(model) for model in facts.models]
    return render(
        "fleet.html",
        heading=facts.heading,
        facts=facts,
        tiles=tuple(_tiles(facts, rows)),
        filters=_filters(rows),
        attributes=tuple(_attributes(facts)),
        news=_news(facts.news),
        yesterday=_yesterday(facts.heading),
        pages={line.id: line.page for line in facts.assets},
        rows=rows[:SHOWN],
        models=models,
        states=[state for state in STATES if any(model["states"][state] for model in models)],
        data=_data(facts, rows),
    )


def _row(line: AssetLine, facts: FleetFacts) -> dict[str, Any]:
    """Return what one row shows: texts only, so that the script can hold every text once."""
    pages = {model.name: model.page for model in facts.models}
    return {
        "id": line.id,
        "page": line.page,
        "state": line.state,
        "severity": line.severity,
        "reason": line.reason,
        "attributes": [_shown(line.attributes.get(name)) for name in facts.attributes],
        "findings": [_finding(check, facts.heading, pages) for check in line.checks if check.state != "ok"],
        "models": [
            {
                "name": one.model,
                "page": pages[one.model],
                "unit": "" if one.unit == line.id else one.unit,
                "state": one.status.state,
                "reason": one.status.reason if one.status.state in TROUBLES else "",
            }
            for one in line.instances
        ],
    }


def _finding(check: CheckState, heading: Heading, pages: Mapping[str, str]) -> dict[str, str]:
    return {
        "state": check.state,
        "severity": check.severity,
        "check": check_words(check.check),
        "model": check.model,
        "page": pages.get(check.model, ""),
        "reason": check.reason,
        "recent": check.recent[-_WINDOWS:],
        "since": heading.when(check.since) if check.since else "",
        "age": heading.age(check.since) if check.since else "",
        "new": "new" if check.since and instant_order(check.since) > instant_order(heading.since) else "",
        "owner": check.owner or "",
        "runbook": check.runbook or "",
        "href": check.runbook if check.runbook and check.runbook.startswith(_LINKS) else "",
    }


def _data(facts: FleetFacts, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the rows as numbers of texts, in the order of the keys of `_row`, and the texts, each once."""
    texts: dict[str, int] = {}

    def numbers(value: Any) -> Any:
        if isinstance(value, str):
            return texts.setdefault(value, len(texts))
        return [numbers(item) for item in (value.values() if isinstance(value, Mapping) else value)]

    compact = [numbers(row) for row in rows]
    return {"shown": SHOWN, "attributes": facts.attributes, "texts": list(texts), "rows": compact}


def _tiles(facts: FleetFacts, rows: Sequence[Mapping[str, Any]]) -> Iterator[Tile]:
    states = Counter(line.state for line in facts.assets)
    grave = Counter(line.severity for line in facts.assets if line.state == "alarm")
    severities = " · ".join(f"{grave[one]:,} {one}" for one in SEVERITIES if grave[one])
    for state in ATTENTION:
        yield Tile("state", state, states[state], state, severities if state == "alarm" else "")
    new = sum(any(finding["new"] for finding in row["findings"]) for row in rows)
    yield Tile("new", "new", new, "with a new alarm")
    labels = {"failed": "failed", "rejected": "rejected", "baseline": "baseline serves"}
    counts = Counter(str(line.status.state) for model in facts.models for line in model.lines if line.assets)
    for trouble in TROUBLES:
        yield Tile("training", trouble, counts[trouble], labels[trouble])


def _filters(rows: Sequence[Mapping[str, Any]]) -> Mapping[str, Sequence[str]]:
    """Return what filters offer, where there is something to choose."""
    findings = [finding for row in rows for finding in row["findings"]]
    found = {name: dict.fromkeys(finding[name] for finding in findings) for name in ("check", "owner")}
    found["model"] = dict.fromkeys(model["name"] for row in rows for model in row["models"])
    known = {name: [value for value in values if value] for name, values in found.items()}
    return {name: values for name, values in known.items() if len(values) > 1}


def _attributes(facts: FleetFacts) -> Iterator[Attribute]:
    for name in facts.attributes:
        values = {line.attributes.get(name) for line in facts.assets} - {None}
        texts = tuple(_shown(value) for value in sorted(values, key=_order))
        if len(texts) <= _FEW:
            yield Attribute(name, "choice", texts)
        else:
            numbers = all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values)
            yield Attribute(name, "number" if numbers else "text")


def _news(news: Iterable[News]) -> Sequence[NewsGroup]:
    """Put news of a kind together, the gravest kind first."""
    of_kind: dict[str, list[News]] = {kind: [] for kind in _NEWS}
    for item in news:
        of_kind[item.kind].append(item)
    grave = {severity: place for place, severity in enumerate((*SEVERITIES, ""))}
    return [
        NewsGroup(
            kind,
            f"{len(items):,} {_NEWS[kind][len(items) != 1]}",
            tuple(sorted(items, key=lambda one: (grave[one.severity], one.asset))),
        )
        for kind, items in of_kind.items()
        if items
    ]


def _yesterday(heading: Heading) -> str:
    if heading.index == "time":
        span = datetime.fromisoformat(heading.end) - datetime.fromisoformat(heading.since)
        if span <= timedelta(days=1):
            return "Since yesterday"
    return "In the newest window"


def _model_row(model: ModelFacts) -> dict[str, Any]:
    counts = Counter(line.status.state for line in model.lines if line.assets)
    return {
        "name": model.name,
        "page": model.page,
        "problem": model.problem,
        "instances": counts.total(),
        "states": {state: counts[state] for state in STATES},
        "alarms": sum(check.state == "alarm" for check in model.checks),
        "requests": sum(bool(line.requests) for line in model.lines),
    }


def _shown(value: AttributeValue) -> str:
    """Write an attribute as the fleet table does, more or less.

    >>> _shown(3.0), _shown(True), _shown(None)
    ('3', 'true', '')
    """
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else format(value, ".12g") if isinstance(value, float) else str(value)


def _order(value: AttributeValue) -> tuple[int, float, str]:
    return (0, float(value), "") if isinstance(value, (int, float)) else (1, 0.0, str(value))
