"""How the fleet stands as OpenMetrics text: for a file that a collector reads, and for `/metrics`.

The number of series stays small on purpose: counts for the fleet, and a series of its own only for a check that is in
alarm, silenced or pending. A check that is `ok` or `unknown` is in the counts alone.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import GaugeMetricFamily
from prometheus_client.openmetrics.exposition import generate_latest
from prometheus_client.registry import Collector

from datadriver import __version__
from datadriver.config.locations import is_url, rooted_path
from datadriver.config.sections import UseCase
from datadriver.errors import ConfigError, UnavailableError
from datadriver.monitoring.facts import DATA_CHECKS, MODEL_CHECKS
from datadriver.monitoring.fleet_state import FleetState, instant_number, is_step, read_fleet_state
from datadriver.monitoring.standing import SEVERITIES
from datadriver.tracking.ledger import Ledger
from datadriver.tracking.monitor_records import HEALTHS, CheckState

SHOWN = ("alarm", "silenced", "pending")
"""States in which a check has a series of its own."""

_CHECKS = (*DATA_CHECKS, *MODEL_CHECKS)
_CHECK = ("asset", "unit", "model", "check")
_Samples = Mapping[tuple[str, ...], float]


def exposition(ledger: Ledger, usecase: UseCase, assets: Collection[str]) -> bytes:
    """Return the OpenMetrics text of this moment; it is valid in Prometheus' own text format too.

    Args:
        ledger: where everything is read from, in four statements.
        usecase: its name is a label of every series.
        assets: ids of the fleet; what left the fleet is not shown, what was never looked at counts as `unknown`.
    """
    found = registry(usecase, lambda: read_fleet_state(ledger, assets))
    text: bytes = generate_latest(found)  # type: ignore[no-untyped-call]
    return text


def registry(usecase: UseCase, read: Callable[[], FleetState]) -> CollectorRegistry:
    """Return a registry that asks `read` how the fleet stands each time it is collected."""
    found = CollectorRegistry()
    found.register(_Fleet(usecase.name, read))
    return found


def metrics_path(usecase: UseCase, root: Path) -> Path | None:
    """Return where the file of `monitor.metrics` is; None where it is switched off.

    Raises:
        ConfigError: it is a URL; collectors read files of their own machine.
    """
    path = usecase.monitor.metrics
    if path is not None and is_url(path):
        raise ConfigError(f"monitor.metrics: {path!r} is a URL; name a file on this machine, or write null for none")
    return None if path is None else Path(rooted_path(path, root))


def write_metrics(path: Path, ledger: Ledger, usecase: UseCase, assets: Collection[str]) -> None:
    """Write the exposition to a file; whoever reads it sees the old one or the new one, whole.

    Raises:
        UnavailableError: the file cannot be written, or the ledger does not answer.
    """
    text = exposition(ledger, usecase, assets)
    draft = path.with_name(f".{path.name}.{uuid.uuid4().hex}")  # a name that collectors pass over
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            draft.write_bytes(text)
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)
    except OSError as error:
        raise UnavailableError(f"monitor.metrics: {path} cannot be written: {error.strerror or error}") from error


class _Fleet(Collector):
    """All families of one use case; those without a sample are there too, with their help."""

    def __init__(self, usecase: str, read: Callable[[], FleetState]) -> None:
        self._usecase = usecase
        self._read = read

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Read how the fleet stands, and yield its families."""
        state = self._read()
        yield self._gauge("build_info", "Version of datadriver that says this.", ("version",), {(__version__,): 1})
        yield from self._counts(state)
        yield from self._checks(state)
        yield from self._instants(state)
        yield from self._runs(state)

    def _counts(self, state: FleetState) -> Iterator[GaugeMetricFamily]:
        text = "Assets of the fleet by the state of their checks; one that was never looked at is unknown."
        yield self._gauge("assets", text, ("state",), _by_state(state.assets()))
        text = "Monitored instances by the state of their own checks; those of data are their asset's."
        yield self._gauge("instances", text, ("state",), _by_state(state.instances()))
        text = "Checks by name and newest state."
        yield self._gauge("checks", text, ("check", "state"), _full(_CHECKS, HEALTHS) | dict(state.counts()))
        alarms = _full(SEVERITIES, _CHECKS) | dict(state.alarms)
        yield self._gauge("alarms_open", "Open alarms by severity and check.", ("severity", "check"), alarms)
        text = "Instances that monitoring asked to train again, and that no training has answered yet."
        yield self._gauge("retrain_requests_open", text, (), {(): state.requests})

    def _checks(self, state: FleetState) -> Iterator[GaugeMetricFamily]:
        rows = [row for row in state.checks if row.state in SHOWN]
        text = "1 for every check of an asset or instance that is in alarm, silenced or pending."
        shown: _Samples = {(*_key(row), row.severity, row.state): 1 for row in rows}
        yield self._gauge("check_state", text, (*_CHECK, "severity", "state"), shown)
        text = "Figure of every check that is in alarm, silenced or pending; `measure` is its unit."
        values: _Samples = {(*_key(row), row.measure): row.value for row in rows if row.value is not None}
        yield self._gauge("check_value", text, (*_CHECK, "measure"), values)
        limits: _Samples = {(*_key(row), row.measure): row.limit for row in rows if row.limit is not None}
        yield self._gauge("check_limit", "What that figure is compared with.", (*_CHECK, "measure"), limits)

    def _instants(self, state: FleetState) -> Iterator[GaugeMetricFamily]:
        """Yield how far monitoring and data reach: times, or steps where the index is one."""
        window = state.newest_window()
        kind, unit = ("step", "") if window and is_step(window) else ("timestamp_seconds", "seconds")
        end: _Samples = {} if window is None else {(): instant_number(window)}
        yield self._gauge(f"newest_window_{kind}", "End of the newest window that was judged.", (), end, unit=unit)
        newest = state.newest_reading()
        reading: _Samples = {} if newest is None else {(): newest}
        text = (
            "Newest reading before the end of that window, by the freshness check of the asset that is furthest ahead."
        )
        yield self._gauge(f"data_newest_{kind}", text, (), reading, unit=unit)

    def _runs(self, state: FleetState) -> Iterator[GaugeMetricFamily]:
        ended: _Samples = {(command,): at for command, at in state.runs.items()}
        text = "When a command last ended well."
        yield self._gauge("last_run_timestamp_seconds", text, ("command",), ended, unit="seconds")
        broken: _Samples = {(command,): float(failed) for command, failed in state.broken.items()}
        text = "1 where the newest run of a command broke off or was killed, else 0."
        yield self._gauge("last_run_failed", text, ("command",), broken)

    def _gauge(
        self, name: str, text: str, labels: tuple[str, ...], samples: _Samples, *, unit: str = ""
    ) -> GaugeMetricFamily:
        family = GaugeMetricFamily(f"datadriver_{name}", text, labels=("usecase", *labels), unit=unit)
        for key, value in samples.items():
            family.add_metric((self._usecase, *key), value)
        return family


def _key(check: CheckState) -> tuple[str, ...]:
    return check.asset, check.unit, check.model, check.check


def _by_state(counts: Mapping[str, int]) -> dict[tuple[str, ...], float]:
    """Count every state, so that a rule about one never waits for a series that is not there."""
    return {(state,): counts.get(state, 0) for state in HEALTHS}


def _full(first: Collection[str], second: Collection[str]) -> dict[tuple[str, ...], float]:
    return {(one, other): 0 for one in first for other in second}
