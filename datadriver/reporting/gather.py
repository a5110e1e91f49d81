"""Gather what the report shows from the ledger: a few statements for the whole fleet, whatever its size."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

from datadriver.config.fleet import Asset, Instance
from datadriver.config.resolve import resolve
from datadriver.config.sections import UseCase
from datadriver.config.slugs import slug
from datadriver.data.window import Instant, Window, parse_instant, shift
from datadriver.errors import ConfigError
from datadriver.monitoring.standing import reason_of, state_of
from datadriver.reporting.facts import AssetLine, FleetFacts, Heading, InstanceLine, News
from datadriver.reporting.heading import make_heading
from datadriver.reporting.instance_lines import InstanceRecord, instance_lines, model_facts
from datadriver.reporting.news import alarm_news, fleet_news, is_first, release_news, training_news
from datadriver.reporting.order import by_attention, by_gravity
from datadriver.reporting.past import states_at
from datadriver.tracking import history, monitoring
from datadriver.tracking.ledger import Ledger
from datadriver.tracking.monitor_records import Alarm, CheckState
from datadriver.tracking.records import instant_order, instant_text
from datadriver.tracking.task_failures import TaskFailure, newest_by_task, open_failures


@dataclass(frozen=True)
class Fleet:
    """What a report is about: a use case before overrides, its folder, all of its assets and instances."""

    usecase: UseCase
    root: Path
    assets: Sequence[Asset]
    instances: Sequence[Instance]


def gather(fleet: Fleet, ledger: Ledger, *, until: Instant | None = None, days: int | None = None) -> FleetFacts:
    """Gather how the fleet stands and how that came about.

    Args:
        fleet: the whole of it.
        ledger: what is known.
        until: how checks stood after the last window that ended by then; champions are those of now. Default: now.
        days: how far back pages look: days, or windows where the index is a step; default: `monitor.history` windows.

    Raises:
        ConfigError: nothing was monitored yet.
    """
    usecase, assets, instances = fleet.usecase, fleet.assets, fleet.instances
    checks = _checks(fleet, ledger, until)
    end = max((check.window_end for check in checks), key=instant_order, default=None)
    if end is None:
        early = "" if until is None else f" that ended by {instant_text(until)}"
        raise ConfigError(f"no window{early} of the {len(assets)} assets was monitored: run datadriver monitor first")
    heading = make_heading(usecase, end)
    period = _period(usecase, end, days)
    alarms = _alarms(ledger, end)
    record = InstanceRecord.read(ledger, instances)
    lines = instance_lines(record, instances, heading, fleet.root)
    failures = _failures(ledger) if until is None else {}
    shown = _asset_lines(assets, checks, lines.values(), _of_period(alarms, period), failures)
    news, first = _news(ledger, heading, [asset.id for asset in assets], alarms, record)
    return FleetFacts(
        heading=heading,
        period=period,
        assets=shown,
        attributes=tuple(dict.fromkeys(name for asset in assets for name in asset.attributes)),
        models=model_facts(lines, instances, checks, heading, {line.id: line.page for line in shown}),
        news=news,
        first=first,
    )


def _checks(fleet: Fleet, ledger: Ledger, until: Instant | None) -> list[CheckState]:
    """Return how the checks stand that the use case still makes, of assets that are still in the fleet."""
    found = monitoring.check_states(ledger)
    if until is not None:
        found = states_at(fleet.usecase, fleet.root, found, until)
    serving = {(one.unit.key, one.model, asset.id) for one in fleet.instances for asset in one.unit.assets}
    made = {
        asset.id: {name for name, check in resolve(fleet.usecase, asset).monitor.checks if check}
        for asset in fleet.assets
    }
    return [
        state
        for state in found.values()
        if state.check in made.get(state.asset, ())
        and (not state.model or (state.unit, state.model, state.asset) in serving)
    ]


def _period(usecase: UseCase, end: str, days: int | None) -> Window:
    last, window = parse_instant(end, usecase), usecase.monitor_window
    if days is None:
        return Window(shift(last, -window * usecase.monitor.history), last)
    return Window(shift(last, -days * window if isinstance(window, int) else -timedelta(days=days)), last)


def _alarms(ledger: Ledger, end: str) -> list[Alarm]:
    """Return alarms as they were known at the end of a window: what closed later was open."""
    latest = instant_order(end)
    return [
        replace(alarm, closed=None, close_reason="", closed_at=None)
        if alarm.closed is not None and instant_order(alarm.closed) > latest
        else alarm
        for alarm in monitoring.alarms(ledger)
        if instant_order(alarm.opened) <= latest
    ]


def _of_period(alarms: Iterable[Alarm], period: Window) -> Mapping[str, list[Alarm]]:
    """Return alarms by asset, newest first: open ones, and those that closed in the period."""
    start = instant_order(instant_text(period.start))
    found: dict[str, list[Alarm]] = {}
    for alarm in alarms:
        if alarm.closed is None or instant_order(alarm.closed) >= start:
            found.setdefault(alarm.asset, []).insert(0, alarm)
    return found


def _failures(ledger: Ledger) -> Mapping[str, list[TaskFailure]]:
    """Return the newest failure of each task that failed and has not succeeded since, by asset."""
    found: dict[str, list[TaskFailure]] = {}
    for failure in newest_by_task(open_failures(ledger)).values():
        for asset in failure.assets:
            found.setdefault(asset, []).append(failure)
    return found


def _asset_lines(
    assets: Sequence[Asset],
    checks: Iterable[CheckState],
    lines: Iterable[InstanceLine],
    alarms: Mapping[str, list[Alarm]],
    failures: Mapping[str, list[TaskFailure]],
) -> tuple[AssetLine, ...]:
    of_asset: dict[str, list[CheckState]] = {}
    for check in checks:
        of_asset.setdefault(check.asset, []).append(check)
    serving: dict[str, list[InstanceLine]] = {}
    for line in lines:
        for asset_id in line.assets:
            serving.setdefault(asset_id, []).append(line)
    shown = []
    for asset in assets:
        own = tuple(sorted(of_asset.get(asset.id, ()), key=by_gravity))
        state, failed = state_of(own), failures.get(asset.id, ())
        shown.append(
            AssetLine(
                id=asset.id,
                page=f"{slug(asset.id)}.html",
                attributes=asset.attributes,
                state=state,
                reason="; ".join([reason_of(state, own), *map(str, failed)]),
                checks=own,
                instances=tuple(serving.get(asset.id, ())),
                alarms=tuple(alarms.get(asset.id, ())),
                failures=tuple(failed),
            )
        )
    return tuple(sorted(shown, key=by_attention))


def _news(
    ledger: Ledger, heading: Heading, assets: Sequence[str], alarms: Sequence[Alarm], record: InstanceRecord
) -> tuple[tuple[News, ...], bool]:
    looks = history.looks(ledger)
    left = Counter(alarm.asset for alarm in alarms if alarm.closed is None)
    failing = history.newly_failing(ledger, heading.since_at)
    requests = history.requests_since(ledger, heading.since_at)
    known = set(assets)
    news = (
        *alarm_news([alarm for alarm in alarms if alarm.asset in known], heading),
        *release_news(record.releases, heading),
        *training_news(failing, requests, known),
        *fleet_news(looks, assets, left, heading),
    )
    return news, is_first(looks, heading)
