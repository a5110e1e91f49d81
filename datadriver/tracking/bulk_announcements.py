"""What a bulk writer is about to write, announced in the store itself, so that nothing half written is ever forgotten.

A tag of the batch's parent run holds the token of the group of trainings at hand; all ids follow from it. The
transaction that writes the rows of the group ends the announcement. While it stands, artefacts without rows are waste.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import partial

import sqlalchemy as sa
from mlflow.store.tracking.dbmodels import models

from datadriver.errors import UnavailableError
from datadriver.tracking.bulk_artefacts import Artefacts
from datadriver.tracking.bulk_database import insert, transact
from datadriver.tracking.bulk_rows import Place, place, table, timed_id
from datadriver.tracking.writer import BATCH

ANNOUNCEMENT = "datadriver.unrecorded"

_TAGS, _RUNS = table(models.SqlTag), table(models.SqlRun)


class Announcements:
    """The announcements in one experiment, whose artefacts are at `location`."""

    def __init__(self, engine: sa.Engine, artefacts: Artefacts, location: str) -> None:
        self._engine = engine
        self._artefacts = artefacts
        self._location = location

    def announce(self, parent: str, count: int) -> list[Place]:
        """Announce a group of trainings and say where its artefacts go; waste of an earlier group goes first."""
        text = f"{timed_id()} {count}"

        def work(connection: sa.Connection) -> None:
            self._clear(parent, connection)
            insert(connection, _TAGS, [{"key": ANNOUNCEMENT, "value": text, "run_uuid": parent}])

        transact(self._engine, work)
        return self._places(text)

    def hold(self, connection: sa.Connection, parent: str) -> None:
        """Keep others from clearing this announcement until the transaction ends; comes first in it.

        Raises:
            UnavailableError: it was cleared already, and the artefacts with it.
        """
        held = connection.execute(sa.update(_TAGS).where(*_of(parent)).values(value=_TAGS.c.value))
        if not held.rowcount:
            raise UnavailableError(
                "another run took this one for dead, because it had recorded nothing for hours, and removed its model "
                "files; run the command again"
            )

    def end(self, connection: sa.Connection, parent: str) -> None:
        """Say that every artefact of the group has its rows."""
        connection.execute(sa.delete(_TAGS).where(*_of(parent)))

    def clear(self, parents: Collection[str]) -> None:
        """Remove the artefacts that these batches announced and that have no rows."""
        for parent in parents:
            transact(self._engine, partial(self._clear, parent))

    def left_by(self, batches: Collection[str]) -> list[str]:
        """Parent runs of these batches whose last group is still announced."""
        batch = _TAGS.alias()
        statement = (
            sa.select(_TAGS.c.run_uuid, batch.c.value)
            .join(batch, sa.and_(batch.c.run_uuid == _TAGS.c.run_uuid, batch.c.key == BATCH))
            .where(_TAGS.c.key == ANNOUNCEMENT)
        )
        with self._engine.connect() as connection:
            return [row.run_uuid for row in connection.execute(statement) if row.value in batches]

    def _clear(self, parent: str, connection: sa.Connection) -> None:
        text = connection.execute(sa.select(_TAGS.c.value).where(*_of(parent)).with_for_update()).scalar()
        if text is None:
            return
        places = self._places(text)
        ids = [one.run_id for one in places]
        recorded = set(connection.execute(sa.select(_RUNS.c.run_uuid).where(_RUNS.c.run_uuid.in_(ids))).scalars())
        self._artefacts.clear([one for one in places if one.run_id not in recorded])
        self.end(connection, parent)

    def _places(self, text: str) -> list[Place]:
        token, count = text.split()
        return [place(self._location, token, number) for number in range(int(count))]


def _of(parent: str) -> tuple[sa.ColumnElement[bool], ...]:
    return _TAGS.c.key == ANNOUNCEMENT, _TAGS.c.run_uuid == parent
