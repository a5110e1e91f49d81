"""How far an asset's data go, and whether they changed, without reading more than needed."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pandas as pd

from datadriver.config.fleet import Asset
from datadriver.config.sections import UseCase
from datadriver.data.clock import Instants, read_instants
from datadriver.data.readers import Given, Origin, Query, joined, open_reader, origin
from datadriver.data.readings import dial
from datadriver.data.window import Instant, Window, as_number, from_number
from datadriver.errors import DataError, nearest


def extent(
    usecase: UseCase, asset: Asset, root: Path, *, until: Instant | None = None, given: Given | None = None
) -> Window:
    """Return the window that holds all readings of the main source, up to `until` where given.

    Footers of Parquet files and minima of SQL tables answer where they can; otherwise the index column is read.

    Raises:
        DataError: if the asset has no data.
    """
    main = joined(usecase, root, given or {})[0]
    reader = open_reader(main)
    ends = reader.extent(asset)
    stamps = _instants(main, asset, pd.Series(list(ends), name=main.source.index)) if ends else None
    if stamps is None or not stamps.valid.all() or (until is not None and stamps.numbers.max() >= as_number(until)):
        table = reader.read(Query(asset, columns=_fixed(main), text=_fixed(main), end=None))
        if main.source.index not in table.columns:
            known = nearest(main.source.index, reader.columns(asset))
            raise DataError(f"{main.where(asset)}: there is no column {main.source.index!r}{known}")
        stamps = _instants(main, asset, table[main.source.index])
    numbers = stamps.numbers[stamps.valid]
    if until is not None:
        numbers = numbers[numbers < as_number(until)]
    if not len(numbers):
        before = f" before {until}" if until is not None else ""
        raise DataError(f"{main.where(asset)}: the asset has no data{before}; check `path`, `asset` and the asset's id")
    first, last = int(np.min(numbers)), int(np.max(numbers))
    return Window(from_number(first, main.kind), from_number(last + 1, main.kind))


def _fixed(main: Origin) -> frozenset[str]:
    return frozenset(name for name in (main.source.index, main.source.asset) if name)


def _instants(main: Origin, asset: Asset, column: pd.Series) -> Instants:
    return read_instants(column, dial(main, asset))


def fingerprint(usecase: UseCase, asset: Asset, root: Path) -> str:
    """Return a digest that changes when an asset's data may have changed; as a rule no rows are read.

    An asset's own files count by name, size and time of change, SQL tables by number of rows and greatest stamp; what
    a Python source would return is not looked at, its code is part of the use case's code digest. A file that holds
    many assets is read once whenever its size or time has changed, and counts by the asset's rows: those of another
    asset make nothing due. A value that changed behind an unchanged size and time is not seen.
    """
    states = {name: open_reader(origin(usecase, name, root)).state(asset) for name in sorted(usecase.data.sources)}
    return hashlib.sha256(json.dumps(states, sort_keys=True, default=str).encode()).hexdigest()
