"""What a scheduler leaves behind: proposals of releases, refusals, failed tasks, requests that were passed on."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def _texts(*names: str, nullable: bool = False) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text, nullable=nullable) for name in names]


def _of_version(name: str) -> sa.ForeignKeyConstraint:
    columns = ["unit", "model", "version"]
    return sa.ForeignKeyConstraint(columns, [f"versions.{column}" for column in columns], name=name)


def upgrade() -> None:
    """Make the tables, and the columns of requests."""
    op.create_table(
        "proposals",
        sa.Column("id", sa.Integer, primary_key=True),
        *_texts("name", "at"),
        sa.Index("proposals_name", "name", "id"),
    )
    op.create_table(
        "proposal_items",
        sa.Column("proposal", sa.Integer, sa.ForeignKey("proposals.id"), nullable=False),
        *_texts("unit", "model"),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("previous_version", sa.Integer),
        *_texts("approval", "reason"),
        sa.PrimaryKeyConstraint("proposal", "unit", "model"),
        _of_version("proposal_of_version"),
    )
    op.create_table(
        "refusals",
        *_texts("unit", "model"),
        sa.Column("version", sa.Integer, nullable=False),
        *_texts("by", "reason", "at"),
        sa.PrimaryKeyConstraint("unit", "model", "version"),
        _of_version("refusal_of_version"),
    )
    op.create_table(
        "task_failures",
        sa.Column("id", sa.Integer, primary_key=True),
        *_texts("dag_id", "run_id", "task_id"),
        sa.Column("try_number", sa.Integer, nullable=False),
        *_texts("kind", "subject"),
        sa.Column("assets", sa.JSON, nullable=False),
        sa.Column("exit_code", sa.Integer),
        *_texts("reason"),
        *_texts("url", "owner", nullable=True),
        *_texts("at"),
        *_texts("closed_at", nullable=True),
        sa.UniqueConstraint("dag_id", "run_id", "task_id", "try_number", name="task_failures_once"),
        sa.Index("task_failures_open", "closed_at", "dag_id"),
    )
    op.create_table(
        "failure_notices",
        sa.Column("failure", sa.Integer, sa.ForeignKey("task_failures.id"), nullable=False),
        *_texts("receiver", "event", "at"),
        sa.PrimaryKeyConstraint("failure", "receiver", "event"),
        sa.CheckConstraint("event IN ('opened', 'closed')", name="failure_notices_event"),
    )
    op.create_table("message_turns", sa.Column("receiver", sa.Text, primary_key=True), *_texts("at"))
    op.add_column("retrain_requests", sa.Column("announced", sa.Integer, nullable=False, server_default="0"))
    op.add_column("retrain_requests", sa.Column("announced_at", sa.Text))
    op.add_column("retrain_requests", sa.Column("announced_for", sa.Text))
