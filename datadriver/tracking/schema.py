"""Tables of the ledger. A change here needs a migration in `migrations/versions` and a new `REVISION`."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

REVISION = "0006"
"""The migration that makes these tables."""

metadata = sa.MetaData()

_Json = sa.JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")
_Text = sa.Text


def _instance() -> tuple[sa.Column[str], sa.Column[str]]:
    return sa.Column("unit", _Text, nullable=False), sa.Column("model", _Text, nullable=False)


def _batch(*, nullable: bool = False) -> sa.Column[str]:
    return sa.Column("batch", _Text, sa.ForeignKey("batches.id"), nullable=nullable)


def _of_version(name: str) -> sa.ForeignKeyConstraint:
    columns = ["unit", "model", "version"]
    return sa.ForeignKeyConstraint(columns, [f"versions.{column}" for column in columns], name=name)


owner = sa.Table("owner", metadata, sa.Column("usecase", _Text, primary_key=True))

batches = sa.Table(
    "batches",
    metadata,
    sa.Column("id", _Text, primary_key=True),
    sa.Column("command", _Text, nullable=False),
    sa.Column("started_at", _Text, nullable=False),
    sa.Column("alive_at", _Text, nullable=False),
    sa.Column("finished_at", _Text),
    sa.Column("state", _Text, nullable=False),
    sa.Column("user", _Text, nullable=False),
    sa.Column("host", _Text, nullable=False),
    sa.Column("pid", sa.Integer, nullable=False),
    sa.Column("code_revision", _Text),
    sa.CheckConstraint("state IN ('running', 'done', 'failed', 'killed')", name="batches_state"),
)

outcomes = sa.Table(
    "outcomes",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    _batch(),
    *_instance(),
    sa.Column("state", _Text, nullable=False),
    sa.Column("reason", _Text, nullable=False),
    sa.Column("exit_code", sa.Integer, nullable=False),
    sa.Column("result_key", _Text),
    sa.Column("fingerprint", _Text),
    sa.Column("seconds", sa.Float, nullable=False),
    sa.Column("at", _Text, nullable=False),
    sa.CheckConstraint("state IN ('trained', 'unchanged', 'rejected', 'failed')", name="outcomes_state"),
    sa.UniqueConstraint("batch", "unit", "model", name="outcomes_once"),
    sa.Index("outcomes_newest", "unit", "model", "id"),
)

verdicts = sa.Table(
    "verdicts",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    _batch(),
    sa.Column("asset", _Text, nullable=False),
    sa.Column("stage", _Text, nullable=False),
    sa.Column("action", _Text, nullable=False),
    sa.Column("reason", _Text, nullable=False),
    sa.Column("checks", _Json, nullable=False),
    sa.Column("rows", sa.Integer, nullable=False),
    sa.Column("at", _Text, nullable=False),
    sa.UniqueConstraint("batch", "asset", "stage", name="verdicts_once"),
    sa.Index("verdicts_newest", "asset", "stage", "id"),
)

versions = sa.Table(
    "versions",
    metadata,
    *_instance(),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("run_id", _Text, nullable=False),
    sa.Column("model_uri", _Text, nullable=False),
    sa.Column("path", _Text, nullable=False),
    sa.Column("sha256", _Text, nullable=False),
    sa.Column("result_key", _Text, nullable=False),
    sa.Column("role", _Text, nullable=False),
    sa.Column("method", _Text, nullable=False),
    sa.Column("metrics", _Json, nullable=False),
    sa.Column("seen", _Json, nullable=False),
    sa.Column("threshold", sa.Float),
    sa.Column("decision", _Json, nullable=False),
    sa.Column("created_at", _Text, nullable=False),
    sa.PrimaryKeyConstraint("unit", "model", "version"),
    sa.UniqueConstraint("unit", "model", "result_key", name="versions_once"),
)

releases = sa.Table(
    "releases",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("at", _Text, nullable=False),
    sa.Column("by", _Text, nullable=False),
    sa.Column("action", _Text, nullable=False),
    sa.Column("reason", _Text, nullable=False),
    _batch(nullable=True),
    sa.CheckConstraint("action IN ('promote', 'rollback')", name="releases_action"),
)

release_items = sa.Table(
    "release_items",
    metadata,
    sa.Column("release", sa.Integer, sa.ForeignKey("releases.id"), nullable=False),
    *_instance(),
    sa.Column("version", sa.Integer),
    sa.Column("previous_version", sa.Integer),
    sa.PrimaryKeyConstraint("release", "unit", "model"),
    sa.ForeignKeyConstraint(
        ["unit", "model", "version"], ["versions.unit", "versions.model", "versions.version"], name="release_of_version"
    ),
    sa.Index("release_items_newest", "unit", "model", "release"),
)

scores = sa.Table(
    "scores",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    *_instance(),
    sa.Column("asset", _Text, nullable=False),
    sa.Column("window_start", _Text),
    sa.Column("window_end", _Text),
    sa.Column("last_instant", _Text),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("rows", sa.Integer, nullable=False),
    sa.Column("alarms", sa.Integer, nullable=False),
    sa.Column("verdict", _Text, nullable=False),
    sa.Column("path", _Text, nullable=False),
    sa.Column("at", _Text, nullable=False),
    sa.Index("scores_of_instance", "unit", "model", "asset", "id"),
)

score_heads = sa.Table(
    "score_heads",
    metadata,
    *_instance(),
    sa.Column("asset", _Text, nullable=False),
    sa.Column("score", sa.Integer, sa.ForeignKey("scores.id"), nullable=False),
    sa.PrimaryKeyConstraint("unit", "model", "asset"),
)
"""Which row of `scores` reaches furthest, per instance and asset: hourly scores are too many to search for it."""

monitored = sa.Table(
    "monitored",
    metadata,
    sa.Column("asset", _Text, primary_key=True),
    _batch(),
    sa.Column("first_at", _Text, nullable=False),
    sa.Column("at", _Text, nullable=False),
)
"""When each asset was first and last looked at, by the wall clock, whether or not it is in the fleet still."""


def _check() -> tuple[sa.Column[str], ...]:
    return (
        sa.Column("asset", _Text, nullable=False),
        *_instance(),
        sa.Column("check", _Text, nullable=False),
    )


check_states = sa.Table(
    "check_states",
    metadata,
    *_check(),
    sa.Column("state", _Text, nullable=False),
    sa.Column("outcome", _Text, nullable=False),
    sa.Column("severity", _Text, nullable=False),
    sa.Column("window_start", _Text, nullable=False),
    sa.Column("window_end", _Text, nullable=False),
    sa.Column("value", sa.Float),
    sa.Column("limit", sa.Float),
    sa.Column("measure", _Text, nullable=False),
    sa.Column("about", _Text, nullable=False),
    sa.Column("reason", _Text, nullable=False),
    sa.Column("rows", sa.Integer, nullable=False),
    sa.Column("since", _Text),
    sa.Column("recent", _Text, nullable=False),
    sa.Column("version", sa.Integer),
    sa.Column("owner", _Text),
    sa.Column("runbook", _Text),
    _batch(),
    sa.Column("at", _Text, nullable=False),
    sa.PrimaryKeyConstraint("asset", "unit", "model", "check"),
    sa.CheckConstraint("state IN ('alarm', 'silenced', 'pending', 'unknown', 'ok')", name="check_states_state"),
)
"""The newest state of each check; every window's facts are in the Parquet dataset at `monitor.path`."""

alarms = sa.Table(
    "alarms",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    *_check(),
    sa.Column("severity", _Text, nullable=False),
    sa.Column("opened", _Text, nullable=False),
    sa.Column("reason", _Text, nullable=False),
    sa.Column("closed", _Text),
    sa.Column("close_reason", _Text, nullable=False),
    sa.Column("owner", _Text),
    sa.Column("runbook", _Text),
    _batch(),
    sa.Column("at", _Text, nullable=False),
    sa.Column("closed_at", _Text),
    sa.UniqueConstraint("asset", "unit", "model", "check", "opened", name="alarms_once"),
    sa.Index("alarms_open", "closed"),
)

notices = sa.Table(
    "notices",
    metadata,
    sa.Column("alarm", sa.Integer, sa.ForeignKey("alarms.id"), nullable=False),
    sa.Column("receiver", _Text, nullable=False),
    sa.Column("event", _Text, nullable=False),
    sa.Column("at", _Text, nullable=False),
    sa.PrimaryKeyConstraint("alarm", "receiver", "event"),
    sa.CheckConstraint("event IN ('opened', 'closed')", name="notices_event"),
)
"""Who was told of which alarm; `receiver` is a digest of the URL, which may hold a secret."""

retrain_requests = sa.Table(
    "retrain_requests",
    metadata,
    *_instance(),
    sa.Column("reason", _Text, nullable=False),
    sa.Column("asset", _Text, nullable=False),
    sa.Column("check", _Text, nullable=False),
    sa.Column("opened", _Text, nullable=False),
    _batch(),
    sa.Column("at", _Text, nullable=False),
    sa.Column("announced", sa.Integer, nullable=False, server_default="0"),
    sa.Column("announced_at", _Text),
    sa.Column("announced_for", _Text),
    sa.PrimaryKeyConstraint("unit", "model", "asset", "check", "opened"),
)
"""Open until an outcome of the instance is recorded after `at`; `announced` so often to the scheduler."""

leases = sa.Table(
    "leases",
    metadata,
    *_instance(),
    _batch(),
    sa.Column("expires_at", _Text, nullable=False),
    sa.PrimaryKeyConstraint("unit", "model"),
)
"""Which batch is at work on an instance, and until when the others leave it alone."""

pending_versions = sa.Table(
    "pending_versions",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    *_instance(),
    sa.Column("version", sa.Integer, nullable=False),
    _batch(),
    sa.Column("at", _Text, nullable=False),
    sa.Column("tried_at", _Text),
    sa.Column("problem", _Text),
    sa.UniqueConstraint("unit", "model", "version", name="pending_versions_once"),
    sa.ForeignKeyConstraint(
        ["unit", "model", "version"], ["versions.unit", "versions.model", "versions.version"], name="pending_version"
    ),
)
"""Versions that MLflow does not have yet, in the order in which it gets them. From `tried_at` on it may have a part."""

pending_batches = sa.Table(
    "pending_batches",
    metadata,
    sa.Column("batch", _Text, sa.ForeignKey("batches.id"), primary_key=True),
    sa.Column("run_id", _Text),
    sa.Column("metrics", _Json),
    sa.Column("at", _Text, nullable=False),
)
"""Batches whose parent run MLflow does not have yet, or not to its end."""

pending_notes = sa.Table(
    "pending_notes",
    metadata,
    sa.Column("kind", _Text, nullable=False),
    *_instance(),
    sa.Column("content", _Text, nullable=False),
    sa.Column("at", _Text, nullable=False),
    sa.Column("problem", _Text),
    sa.PrimaryKeyConstraint("kind", "unit", "model"),
    sa.CheckConstraint("kind IN ('aliases', 'monitoring', 'report')", name="pending_notes_kind"),
)
"""What else MLflow is to be told: aliases of an instance that may have changed, monitored windows, a report's page."""

images = sa.Table(
    "images",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("place", _Text, nullable=False),
    sa.Column("repository", _Text, nullable=False),
    sa.Column("tag", _Text, nullable=False),
    sa.Column("image_id", _Text, nullable=False),
    sa.Column("digest", _Text),
    sa.Column("base", _Text, nullable=False),
    sa.Column("size", sa.Integer, nullable=False),
    _batch(),
    sa.Column("at", _Text, nullable=False),
    sa.Column("tagged", sa.Boolean, nullable=False),
    sa.Column("pruned_at", _Text),
    sa.Index(
        "images_once",
        "place",
        "repository",
        "tag",
        unique=True,
        sqlite_where=sa.text("pruned_at IS NULL"),
        postgresql_where=sa.text("pruned_at IS NULL"),
    ),
)
"""Images by the registry or engine that has them; a name stands for one image at a time."""

image_models = sa.Table(
    "image_models",
    metadata,
    sa.Column("image", sa.Integer, sa.ForeignKey("images.id"), nullable=False),
    *_instance(),
    sa.Column("version", sa.Integer, nullable=False),
    sa.PrimaryKeyConstraint("image", "unit", "model"),
    sa.ForeignKeyConstraint(
        ["unit", "model", "version"], ["versions.unit", "versions.model", "versions.version"], name="image_of_version"
    ),
    sa.Index("image_models_version", "unit", "model", "version"),
)
"""Which versions an image holds."""

proposals = sa.Table(
    "proposals",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", _Text, nullable=False),
    sa.Column("at", _Text, nullable=False),
    sa.Index("proposals_name", "name", "id"),
)
"""What the gate let through at one moment; a release that waits for approval is made of it, whatever comes after."""

proposal_items = sa.Table(
    "proposal_items",
    metadata,
    sa.Column("proposal", sa.Integer, sa.ForeignKey("proposals.id"), nullable=False),
    *_instance(),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("previous_version", sa.Integer),
    sa.Column("approval", _Text, nullable=False),
    sa.Column("reason", _Text, nullable=False),
    sa.PrimaryKeyConstraint("proposal", "unit", "model"),
    _of_version("proposal_of_version"),
)

refusals = sa.Table(
    "refusals",
    metadata,
    *_instance(),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("by", _Text, nullable=False),
    sa.Column("reason", _Text, nullable=False),
    sa.Column("at", _Text, nullable=False),
    sa.PrimaryKeyConstraint("unit", "model", "version"),
    _of_version("refusal_of_version"),
)
"""Versions that somebody did not want as champions; the gate does not propose them again."""

task_failures = sa.Table(
    "task_failures",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("dag_id", _Text, nullable=False),
    sa.Column("run_id", _Text, nullable=False),
    sa.Column("task_id", _Text, nullable=False),
    sa.Column("try_number", sa.Integer, nullable=False),
    sa.Column("kind", _Text, nullable=False),
    sa.Column("subject", _Text, nullable=False),
    sa.Column("assets", sa.JSON, nullable=False),
    sa.Column("exit_code", sa.Integer),
    sa.Column("reason", _Text, nullable=False),
    sa.Column("url", _Text),
    sa.Column("owner", _Text),
    sa.Column("at", _Text, nullable=False),
    sa.Column("closed_at", _Text),
    sa.UniqueConstraint("dag_id", "run_id", "task_id", "try_number", name="task_failures_once"),
    sa.Index("task_failures_open", "closed_at", "dag_id"),
)
"""Tasks of the scheduler that failed for good; a later success of the task closes them."""

failure_notices = sa.Table(
    "failure_notices",
    metadata,
    sa.Column("failure", sa.Integer, sa.ForeignKey("task_failures.id"), nullable=False),
    sa.Column("receiver", _Text, nullable=False),
    sa.Column("event", _Text, nullable=False),
    sa.Column("at", _Text, nullable=False),
    sa.PrimaryKeyConstraint("failure", "receiver", "event"),
    sa.CheckConstraint("event IN ('opened', 'closed')", name="failure_notices_event"),
)
"""Who was told of which failure, as `notices` has it for alarms."""

message_turns = sa.Table(
    "message_turns",
    metadata,
    sa.Column("receiver", _Text, primary_key=True),
    sa.Column("at", _Text, nullable=False),
)
"""When somebody last set out to tell a receiver of failures: of many processes that fail at once, one does."""

# A view of the newest release item of each instance, made by the migration. Who is champion is stored nowhere else.
champions = sa.table(
    "champions",
    sa.column("unit", _Text),
    sa.column("model", _Text),
    sa.column("version", sa.Integer),
    sa.column("release", sa.Integer),
)
