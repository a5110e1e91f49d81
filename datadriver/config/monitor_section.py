"""The section `monitor` of `usecase.yaml`: what is watched after release, when it is an alarm, and what follows."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema

from datadriver.config.section import Section, Severity
from datadriver.config.values import Span, Votes, format_votes, parse_fraction, parse_votes

Step = Literal["retrain", "notify"]

Fraction = Annotated[
    float,
    BeforeValidator(parse_fraction),
    WithJsonSchema({"type": ["string", "number"], "examples": ["10%", 0.9]}),
]
"""A part of a whole, `10%` or `0.1`."""

VotesField = Annotated[
    Votes,
    BeforeValidator(parse_votes),
    PlainSerializer(format_votes, return_type=str),
    WithJsonSchema({"type": "string", "pattern": r"^\d+ of \d+$", "examples": ["3 of 5"]}),
]
"""How many of the last windows must breach, `3 of 5`; the latest must be one of them."""


class Rule(Section):
    """When breaches become an alarm, who looks after it, and what follows; checks may say it differently."""

    when: VotesField = Votes(3, 5)
    """So many of the last windows breach, and the latest one does: the alarm opens."""
    clear: Annotated[int, Field(ge=1)] = 2
    """So many windows in a row hold the limit, with `margin` to spare: the alarm closes."""
    margin: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """How far inside of the limit a figure must be for its window to count towards `clear`: 0.1 is 10%."""
    owner: str | None = None
    """Who is accountable; shown with every alarm."""
    runbook: str | None = None
    """Link to what to do."""


class Check(Section):
    """What every check may say for itself; what it leaves out is as in `monitor.alarm` and `monitor.then`."""

    severity: Severity = "warning"
    """How grave an alarm of this check is."""
    when: VotesField | None = None
    """Instead of `monitor.alarm.when`."""
    clear: Annotated[int, Field(ge=1)] | None = None
    """Instead of `monitor.alarm.clear`."""
    owner: str | None = None
    """Instead of `monitor.alarm.owner`."""
    runbook: str | None = None
    """Instead of `monitor.alarm.runbook`."""
    then: tuple[Step, ...] | None = None
    """What follows, instead of `monitor.then`; without it only `drift`, `score_drift` and `performance` retrain: new
    data cannot cure a dead sensor, and a model must not learn what a failing machine looks like."""


class ModelCheck(Check):
    """A check of what a model sees and says."""

    models: tuple[str, ...] | None = None
    """Models that are checked; default: all."""
    min_rows: Annotated[int, Field(ge=2)] = 20
    """Fewest rows that a window must have to be judged; with fewer, the check says so."""


class Freshness(Check):
    """Age of the newest reading at the end of the window."""

    severity: Severity = "critical"
    max: Span | None = None
    """Oldest that the newest reading of any tag may be; default: a quarter of the window, but no less than two
    bins; the whole window where `data.resolution` is `native`."""


class Completeness(Check):
    """Share of the window's bins that have a value, of the tag that has fewest; optional tags do not count."""

    min: Fraction = 0.9
    """Smallest share."""


class Gaps(Check):
    """Longest stretch without a value of any tag that is not optional."""

    max: Span
    """Longest that may pass without one."""


class Frozen(Check):
    """Longest time that a tag stands still while the asset is in operation (`data.mask`)."""

    max: Span
    """Longest that a value may repeat."""
    tags: tuple[str, ...] | None = None
    """Tags that are checked; default: every sensor of numbers, in which it happened less in the training part."""


class OutOfRange(Check):
    """Share of a tag's readings that were outside of its `range`, and count as no value."""

    max: Fraction = 0.01
    """Largest share."""


class ContractCheck(Check):
    """Breaches of the contract, judged on the rows of the window."""

    at: Severity = "critical"
    """Breaches of this severity or a graver one count."""


class Drift(ModelCheck):
    """How unlike the training part a model's features are: PSI, and the Kolmogorov-Smirnov distance."""

    psi: Annotated[float, Field(gt=0)] | None = 0.2
    """Largest population stability index of a feature."""
    ks: Annotated[float, Field(gt=0, le=1)] | None = None
    """Largest Kolmogorov-Smirnov distance of a feature."""
    usual: Annotated[float, Field(gt=0, le=1)] | None = 0.99
    """A window breaches only if it is also more unlike than this share of the windows in the training part: one day
    is never like a year. `null`: the limit alone decides."""


class ScoreDrift(ModelCheck):
    """How unlike those of the training part a model's scores are."""

    psi: Annotated[float, Field(gt=0)] | None = None
    """Largest population stability index."""
    ks: Annotated[float, Field(gt=0, le=1)] | None = 0.1
    """Largest Kolmogorov-Smirnov distance."""
    usual: Annotated[float, Field(gt=0, le=1)] | None = 0.99
    """As in `drift`."""


class Performance(ModelCheck):
    """How much worse than on its holdout a model is, as soon as the truth is known."""

    max_drop: Fraction = 0.1
    """Largest loss on the primary metric, relative to the holdout's."""
    window: Span | None = None
    """Rows that count: those of so much time before the window's end; default: `monitor.window`."""
    min_events: Annotated[int, Field(ge=1)] = 3
    """Fewest positive rows or events for a metric of classes."""


class Alarms(ModelCheck):
    """Alarms of the models themselves: what `models.*.alarm` says of each score."""

    severity: Severity = "critical"
    max: Fraction = 0.25
    """Largest share of the window's scores that may be alarms. A machine that fails alarms most of the day; a healthy
    one, by the meaning of a quantile, now and then."""
    when: VotesField | None = Votes(2, 3)


class Checks(Section):
    """The checks; `null` switches one off. Those without a value here are off until they are given one."""

    freshness: Freshness | None = Freshness()
    completeness: Completeness | None = Completeness()
    gaps: Gaps | None = None
    frozen: Frozen | None = None
    out_of_range: OutOfRange | None = OutOfRange()
    contract: ContractCheck | None = ContractCheck()
    drift: Drift | None = Drift()
    score_drift: ScoreDrift | None = ScoreDrift()
    performance: Performance | None = Performance()
    alarms: Alarms | None = Alarms()


class Silence(Section):
    """Windows that overlap known work on the asset: they raise no alarm."""

    source: str
    """An event source with `join: none` or `asof`, such as the maintenance table."""
    before: Span = 0
    """How long before the event it is silent already."""
    lasting: Span = 0
    """How long after it."""
    until: str | None = None
    """Column with the time the work ended, instead of `lasting`."""
    where: str | None = None
    """Expression over the event's columns: which events count."""


class Notice(Section):
    """Where messages about alarms go."""

    to: str
    """A URL as Apprise reads it: `mailto://…`, `slack://…`, `msteams://…`, `json://host/hook`; secrets as `${VAR}`."""
    severity: Severity = "warning"
    """Alarms of this severity or a graver one."""
    where: str | None = None
    """Expression over attributes: alarms of these assets only."""


class Monitor(Section):
    """What is watched after release."""

    window: Span | None = None
    """Length of one monitoring window; windows start at multiples of it. Default: `1d`, or 100 steps, or what
    whole bins of `data.resolution` make of it."""
    history: Annotated[int, Field(ge=1)] = 14
    """How many windows before the newest a first run looks at."""
    path: str = ".datadriver/monitor"
    """Directory (or fsspec URL) of the Parquet datasets of facts and of the readings that reports draw."""
    metrics: str | None = ".datadriver/metrics.txt"
    """OpenMetrics text file, rewritten after every run; `null` for none."""
    checks: Checks = Checks()
    alarm: Rule = Rule()
    """When breaches become an alarm."""
    then: tuple[Step, ...] = ("retrain", "notify")
    """What follows an alarm: `retrain` makes the instance due at the next `train`, `notify` sends messages."""
    silence: tuple[Silence, ...] = ()
    """When an asset raises no alarm."""
    notify: tuple[Notice, ...] = ()
    """Who gets a message."""
