"""Images: what was made of which versions, where it went, and under what digest."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "images",
        sa.Column("id", sa.Integer, primary_key=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("place", "repository", "tag", "image_id")),
        sa.Column("digest", sa.Text),
        sa.Column("base", sa.Text, nullable=False),
        sa.Column("size", sa.Integer, nullable=False),
        sa.Column("batch", sa.Text, sa.ForeignKey("batches.id"), nullable=False),
        sa.Column("at", sa.Text, nullable=False),
        sa.Column("tagged", sa.Boolean, nullable=False),
        sa.Column("pruned_at", sa.Text),
    )
    there = sa.text("pruned_at IS NULL")
    name = ["place", "repository", "tag"]
    op.create_index("images_once", "images", name, unique=True, sqlite_where=there, postgresql_where=there)
    op.create_table(
        "image_models",
        sa.Column("image", sa.Integer, sa.ForeignKey("images.id"), nullable=False),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("unit", "model")),
        sa.Column("version", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("image", "unit", "model"),
        sa.ForeignKeyConstraint(
            ["unit", "model", "version"],
            ["versions.unit", "versions.model", "versions.version"],
            name="image_of_version",
        ),
    )
    op.create_index("image_models_version", "image_models", ["unit", "model", "version"])
