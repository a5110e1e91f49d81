"""What MLflow does not know yet, where it is written behind the run."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0004"
down_revision = "0003"

_JSON = sa.JSON().with_variant(JSONB(), "postgresql")


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "pending_versions",
        sa.Column("id", sa.Integer, primary_key=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("unit", "model")),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("batch", sa.Text, sa.ForeignKey("batches.id"), nullable=False),
        sa.Column("at", sa.Text, nullable=False),
        sa.Column("tried_at", sa.Text),
        sa.Column("problem", sa.Text),
        sa.UniqueConstraint("unit", "model", "version", name="pending_versions_once"),
        sa.ForeignKeyConstraint(
            ["unit", "model", "version"],
            ["versions.unit", "versions.model", "versions.version"],
            name="pending_version",
        ),
    )
    op.create_table(
        "pending_batches",
        sa.Column("batch", sa.Text, sa.ForeignKey("batches.id"), primary_key=True),
        sa.Column("run_id", sa.Text),
        sa.Column("metrics", _JSON),
        sa.Column("at", sa.Text, nullable=False),
    )
    op.create_table(
        "pending_notes",
        *(sa.Column(name, sa.Text, nullable=False) for name in ("kind", "unit", "model", "content", "at")),
        sa.Column("problem", sa.Text),
        sa.PrimaryKeyConstraint("kind", "unit", "model"),
        sa.CheckConstraint("kind IN ('aliases', 'monitoring', 'report')", name="pending_notes_kind"),
    )
