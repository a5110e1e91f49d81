"""The first tables of the ledger. Written out, so that it still makes the same tables when `schema` has moved on."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0001"
down_revision = None

_JSON = sa.JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")

_CHAMPIONS = """
CREATE VIEW champions AS
SELECT item.unit, item.model, item.version, item.release
FROM release_items AS item
JOIN (SELECT unit, model, max(release) AS release FROM release_items GROUP BY unit, model) AS newest
  ON item.unit = newest.unit AND item.model = newest.model AND item.release = newest.release
"""

_REFUSE_ON_SQLITE = """
CREATE TRIGGER {table}_no_{event} BEFORE {event} ON {table}
BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END
"""

_REFUSE_FUNCTION = """
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql
AS $$ BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME; END $$
"""

_REFUSE_ON_POSTGRESQL = """
CREATE TRIGGER {table}_no_{event} BEFORE {event} ON {table} FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
"""


def upgrade() -> None:
    """Make the tables, the view of the champions, and the triggers that keep releases append-only."""
    op.create_table("owner", sa.Column("usecase", sa.Text, primary_key=True))
    _create_work()
    _create_versions()
    _create_scores()
    op.execute(_CHAMPIONS)
    _keep_append_only("releases", "release_items")


def _text(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text, nullable=False) for name in names]


def _optional_text(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text) for name in names]


def _batch(*, nullable: bool = False) -> sa.Column[str]:
    return sa.Column("batch", sa.Text, sa.ForeignKey("batches.id"), nullable=nullable)


def _create_work() -> None:
    op.create_table(
        "batches",
        sa.Column("id", sa.Text, primary_key=True),
        *_text("command", "started_at", "alive_at", "state", "user", "host"),
        *_optional_text("finished_at", "code_revision"),
        sa.Column("pid", sa.Integer, nullable=False),
        sa.CheckConstraint("state IN ('running', 'done', 'failed', 'killed')", name="batches_state"),
    )
    op.create_table(
        "outcomes",
        sa.Column("id", sa.Integer, primary_key=True),
        _batch(),
        *_text("unit", "model", "state", "reason", "at"),
        *_optional_text("result_key", "fingerprint"),
        sa.Column("exit_code", sa.Integer, nullable=False),
        sa.Column("seconds", sa.Float, nullable=False),
        sa.CheckConstraint("state IN ('trained', 'unchanged', 'rejected', 'failed')", name="outcomes_state"),
        sa.UniqueConstraint("batch", "unit", "model", name="outcomes_once"),
    )
    op.create_index("outcomes_newest", "outcomes", ["unit", "model", "id"])
    op.create_table(
        "verdicts",
        sa.Column("id", sa.Integer, primary_key=True),
        _batch(),
        *_text("asset", "stage", "action", "reason", "at"),
        sa.Column("checks", _JSON, nullable=False),
        sa.Column("rows", sa.Integer, nullable=False),
        sa.UniqueConstraint("batch", "asset", "stage", name="verdicts_once"),
    )
    op.create_index("verdicts_newest", "verdicts", ["asset", "stage", "id"])


def _create_versions() -> None:
    op.create_table(
        "versions",
        *_text("unit", "model", "run_id", "model_uri", "path", "sha256", "result_key", "role", "method", "created_at"),
        sa.Column("version", sa.Integer, nullable=False),
        *(sa.Column(name, _JSON, nullable=False) for name in ("metrics", "seen", "decision")),
        sa.Column("threshold", sa.Float),
        sa.PrimaryKeyConstraint("unit", "model", "version"),
        sa.UniqueConstraint("unit", "model", "result_key", name="versions_once"),
    )
    op.create_table(
        "releases",
        sa.Column("id", sa.Integer, primary_key=True),
        *_text("at", "by", "action", "reason"),
        _batch(nullable=True),
        sa.CheckConstraint("action IN ('promote', 'rollback')", name="releases_action"),
    )
    op.create_table(
        "release_items",
        sa.Column("release", sa.Integer, sa.ForeignKey("releases.id"), nullable=False),
        *_text("unit", "model"),
        sa.Column("version", sa.Integer),
        sa.Column("previous_version", sa.Integer),
        sa.PrimaryKeyConstraint("release", "unit", "model"),
        sa.ForeignKeyConstraint(
            ["unit", "model", "version"],
            ["versions.unit", "versions.model", "versions.version"],
            name="release_of_version",
        ),
    )
    op.create_index("release_items_newest", "release_items", ["unit", "model", "release"])


def _create_scores() -> None:
    op.create_table(
        "scores",
        sa.Column("id", sa.Integer, primary_key=True),
        *_text("unit", "model", "asset", "verdict", "path", "at"),
        *_optional_text("window_start", "window_end", "last_instant"),
        *(sa.Column(name, sa.Integer, nullable=False) for name in ("version", "rows", "alarms")),
    )
    op.create_index("scores_of_instance", "scores", ["unit", "model", "asset", "id"])
    op.create_table(
        "score_heads",
        *_text("unit", "model", "asset"),
        sa.Column("score", sa.Integer, sa.ForeignKey("scores.id"), nullable=False),
        sa.PrimaryKeyConstraint("unit", "model", "asset"),
    )


def _keep_append_only(*tables: str) -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute(_REFUSE_FUNCTION)
        template = _REFUSE_ON_POSTGRESQL
    else:
        template = _REFUSE_ON_SQLITE
    for table in tables:
        for event in ("UPDATE", "DELETE"):
            op.execute(template.format(table=table, event=event))
