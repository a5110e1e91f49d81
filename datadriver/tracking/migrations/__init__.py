"""Alembic migrations of the ledger, applied when a ledger is opened."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.util import CommandError

from datadriver.errors import ConfigError
from datadriver.tracking.schema import REVISION


def upgrade(connection: sa.Connection, *, found: str | None) -> None:
    """Bring the tables behind a connection to the newest revision; `found` is the one they are at.

    Raises:
        ConfigError: a newer datadriver made the tables.
    """
    try:
        command.upgrade(configuration(connection), "head")
    except CommandError as error:
        raise ConfigError(
            f"ledger.uri: the ledger's tables are at revision {found!r}, which this datadriver (revision "
            f"{REVISION!r}) does not know; use the newer datadriver that wrote them"
        ) from error


def configuration(connection: sa.Connection) -> Config:
    """Alembic's configuration, without a file."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config
