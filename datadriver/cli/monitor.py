"""`datadriver monitor`: what goes wrong with data and models, window by window."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from datadriver.cli import options
from datadriver.cli.output import Output
from datadriver.cli.progress import length
from datadriver.cli.reports import command_line, error_document, misses_document, plural, say_misses, shown_path
from datadriver.errors import ConfigError

if TYPE_CHECKING:
    from datadriver.fleet.monitor import MonitorReport
    from datadriver.fleet.selection import Selection
    from datadriver.project import Project
    from datadriver.tracking.monitor_records import Alarm, CheckState

_SHOWN = 15


@click.command(
    "monitor", short_help="Judge data and models window by window; alarms, messages, requests to train again."
)
@options.window
@options.until
@options.workers
@options.instances
@options.project
def command(
    output: Output,
    project: Project,
    *,
    selection: Selection,
    start: str | None,
    end: str | None,
    until: str | None,
    workers: int | None,
) -> int:
    """Judge each window of data and models by the checks of `monitor` in usecase.yaml, and act on what is found.

    Without --start, the windows since the last time; with it, windows are judged again: nothing changes where nothing
    new is found. --end and --until mean the same here. The data of the chosen assets are judged whatever --models says.
    """
    if end is not None and until is not None and end != until:
        raise ConfigError(f"--end {end} and --until {until} mean the same for monitor: give one of them")
    report = project.monitor(selection, start=start, until=end if until is None else until, workers=workers)
    output.document(monitor_document(report))
    say_monitoring(output, report)
    output.line(f"next:   {command_line(project, 'train' if report.requests else 'report')}")
    return report.failure.exit_code if report.failure else 0


def say_monitoring(output: Output, report: MonitorReport) -> None:
    """Print what a monitoring batch found, worst first."""
    looked = plural(report.windows, "window") if report.windows else "no new window"
    span = f" of {report.span}" if report.span is not None and report.windows else ""
    output.line(f"monitored {looked}{span} in {length(report.seconds)}")
    counts = Counter(state.state for state in report.states)
    if counts:
        output.line("checks: " + ", ".join(f"{count:,} {state}" for state, count in _in_order(counts)))
    if report.age is not None:
        output.line(f"note:   the newest window of the fleet ended {report.age.days:,} days ago: so it stood then")
    still = [alarm for alarm in report.opened if alarm.closed is None]
    _say_alarms(output, "new alarms", still, lambda alarm: alarm.reason)
    _say_alarms(
        output, "closed", [one for one in report.closed if one not in report.opened], lambda one: one.close_reason
    )
    brief = len(report.opened) - len(still)
    if brief:
        output.line(f"{plural(brief, 'alarm')} opened and closed again within these windows")
    _say_unknown(output, report)
    if report.requests:
        units = sorted({str(request.key) for request in report.requests})
        output.line(f"to train again: {_some(units)}")
    say_misses(output, report.misses, report.traces)
    say_misses(output, report.unsent, {})
    if report.sent:
        output.line(f"{plural(report.sent, 'message')} sent")
    output.line(f"facts:  {report.path if '://' in report.path else shown_path(Path(report.path))}")
    if report.metrics is not None:
        output.line(f"metrics: {shown_path(report.metrics)}")


def monitor_document(report: MonitorReport) -> dict[str, Any]:
    """Return a monitoring report as plain values."""
    return {
        "batch": report.batch,
        "path": report.path,
        "metrics": report.metrics,
        "start": report.span.start if report.span else None,
        "end": report.span.end if report.span else None,
        "windows": {"looked_at": report.windows, "written": report.written},
        "counts": dict(_in_order(Counter(state.state for state in report.states))),
        "opened": [asdict(alarm) for alarm in report.opened],
        "closed": [asdict(alarm) for alarm in report.closed],
        "requests": [asdict(request) for request in report.requests],
        "states": [asdict(state) for state in report.states],
        "messages": report.sent,
        "failed": misses_document(report.misses),
        "not_handed_on": misses_document(report.unsent),
        "seconds": report.seconds,
        **error_document(report.failure, (*report.unsent, *report.misses)),
    }


def _in_order(counts: Counter[Any]) -> Iterable[tuple[str, int]]:
    from datadriver.tracking.monitor_records import HEALTHS

    return [(state, counts[state]) for state in HEALTHS if counts[state]]


def _say_alarms(output: Output, title: str, alarms: Sequence[Alarm], why: Any) -> None:
    if not alarms:
        return
    output.line(f"{title}:")
    for alarm in alarms[:_SHOWN]:
        output.line(f"  {_subject(alarm)}  {alarm.check}  [{alarm.severity}]")
        output.line(f"    {why(alarm)}")
    if len(alarms) > _SHOWN:
        output.line(f"  and {len(alarms) - _SHOWN:,} more: see --json")


def _say_unknown(output: Output, report: MonitorReport) -> None:
    """Say for each check how often it could not be judged, and why the first time."""
    first: dict[str, CheckState] = {}
    unknown = [state for state in report.states if state.state == "unknown"]
    counts = Counter(state.check for state in unknown)
    for state in unknown:
        first.setdefault(state.check, state)
    if unknown:
        output.line("could not be judged:")
    for check, count in counts.most_common():
        output.line(f"  {check}, {plural(count, 'time')}; {_subject(first[check])}: {first[check].reason}")


def _subject(alarm: Alarm | CheckState) -> str:
    from datadriver.monitoring.facts import Subject

    return str(Subject(alarm.asset, alarm.unit, alarm.model))


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:6]) + (f", … {len(names) - 6:,} more" if len(names) > 6 else "")
