"""Writes many trainings at once into the SQLite or PostgreSQL database of an MLflow store.

The order makes it safe to be killed at any moment: the group is announced, its artefacts are laid under their final
ids, then all rows and the end of the announcement are one transaction.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import ClassVar

import sqlalchemy as sa
from mlflow.store.tracking.dbmodels import models

from datadriver import failpoints
from datadriver.tracking import bulk_versions
from datadriver.tracking.bulk_announcements import Announcements
from datadriver.tracking.bulk_artefacts import Artefacts
from datadriver.tracking.bulk_database import analyze, insert, open_engine, transact
from datadriver.tracking.bulk_figures import add_figures
from datadriver.tracking.bulk_rows import RUN_TABLES, Draft, Numbered, Rows, table
from datadriver.tracking.writer import CHALLENGER, Entry, Figure, Origin, Registered

_DATA = table(models.SqlDataset)


class BulkWriter:
    """A `Writer` for stores whose database can be reached and has the tables that we know."""

    in_bulk: ClassVar[bool] = True

    def __init__(self, engine: sa.Engine, experiment_id: int, artefacts: Artefacts, location: str) -> None:
        self._engine = engine
        self._experiment_id = experiment_id
        self._artefacts = artefacts
        self._announcements = Announcements(engine, artefacts, location)

    @classmethod
    def open(cls, uri: str, experiment_id: str, location: str) -> BulkWriter | None:
        """The writer of a store, or None if it must be written through MLflow's client.

        Args:
            uri: Of the store.
            experiment_id: Of the use case's experiment.
            location: Where the experiment keeps its artefacts.
        """
        engine = open_engine(uri)
        return cls(engine, int(experiment_id), Artefacts(location, uri), location) if engine is not None else None

    def record(self, origin: Origin, entries: Sequence[Entry]) -> list[Registered]:
        """See `Writer`; all of them or none."""
        if not entries:
            return []
        places = self._announcements.announce(origin.parent, len(entries))
        failpoints.reach("results-announced")
        drafts = [Draft(entry, place) for entry, place in zip(entries, places, strict=True)]
        try:
            self._artefacts.lay(drafts)
            failpoints.reach("artefacts-laid")
            registered, waste = transact(self._engine, partial(self._write, origin, drafts))
        except BaseException:
            with suppress(Exception):  # what cannot be cleared now, the next run clears
                self._announcements.clear([origin.parent])
            raise
        if waste:
            self._announcements.clear([origin.parent])
        return registered

    def set_champions(self, versions: Mapping[str, int | None]) -> None:
        """See `Writer`."""
        transact(self._engine, lambda connection: bulk_versions.set_champions(connection, versions))

    def tag_versions(self, tags: Mapping[tuple[str, int], Mapping[str, str]]) -> set[tuple[str, int]]:
        """See `Writer`."""
        return transact(self._engine, lambda connection: bulk_versions.tag(connection, tags))

    def add_figures(self, figures: Mapping[str, Sequence[Figure]]) -> frozenset[str]:
        """See `Writer`."""
        return transact(self._engine, lambda connection: add_figures(connection, figures))

    def discard_unfinished(self, batches: Collection[str]) -> None:
        """See `Writer`."""
        self._announcements.clear(self._announcements.left_by(batches))

    def finish(self) -> None:
        """See `Writer`: refresh the statistics by which the database plans its queries."""
        tables = (*RUN_TABLES, _DATA, *bulk_versions.TABLES)
        transact(self._engine, lambda connection: analyze(connection, tables))

    def _write(
        self, origin: Origin, drafts: Sequence[Draft], connection: sa.Connection
    ) -> tuple[list[Registered], bool]:
        """Write all rows of a group; also says whether artefacts are left over, of results that were there already."""
        self._announcements.hold(connection, origin.parent)
        entries, at = [draft.entry for draft in drafts], int(time.time() * 1000)
        bulk_versions.enter_models(connection, entries, at)
        known = bulk_versions.take_over(connection, entries, at)
        new = [draft for draft in drafts if bulk_versions.same(draft.entry) not in known]
        rows = Rows(self._experiment_id, origin, at)
        numbered = self._number(connection, rows, new)
        for into, made in rows.of(numbered):
            insert(connection, into, made)
        bulk_versions.register(connection, numbered, at)
        known |= {bulk_versions.same(one.entry): one.registered for one in numbered}
        registered = [known[bulk_versions.same(entry)] for entry in entries]
        bulk_versions.point(connection, CHALLENGER, {one.name: one.number for one in registered})
        if len(new) == len(drafts):
            self._announcements.end(connection, origin.parent)
        failpoints.reach("rows-pending")
        return registered, len(new) < len(drafts)

    def _number(self, connection: sa.Connection, rows: Rows, drafts: Sequence[Draft]) -> list[Numbered]:
        """Give each draft the next number of its registered model, and the id of its data set."""
        last = bulk_versions.last_numbers(connection, {draft.entry.name for draft in drafts})
        data = self._data_ids(connection, [rows.data(draft.entry) for draft in drafts])
        numbered = []
        for draft in drafts:
            name, found = draft.entry.name, draft.entry.content.data
            last[name] += 1
            numbered.append(Numbered(draft.entry, draft.place, last[name], data[found["name"], found["digest"]]))
        return numbered

    def _data_ids(self, connection: sa.Connection, data: Sequence[Mapping[str, object]]) -> dict[tuple[str, str], str]:
        """Enter data sets, each once, and return their ids by name and digest."""
        by_key = sorted({(row["name"], row["digest"]): row for row in data}.items())
        insert(connection, _DATA, [row for _, row in by_key], skip=True)
        columns = _DATA.c
        statement = sa.select(columns.name, columns.digest, columns.dataset_uuid).where(
            columns.experiment_id == self._experiment_id, columns.name.in_({name for (name, _), _ in by_key})
        )
        return {(row.name, row.digest): row.dataset_uuid for row in connection.execute(statement)}
