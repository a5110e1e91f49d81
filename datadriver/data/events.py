"""Event tables (failures, maintenance): one row per event, with the time from which it was known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from datadriver.config.fleet import Asset
from datadriver.config.sections import UseCase
from datadriver.data.clean import clean
from datadriver.data.readers import Origin, open_reader, origin
from datadriver.data.readings import Rows, load_rows, notation
from datadriver.data.window import Instant, Window, as_number, frame_index
from datadriver.errors import DataError, nearest


def read_events(
    usecase: UseCase, source: str, asset: Asset, root: Path, *, known_before: Instant | None = None
) -> pd.DataFrame:
    """Read a source's rows of one asset as they are, sorted by instant.

    Args:
        usecase: The use case, with the overrides of this asset applied.
        source: Name of the source.
        asset: The asset.
        root: Folder of the use case.
        known_before: Only rows that were known before this instant.

    Returns:
        A row per event, none for an asset without events. The index is like that of a sensor frame but may
        repeat; `known_at` is of the same kind (the event's own instant where the source has no such column);
        the other columns are the source's, or its tags where it declares some.

    Raises:
        DataError: if a column is missing or no stamp can be read.
    """
    events = origin(usecase, source, root)
    rows = load_rows(events, open_reader(events), asset, Window(None, known_before), tags_only=False)
    if known_before is not None:
        rows = rows.take(rows.at < as_number(known_before))
    rows = rows.take(np.lexsort((rows.at, rows.born)))
    columns = {"known_at": frame_index(rows.at, events.kind)} | _columns(rows, events, asset)
    return pd.DataFrame(columns, index=frame_index(rows.born, events.kind))


def _columns(rows: Rows, events: Origin, asset: Asset) -> dict[str, Any]:
    source = events.source
    if source.tags is None:
        fixed = {source.index, source.asset, source.known_at}
        return {str(name): rows.table[name].array for name in rows.table.columns if name not in fixed}
    result = {}
    for name, tag in source.tags.items():
        column = tag.source_name or name
        if column in rows.table.columns:
            result[name] = clean(
                rows.table[column], tag, source=events.name, name=name, notation=notation(events)
            ).values
        elif not tag.optional:
            raise DataError(f"{events.where(asset)}: missing {column!r}{nearest(column, map(str, rows.table.columns))}")
    return result
