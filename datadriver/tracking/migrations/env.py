"""Alembic's entry point: runs the migrations on the connection that `database.migrate` holds and has locked."""

from alembic import context

from datadriver.tracking.schema import metadata

if hasattr(context, "config"):  # only Alembic has one; doctests import this module too
    context.configure(
        connection=context.config.attributes["connection"],
        target_metadata=metadata,
        version_table="ledger_revision",
    )
    context.run_migrations()
