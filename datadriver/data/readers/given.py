"""Rows that somebody hands over instead of having them read: one table, as the source itself would have it."""

from __future__ import annotations

import pandas as pd

from datadriver.config.fleet import Asset
from datadriver.data.readers.origin import Origin, Query


class GivenReader:
    """Gives rows out as they came; without a column of asset ids they are those of the asset that is asked for."""

    def __init__(self, origin: Origin, table: pd.DataFrame) -> None:
        self._origin, self._table = origin, table

    def columns(self, asset: Asset) -> tuple[str, ...]:
        """Return the names of the columns."""
        return tuple(str(name) for name in self._of(asset).columns)

    def read(self, query: Query) -> pd.DataFrame:
        """Return the asset's rows, with those of the wanted columns that exist."""
        table = self._of(query.asset)
        if query.columns is None:
            return table
        return table[[name for name in table.columns if name in query.columns]]

    def extent(self, asset: Asset) -> None:  # noqa: ARG002
        """Return None: the rows have to be looked at."""
        return

    def state(self, asset: Asset) -> tuple[object, ...]:  # noqa: ARG002
        """Return nothing: rows that are handed over make no training due."""
        return ()

    def _of(self, asset: Asset) -> pd.DataFrame:
        table, column = self._table.rename(columns=str), self._origin.source.asset
        if column is None:
            return table
        if column not in table.columns:
            return table.assign(**{column: asset.id})
        return table[table[column].astype(str) == asset.id]
