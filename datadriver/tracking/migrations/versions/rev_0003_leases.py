"""Leases: which batch is at work on an instance, so that two engines at once do each job once."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "leases",
        sa.Column("unit", sa.Text, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("batch", sa.Text, sa.ForeignKey("batches.id"), nullable=False),
        sa.Column("expires_at", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("unit", "model"),
    )
