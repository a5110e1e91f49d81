"""What is to be looked at: windows after the newest that each asset and instance has, and what is looked at no more."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from datadriver.config.fleet import Asset, Instance
from datadriver.config.resolve import resolve
from datadriver.config.sections import UseCase
from datadriver.config.values import format_amount
from datadriver.data.spans import bin_size
from datadriver.data.window import Instant, Window, as_number, from_number, parse_instant, span_number
from datadriver.errors import ConfigError
from datadriver.fleet.monitor_look import Look, Watch
from datadriver.monitoring.rules import is_watched
from datadriver.monitoring.windows import back, length_of, whole_windows
from datadriver.tracking import queries
from datadriver.tracking.ledger import Ledger
from datadriver.tracking.monitor_records import CheckState
from datadriver.tracking.monitoring import CheckKey, check_keys
from datadriver.tracking.records import Key, Version

T = TypeVar("T")

_ASSETS_PER_JOB = 64
_ROWS_PER_JOB = 1_000_000
_ROWS_PER_WINDOW = 1000  # where the resolution does not say
_LATE = ("score_drift", "alarms")
"""Checks of scores: a window that had none yet is looked at again, because scoring may have come after monitoring."""


@dataclass(frozen=True)
class MonitorPlan:
    """What decides which windows are looked at.

    Attributes:
        usecase: before overrides.
        assets: that were chosen, and `instances`.
        champions: of all instances that have one.
        states: how the checks of the assets stand.
        end: nothing from this instant on is known.
        start: where the first window may start, as asked for.
        ahead: newest reading of the assets that have some in the future.
    """

    usecase: UseCase
    assets: tuple[Asset, ...]
    instances: tuple[Instance, ...]
    champions: Mapping[Key, Version]
    states: Mapping[CheckKey, CheckState]
    end: Instant
    start: Instant | None = None
    ahead: Mapping[str, Instant] = field(default_factory=dict)

    def looks(self) -> list[Look]:
        """Return what is to be looked at, in the order of the fleet; assets without a new window are left out.

        Raises:
            ConfigError: a start was asked for, and there is no whole window between it and the end.
        """
        if self.start is not None and not self._is_window(self.start):
            length = format_amount(length_of(self.usecase))
            raise ConfigError(
                f"no whole window of {length} lies in {_shown(self.start, self.end)}: windows start at multiples of "
                "monitor.window, and the last one ends where the data do"
            )
        past: dict[tuple[str, str, str], list[CheckState]] = {}
        for key, state in self.states.items():
            past.setdefault((key.asset, key.unit, key.model), []).append(state)
        serving = self._serving()
        looks = (self._look(asset, past, serving.get(asset.id, ())) for asset in self.assets)
        return [look for look in looks if look.windows(look.first)]

    def _is_window(self, start: Instant) -> bool:
        return as_number(start) < as_number(self.end) and bool(whole_windows(self.usecase, start, self.end))

    def _serving(self) -> Mapping[str, Sequence[Instance]]:
        found: dict[str, list[Instance]] = {}
        for instance in self.instances:
            if Key(instance.unit.key, instance.model) in self.champions:
                for asset in instance.unit.assets:
                    found.setdefault(asset.id, []).append(instance)
        return found

    def _look(
        self, asset: Asset, past: Mapping[tuple[str, str, str], Sequence[CheckState]], serving: Sequence[Instance]
    ) -> Look:
        usecase = resolve(self.usecase, asset)
        watches = tuple(
            Watch(
                replace(instance, usecase=usecase),
                self.champions[Key(instance.unit.key, instance.model)],
                self._since(usecase, past.get((asset.id, instance.unit.key, instance.model), ())),
            )
            for instance in serving
        )
        since = self._since(usecase, past.get((asset.id, "", ""), ()))
        return Look(asset, usecase, since, self.end, watches, self.ahead.get(asset.id))

    def _since(self, usecase: UseCase, states: Sequence[CheckState]) -> Instant:
        """Return where the first window of an asset's data, or of an instance on it, may start."""
        if self.start is not None:
            return self.start
        first = back(usecase, self.end, usecase.monitor.history)
        if not states:
            return first
        newest = max((parse_instant(state.window_end, usecase) for state in states), key=as_number)
        late = max((_without_scores(state) for state in states if state.check in _LATE), default=0)
        if not late:
            return newest
        waited = from_number(as_number(newest) - late * span_number(length_of(usecase)), usecase.data.index)
        return min(newest, max(first, waited, key=as_number), key=as_number)


def _without_scores(state: CheckState) -> int:
    """Return how many windows to go back for scores that may have come since: those that were not judged for want."""
    return len(state.recent) - len(state.recent.rstrip("u")) if state.rows == 0 else 0


def _shown(start: Instant, end: Instant) -> str:
    return str(Window(start, end)) if as_number(start) < as_number(end) else f"[{start}, {end})"


def groups(usecase: UseCase, looks: Sequence[Look]) -> list[list[Look]]:
    """Put assets together whose scores are read at once: not too many rows, and some groups for each worker."""
    size, length = bin_size(usecase), span_number(length_of(usecase))
    each = _ROWS_PER_WINDOW if size is None else max(1, length // size)
    most, parts, rows = max(1, min(_ASSETS_PER_JOB, -(-len(looks) // 8))), [[]], 0  # type: ignore[var-annotated]
    for look in looks:
        span = as_number(look.end) - as_number(look.first)
        own = max(1, span // length) * each * (1 + len(look.watches))
        if parts[-1] and (len(parts[-1]) >= most or rows + own > _ROWS_PER_JOB):
            parts.append([])
            rows = 0
        parts[-1].append(look)
        rows += own
    return parts if looks else []


def in_chunks(things: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """Yield some things after the other."""
    for start in range(0, len(things), size):
        yield things[start : start + size]


def retired_checks(
    ledger: Ledger, usecase: UseCase, fleet: Sequence[Asset], served: Sequence[Instance]
) -> Mapping[CheckKey, str]:
    """Return the checks on record that there are not any more, and why."""
    assets = {asset.id: asset for asset in fleet}
    serving = {(one.unit.key, one.model, asset.id) for one in served for asset in one.unit.assets}
    models = {one.model for one in served}
    champions = queries.champions(ledger)
    found = {}
    for key in check_keys(ledger):
        if key.asset not in assets:
            found[key] = f"{key.asset} is not in the fleet any more"
        elif not is_watched(resolve(usecase, assets[key.asset]).monitor, key.check, key.model):
            found[key] = f"the check {key.check} is switched off"
        elif key.model and key.model not in models:
            found[key] = f"the model {key.model} serves no asset any more"
        elif key.model and (key.unit, key.model, key.asset) not in serving:
            found[key] = f"{key.unit}/{key.model} does not serve {key.asset} any more"
        elif key.model and Key(key.unit, key.model) not in champions:
            found[key] = f"{key.unit}/{key.model} has no champion any more"
    return found
