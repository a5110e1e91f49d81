"""`usecase.yaml` as frozen pydantic models: one model per section, unknown keys forbidden.

Field descriptions are the configuration reference: `docs/reference/config.md` is generated from them.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import Field

from datadriver.config.monitor_section import Monitor
from datadriver.config.package_section import Package
from datadriver.config.schedule_section import Schedule
from datadriver.config.section import Action, Number, Recipe, Section, Severity, Stage
from datadriver.config.values import AmountField, Duration, Reference, Size, Span


class SqlTable(Section):
    """A table or query of a database that SQLAlchemy can open."""

    uri: str
    """SQLAlchemy URL, for example `postgresql+psycopg://user:${PASSWORD}@host/plant`."""
    query: str | None = None
    """SQL text; may use `:asset_id`, `:start` and `:end`."""
    table: str | None = None
    """Table name, instead of `query`."""


class GlobAssets(Section):
    """Assets found from file names."""

    glob: str
    """Pattern with one `*` that stands for the asset id, for example `data/*.csv`."""


class SourceAssets(Section):
    """Assets found as the distinct values of a source's asset column (or from its file names)."""

    source: str
    """Name of the source."""


class SqlAssets(Section):
    """Assets listed by a database."""

    sql: SqlTable
    """Table or query with one row per asset."""


class Fleet(Section):
    """Which assets there are, and their attributes."""

    assets: str | GlobAssets | SourceAssets | SqlAssets
    """`fleet.csv`, a Parquet file, `python:module:function` (returns a DataFrame), or a section."""
    id: str = "asset_id"
    """Column that identifies an asset. Its values are kept as text, exactly as written."""


class LongLayout(Section):
    """Names of the two columns of a long table."""

    tag: str
    """Column with the tag's name."""
    value: str
    """Column with the tag's value."""


class Long(Section):
    """A table with one row per tag and instant."""

    long: LongLayout


class Times(Section):
    """What to do with stamps that are not one clean increasing clock; each case is counted."""

    order: Literal["sort", "drop", "reject"] = "sort"
    """Rows earlier than a row before them: sort them in, drop them, or reject the asset."""
    duplicates: Literal["last", "first", "mean", "reject"] = "last"
    """Rows with the same stamp: which one counts."""
    ambiguous: Literal["infer", "earlier", "later", "drop"] = "infer"
    """Naive stamps in the hour that clocks repeat in autumn; `infer` uses the order of the rows, and takes the
    earlier instant where that says nothing."""
    nonexistent: Literal["shift", "drop"] = "shift"
    """Naive stamps in the hour that clocks skip in spring."""
    future: Literal["drop", "keep"] = "drop"
    """Rows with `known_at` that speak of a later instant, such as planned work: `drop` lets them count from their own
    instant on, `keep` as soon as they are known."""


class Tag(Section):
    """One measured quantity of a source."""

    source_name: str | None = Field(default=None, alias="from")
    """The tag's name in the source; default: the name here."""
    unit: str | None = None
    """Physical unit, shown in messages and reports."""
    nulls: tuple[str | Number, ...] = ()
    """Values that mean "no value", for example `["Bad Input", -273.2]`. Text among numbers is always null; text
    that is not listed here is counted as `unexpected_text`."""
    range: tuple[Number | None, Number | None] | None = None
    """Physically possible values `[low, high]`, either may be null; values outside become null and are counted."""
    fill: Literal["hold", "none"] = "hold"
    """`hold` keeps the last value, no longer than the source's `max_gap`; `none` leaves the bin empty."""
    aggregate: Literal["mean", "median", "min", "max", "sum", "first", "last", "std", "count"] = "mean"
    """How the readings of one bin become one value."""
    optional: bool = False
    """An optional tag that the source lacks becomes an all-null column instead of an error."""
    role: Literal["sensor", "label", "meta"] = "sensor"
    """Labels and meta columns never become features unless a feature function asks for them by name."""
    type: Literal["number", "text"] = "number"
    """`text` keeps the value as text (a label, a maintenance kind); its aggregate is `last`."""


class Source(Section):
    """A table of measurements: where it is and how to read it."""

    format: Literal["parquet", "csv", "sql", "python"] | None = None
    """Default: from the path's suffix (a directory is Parquet)."""
    path: str | None = None
    """File, directory or fsspec URL; `{asset_id}` and attributes such as `{country}` are filled in per asset."""
    uri: str | None = None
    """For `sql`: the SQLAlchemy URL."""
    table: str | None = None
    """For `sql`: the table (`schema.table` is understood)."""
    query: str | None = None
    """For `sql`: SQL text instead of a table, with `:asset_id`, `:start` and `:end`."""
    function: Reference | None = None
    """For `python`: `module:function`, called as `function(asset, start, end)`, returns a DataFrame."""
    index: str
    """Column with the instant (or the integer step)."""
    asset: str | None = None
    """Column with the asset id, where one table holds many assets. A source with neither this column nor
    `{asset_id}` in its path is shared by all assets (weather, a plant meter)."""
    known_at: str | None = None
    """Column with the time a row became known, where that is later than its instant."""
    timezone: str | None = None
    """Zone of naive stamps in this source; default: `data.timezone`."""
    layout: Literal["wide"] | Long = "wide"
    """`wide`: a column per tag. `{long: {tag: name, value: reading}}`: a row per tag and instant."""
    options: dict[str, Any] = {}
    """Passed to the reader: to pandas.read_csv for csv, pyarrow.dataset for parquet, create_engine for sql, the
    function for python; `storage_options` go to fsspec. For stamps: `date_format` (of strftime), `epoch` (s, ms, us
    or ns, where they are numbers), `offsets: ignore` (where a written offset is wrong)."""
    tags: dict[str, Tag] | None = None
    """Tags to read; default: every column of numbers under its own name. A column of text is one if most of it is
    numbers; the rest of it, such as "Bad Input", is null and counted."""
    times: Times = Times()
    """Policy for stamps that are not one clean clock."""
    max_gap: Span | None = None
    """Longest time a value is held; default: one bin (no hold beyond it)."""
    join: Literal["bin", "asof", "none"] = "bin"
    """`bin`: aggregate the readings of each bin. `asof`: the last row known at each instant, under `source.column`
    names unless tags are given. `none`: not part of the sensor frame; an event table for targets."""


class Data(Section):
    """The sources and the one clock that they are aligned to."""

    index: Literal["time", "step"] = "time"
    """`time`: instants. `step`: integers, for example engine cycles."""
    timezone: str = "UTC"
    """Zone of naive stamps."""
    resolution: Literal["native"] | Span = "native"
    """Length of a bin; bins are closed and labelled on the right. `native`: the instants of the first source."""
    sources: dict[str, Source]
    """The tables, by name; the first is the main one."""
    mask: Reference | None = None
    """Function `frame -> boolean Series`: the rows that count (no shutdowns, no post-failure)."""


class OnBreach(Section):
    """What a breach of each severity leads to, by stage."""

    train: Action | dict[Severity, Action] = "reject"
    """For training: one action for critical breaches, or an action per severity."""
    score: Action | dict[Severity, Action] = "warn"
    """For scoring."""

    def action(self, stage: Stage, severity: Severity) -> Action:
        """Return what a breach of this severity leads to; unless said otherwise warning warns, info is ignored."""
        defaults: dict[Severity, Action] = {"critical": "reject", "warning": "warn", "info": "ignore"}
        said: Action | dict[Severity, Action] = getattr(self, stage)
        if isinstance(said, str):
            return said if severity == "critical" else defaults[severity]
        return {**defaults, **said}[severity]


class Contract(Section):
    """The expectations that a sensor frame must meet."""

    suite: str | None = None
    """A Great Expectations suite as JSON."""
    on_breach: OnBreach = OnBreach()
    """What a breach leads to."""
    parameters: dict[str, Any] = {}
    """Values for `{"$PARAMETER": "name"}` in the suite; cohorts change them through `overrides`."""


class Target(Recipe):
    """What a model predicts."""

    column: str | None = None
    """A tag: the value itself (regression), the class (classification) or the label (anomaly)."""
    events: str | None = None
    """A source with `join: none`, one row per event: the class is "an event follows within the horizon"."""
    horizon: Span | None = None
    """How far ahead an event counts; may be a grid variable such as `{horizon}`."""
    min_events: Annotated[int, Field(ge=1)] = 1
    """Fewest positive rows or events in the training part; fewer reject the instance with that reason."""
    positive: tuple[str | Number, ...] | None = None
    """Values of `column` that count as the positive class; default: every non-zero value. For anomaly: the values
    that are known anomalies, kept out of the fit and used to judge."""


class WindowSection(Recipe):
    """How much history a fit and a score read."""

    train: Span | None = None
    """History that a fit reads, up to `--until` or the end of the data; default: all of it."""
    lookback: Span = 0
    """History read before a window so that features have it; its rows are never scored or fitted."""
    min_rows: Annotated[int, Field(ge=1)] = 50
    """Fewest rows left for the fit, after mask, target and split; fewer reject the instance."""


class Evaluate(Recipe):
    """How a model is judged."""

    split: Literal["time", "group", "random"] = "time"
    """`time`: the last part. `group`: whole assets. `random`: rows, chosen by a stable hash of instant and asset."""
    holdout: AmountField | None = None
    """Size of the holdout as duration, share or rows; default 20%. With `group` a share of the groups."""
    train: AmountField | None = None
    """Size of the training part instead; everything after it is the holdout."""
    embargo: Span | Literal["horizon"] | None = None
    """Rows left out of the fit next to the holdout; `horizon` is the target's."""
    group: str = "asset_id"
    """For `group`: the attribute whose values stay together."""
    metrics: tuple[str, ...] = ()
    """Names of metrics, or `module:function(y_true, y_score, frame) -> float`; default: the problem's own."""
    primary: str | None = None
    """The metric that decides; default: the first."""
    pooled: tuple[str, ...] = ()
    """Metrics computed once over the holdouts of all instances of the model, shown on the parent run."""


class Promote(Recipe):
    """When a challenger replaces the champion."""

    beats: tuple[Literal["baseline", "champion"], ...] = ("baseline", "champion")
    """What a model must beat on the primary metric. A model that loses to its baseline leaves the baseline serving."""
    approval: Literal["auto", "manual"] = "auto"
    """`manual`: `train` and `run` never promote; `datadriver promote` does."""
    margin: Annotated[float, Field(ge=0)] = 0.0
    """Relative improvement on the primary metric that counts as beating, 0.02 is 2%."""


class Quantile(Recipe):
    """A threshold taken from the scores on the training part."""

    quantile: Annotated[float, Field(gt=0, lt=1)]


class Alarm(Recipe):
    """When a model's score is an alarm."""

    on: Literal["residual", "score"] = "score"
    """What is compared: the absolute residual or the score."""
    above: Quantile | Number
    """A number, or `{quantile: 0.999}` of the training part."""
    for_: Span | None = Field(default=None, alias="for")
    """How long it must stay above."""


class Model(Recipe):
    """A named recipe: one instance of it per unit."""

    problem: str
    """`regression`, `classification` or `anomaly`."""
    fit: Literal["asset", "fleet"] | tuple[str, ...] = "asset"
    """What one fit covers: an asset, the fleet, or the assets that share these attributes."""
    where: str | None = None
    """Expression over attributes: which assets have this model, for example `type == "ESP" and depth_m > 1000`."""
    target: Target | None = None
    """What is predicted; optional for anomaly."""
    features: Reference | None = None
    """Function `frame -> DataFrame` of features with the same index; default: every sensor tag but the target."""
    estimator: Reference
    """Function that returns an unfitted scikit-learn estimator."""
    params: dict[str, Any] = {}
    """Arguments of the estimator function."""
    baseline: Reference
    """Function that returns the simple estimator which the model must beat."""
    baseline_params: dict[str, Any] = {}
    """Arguments of the baseline function."""
    window: WindowSection = WindowSection()
    evaluate: Evaluate = Evaluate()
    promote: Promote = Promote()
    alarm: Alarm | None = None
    """When a score is an alarm."""
    grid: dict[str, tuple[str | Number, ...]] = {}
    """One model per combination of values; `{name}` stands for the value anywhere in this section."""


class Override(Section):
    """Settings that a cohort has differently."""

    where: str
    """Expression over attributes."""
    set: dict[str, Any]
    """Dotted paths and values, for example `models.failure.window.train: 180d`; `models.*.…` means every model."""


class Tracking(Section):
    """Where MLflow keeps runs and artefacts."""

    uri: str = "sqlite:///.datadriver/mlflow.db"
    """MLflow tracking URI; relative SQLite paths are relative to the use case."""
    artifacts: str = ".datadriver/artifacts"
    """Where MLflow stores artefacts, for a tracking store that is a database; for a server, where they wait for it."""
    trusted_types: tuple[str, ...] = ()
    """Types beyond scikit-learn's own and the use case's that a stored model may contain, by full name."""
    plots: bool = True
    """Whether runs carry plots."""


class Ledger(Section):
    """Where datadriver keeps what was asked, done, rejected and released."""

    uri: str = "sqlite:///.datadriver/ledger.db"
    """SQLAlchemy URL of SQLite or PostgreSQL."""


class Workers(Section):
    """The processes that train, judge and score, one job (all that is due for one unit) at a time."""

    timeout: Duration = Field(default=timedelta(hours=1), json_schema_extra={"default": "1h"})
    """Longest time for one job; then its process is ended, and the rest of the fleet goes on."""
    memory: Size | None = None
    """Most memory that one process may use, such as `2GB`; a job that needs more is ended. Default: an equal share of
    the machine's (or the container's) memory."""


class Scores(Section):
    """Where batch scores go and what a bare `datadriver score` covers."""

    path: str = ".datadriver/scores"
    """Directory (or fsspec URL) of the partitioned Parquet dataset."""
    window: Span | None = None
    """How far back the first score of an instance reaches; default: `7d`, or all of it where `data.index` is `step`.
    Later ones continue where the last one ended."""


class UseCase(Section):
    """One use case: everything that `usecase.yaml` says."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{1,47}$")]
    """Lower-case letters, digits and underscores; also the name of the Python package under `src/`."""
    description: str = ""
    """One sentence for people."""
    fleet: Fleet
    data: Data
    contract: Contract = Contract()
    models: Annotated[dict[str, Model], Field(min_length=1)]
    """The recipes, by name."""
    overrides: tuple[Override, ...] = ()
    """Applied in order, after the file and its environment."""
    schedule: Schedule = Schedule()
    monitor: Monitor = Monitor()
    package: Package = Package()
    tracking: Tracking = Tracking()
    ledger: Ledger = Ledger()
    scores: Scores = Scores()
    workers: Workers = Workers()
    seed: int = 0
    """Seed of everything random; part of the result key."""
    environments: dict[str, dict[str, Any]] = {}
    """Overlays by name, chosen with `--env`."""

    @property
    def monitor_window(self) -> timedelta | int:
        """Length of a monitoring window: the one that is given, or a day (100 steps) in whole bins."""
        if self.monitor.window is not None:
            return self.monitor.window
        resolution = self.data.resolution
        if self.data.index == "step":
            return -(-100 // resolution) * resolution if isinstance(resolution, int) and resolution > 0 else 100
        day = timedelta(days=1)
        return -(-day // resolution) * resolution if isinstance(resolution, timedelta) and resolution else day
