"""A function of the use case as source, for what no other reader reads."""

from __future__ import annotations

import pandas as pd

from datadriver.config.code import accepts, call
from datadriver.config.fleet import Asset
from datadriver.data.readers.origin import Origin, Query
from datadriver.data.window import Window
from datadriver.errors import ConfigError, UseCaseError


class PythonReader:
    """Calls `function(asset_id, start, end, **options)`; a parameter `attributes` gets the asset's attributes."""

    def __init__(self, origin: Origin) -> None:
        if not origin.source.function:
            raise ConfigError(f"data.sources.{origin.name}.function: missing; a python source needs a function")
        self._origin, self._function = origin, origin.source.function

    def columns(self, asset: Asset) -> tuple[str, ...]:
        """Return the names of what the function returns."""
        return tuple(str(name) for name in self._call(asset, Window()).columns)

    def read(self, query: Query) -> pd.DataFrame:
        """Return what the function returns; rows of other assets are left out where there is an asset column."""
        table = self._call(query.asset, Window(query.start, query.end))
        column = self._origin.source.asset
        if column and column in table.columns:
            table = table[table[column].astype(str) == query.asset.id]
        return table

    def extent(self, asset: Asset) -> None:  # noqa: ARG002
        """Return None: only the function knows."""
        return

    def state(self, asset: Asset) -> tuple[object, ...]:  # noqa: ARG002
        """Return the function's name: its code is part of the use case's code digest."""
        return (self._function,)

    def _call(self, asset: Asset, window: Window) -> pd.DataFrame:
        root, arguments = self._origin.root, dict(self._origin.options)
        if "attributes" in accepts(self._function, root):
            arguments["attributes"] = dict(asset.attributes)
        step = f"source {self._origin.name}"
        table = call(
            self._function, root, asset.id, window.start, window.end, asset=asset.id, step=step, arguments=arguments
        )
        if not isinstance(table, pd.DataFrame):
            raise UseCaseError(
                f"{self._origin.where(asset)}: {self._function} returned {type(table).__name__}; return a DataFrame"
            )
        index = self._origin.source.index
        if index in table.index.names and index not in table.columns:
            table = table.reset_index()
        return table.rename(columns=str)
