"""What changed since yesterday: alarms by the end of their window, everything else by the wall clock."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from datadriver.reporting.facts import Heading, News
from datadriver.tracking.history import Looks
from datadriver.tracking.monitor_records import Alarm, RetrainRequest
from datadriver.tracking.records import Outcome, Release, instant_order

_NAMED = 3
_FIRST_RUN = timedelta(hours=12)  # the first run trains, too, and ends later in the day than the one of the next day


def alarm_news(alarms: Sequence[Alarm], heading: Heading) -> Iterator[News]:
    """Yield the alarms that opened, and those that closed, in the newest day or window."""
    for alarm in alarms:
        if alarm.closed == alarm.opened:
            continue  # withdrawn when its windows were judged again
        if _after(alarm.opened, heading.since):
            yield News("opened", alarm.opened, _said(alarm, alarm.reason), alarm.asset, alarm.model, alarm.severity)
        if alarm.closed is not None and _after(alarm.closed, heading.since):
            reason = alarm.close_reason or alarm.reason
            yield News("closed", alarm.closed, _said(alarm, reason), alarm.asset, alarm.model, alarm.severity)


def release_news(releases: Sequence[Release], heading: Heading) -> Iterator[News]:
    """Yield one line for each release, however many champions it changed."""
    for release in releases:
        if release.at > heading.since_at:
            kind = "rollback" if release.action == "rollback" else "champion"
            by = f"release {release.id} by {release.by}"
            why = f": {release.reason}" if release.reason else ""
            yield News(kind, release.at, f"{_items(release)} ({by}){why}")  # type: ignore[arg-type]


def training_news(
    failing: Sequence[Outcome], requests: Sequence[RetrainRequest], assets: Collection[str]
) -> Iterator[News]:
    """Yield trainings that did not fail before, and requests to train again."""
    for outcome in failing:
        own = outcome.unit in assets
        text = f"{outcome.model if own else outcome.key} {outcome.state}: {outcome.reason}"
        yield News("failing", outcome.at, text, outcome.unit if own else "", outcome.model)
    for request in requests:
        name = request.model if request.unit == request.asset else str(request.key)
        yield News("request", request.at, f"{name}: {request.reason}", request.asset, request.model)


def fleet_news(
    looks: Mapping[str, Looks], assets: Sequence[str], open_alarms: Mapping[str, int], heading: Heading
) -> Iterator[News]:
    """Yield assets that came and went."""
    known = set(assets)
    settled = _later(min((look.first for look in looks.values()), default=heading.made_at), _FIRST_RUN)
    for asset in assets:
        if asset in looks and looks[asset].first > max(heading.since_at, settled):
            yield News("new", looks[asset].first, "monitored for the first time", asset)
    # Its last look was before the one of yesterday's report, so a day earlier than other news.
    day_before = _later(heading.since_at, -timedelta(days=1))
    for asset in sorted(looks):
        if asset not in known and (looks[asset].last > day_before or open_alarms.get(asset)):
            left = open_alarms.get(asset, 0)
            still = f"; {left} open {'alarm' if left == 1 else 'alarms'} will not close by itself" if left else ""
            yield News("gone", looks[asset].last, f"not in the fleet table any more{still}", asset)


def is_first(looks: Mapping[str, Looks], heading: Heading) -> bool:
    """Tell whether there was nothing yesterday that could have changed."""
    return all(look.first > _later(heading.made_at, -_FIRST_RUN) for look in looks.values())


def _later(at: str, span: timedelta) -> str:
    return (datetime.fromisoformat(at) + span).isoformat(timespec="microseconds")


def check_words(check: str, model: str = "") -> str:
    """Write the name of a check for people.

    >>> check_words("score_drift", "wear")
    'score drift of wear'
    """
    return check.replace("_", " ") + (f" of {model}" if model else "")


def _said(alarm: Alarm, reason: str) -> str:
    return f"{check_words(alarm.check, alarm.model)}: {reason}"


def _items(release: Release) -> str:
    if len(release.items) <= _NAMED:
        return ", ".join(
            f"{item.key} " + ("has none" if item.version is None else f"v{item.version}") for item in release.items
        )
    models = Counter(item.model for item in release.items)
    return f"{len(release.items):,} instances: " + ", ".join(f"{count:,} {name}" for name, count in models.items())


def _after(instant: str, since: str) -> bool:
    return instant_order(instant) > instant_order(since)
