"""Tables of monitoring: assets looked at, states of checks, alarms, messages sent, requests to train again."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make them."""
    text, number = sa.Text, sa.Float
    check = ("asset", "unit", "model", "check")

    def required(*names: str) -> list[sa.Column[str]]:
        return [sa.Column(name, text, nullable=False) for name in names]

    def batch() -> sa.Column[str]:
        return sa.Column("batch", text, sa.ForeignKey("batches.id"), nullable=False)

    op.create_table(
        "monitored",
        sa.Column("asset", text, primary_key=True),
        batch(),
        *required("first_at", "at"),
    )
    op.create_table(
        "check_states",
        *required(*check, "state", "outcome", "severity", "window_start", "window_end"),
        sa.Column("value", number),
        sa.Column("limit", number),
        *required("measure", "about", "reason"),
        sa.Column("rows", sa.Integer, nullable=False),
        sa.Column("since", text),
        *required("recent"),
        sa.Column("version", sa.Integer),
        sa.Column("owner", text),
        sa.Column("runbook", text),
        batch(),
        *required("at"),
        sa.PrimaryKeyConstraint(*check),
        sa.CheckConstraint("state IN ('alarm', 'silenced', 'pending', 'unknown', 'ok')", name="check_states_state"),
    )
    op.create_table(
        "alarms",
        sa.Column("id", sa.Integer, primary_key=True),
        *required(*check, "severity", "opened", "reason"),
        sa.Column("closed", text),
        *required("close_reason"),
        sa.Column("owner", text),
        sa.Column("runbook", text),
        batch(),
        *required("at"),
        sa.Column("closed_at", text),
        sa.UniqueConstraint(*check, "opened", name="alarms_once"),
    )
    op.create_index("alarms_open", "alarms", ["closed"])
    op.create_table(
        "notices",
        sa.Column("alarm", sa.Integer, sa.ForeignKey("alarms.id"), nullable=False),
        *required("receiver", "event", "at"),
        sa.PrimaryKeyConstraint("alarm", "receiver", "event"),
        sa.CheckConstraint("event IN ('opened', 'closed')", name="notices_event"),
    )
    op.create_table(
        "retrain_requests",
        *required("unit", "model", "reason", "asset", "check", "opened"),
        batch(),
        *required("at"),
        sa.PrimaryKeyConstraint("unit", "model", "asset", "check", "opened"),
    )
