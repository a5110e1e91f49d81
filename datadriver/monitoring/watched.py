"""What an asset's health is measured on: its own sensors, their readings, and the windows, as plain arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from datadriver.config.sections import Source, Tag, UseCase
from datadriver.data.frame import SensorFrame
from datadriver.data.spans import bin_size
from datadriver.data.window import Window, as_number
from datadriver.monitoring.facts import Subject
from datadriver.monitoring.rows import Cut, Flags, Floats, Ints, Kind, instants_of


@dataclass(frozen=True)
class Watched:
    """One asset's frame and the windows to judge.

    Attributes:
        sensor: the frame; its first rows may be before the first window.
        windows: the windows, both ends given.
        usecase: with the overrides of the asset applied.
        running: which rows of the frame are in operation.
        tags: the columns that are watched: sensors that are binned, not joined as of some earlier time.
    """

    sensor: SensorFrame
    windows: Sequence[Window]
    usecase: UseCase
    running: Flags
    tags: tuple[str, ...]

    @classmethod
    def of(cls, sensor: SensorFrame, windows: Sequence[Window], usecase: UseCase, mask: pd.Series | None) -> Watched:
        """Return what is watched of a frame; without a mask it is always in operation."""
        frame = sensor.frame
        running = np.ones(len(frame), dtype=bool)
        if mask is not None:
            running = mask.reindex(frame.index, fill_value=False).to_numpy(dtype=bool)
        joined = _joined(usecase)
        tags = tuple(
            name
            for name in map(str, frame.columns)
            if sensor.roles.get(name, "sensor") == "sensor" and not _is_joined(name, joined)
        )
        return cls(sensor, windows, usecase, running, tags)

    @property
    def subject(self) -> Subject:
        """The asset."""
        return Subject(self.sensor.asset.id)

    @property
    def kind(self) -> Kind:
        """Kind of the index."""
        return self.usecase.data.index

    @cached_property
    def cut(self) -> Cut:
        """The windows as numbers."""
        return Cut.of(self.windows)

    @cached_property
    def at(self) -> Ints:
        """Instants of the frame's rows."""
        return instants_of(self.sensor.frame.index)

    @property
    def since(self) -> int | None:
        """From where on the asset was read; None where there is neither a start nor a row."""
        if self.sensor.window.start is not None:
            return as_number(self.sensor.window.start)
        return int(self.at[0]) if len(self.at) else None

    @cached_property
    def declared(self) -> Mapping[str, tuple[str, Tag]]:
        """Source and declaration of the tags that `usecase.yaml` names."""
        sources = self.usecase.data.sources.items()
        return {tag: (name, declared) for name, source in sources for tag, declared in (source.tags or {}).items()}

    @property
    def required(self) -> tuple[str, ...]:
        """The tags that must be there."""
        return tuple(tag for tag in self.tags if tag not in self.declared or not self.declared[tag][1].optional)

    @property
    def own(self) -> tuple[str, ...]:
        """The tags that tell of this asset: a table that all assets share is fresh however dead a machine is."""
        shared = {name for name, source in self.usecase.data.sources.items() if is_shared(source)}
        found = tuple(tag for tag in self.tags if self.source_of(tag) not in shared)
        return found or self.tags

    def source_of(self, tag: str) -> str:
        """Return the source of a tag; one that is not declared is of the first source that declares none."""
        if tag in self.declared:
            return self.declared[tag][0]
        sources = self.usecase.data.sources
        open_ = [name for name, source in sources.items() if source.join == "bin" and source.tags is None]
        return open_[0] if open_ else next(iter(sources))

    def is_number(self, tag: str) -> bool:
        """Tell whether a tag is one of numbers."""
        return pd.api.types.is_numeric_dtype(self.sensor.frame[tag].dtype)

    def values(self, tag: str) -> Floats:
        """Return the values of a tag of numbers."""
        return self.sensor.frame[tag].to_numpy("float64", na_value=np.nan)

    def seen(self, tag: str) -> Ints:
        """Return the instants of the rows that have a value of a tag, held ones included."""
        return self.at[self.sensor.frame[tag].notna().to_numpy()]

    def readings(self, tag: str) -> Ints:
        """Return the instants of the raw readings that have a value; of a frame made otherwise those of its rows."""
        found = self.sensor.readings.get(tag)
        return self.seen(tag) if found is None else found

    @cached_property
    def bins(self) -> Floats:
        """How many rows each window should have; NaN where nobody knows.

        With `resolution: native` the median step says so, if nine of ten steps are no longer than twice the median:
        sources that report changes only have no rate.
        """
        size = bin_size(self.usecase)
        if size is not None:
            return (-(-self.cut.ends // size) - -(-self.cut.starts // size)).astype("float64")
        steps = np.diff(self.at)
        middle = float(np.median(steps)) if len(steps) else 0.0
        if middle <= 0 or float(np.quantile(steps, 0.9)) > 2 * middle:
            return np.full(len(self.windows), np.nan)
        return np.maximum((self.cut.ends - self.cut.starts) / middle, 1.0)


def is_shared(source: Source) -> bool:
    """Tell whether a source is one table for all assets, such as the weather."""
    named = any("{asset_id}" in (text or "") for text in (source.path, source.table, source.uri))
    return not (source.asset or named or source.function or ":asset_id" in (source.query or ""))


def _joined(usecase: UseCase) -> tuple[str, ...]:
    """Return the names of columns (or with a dot at the end their beginnings) that come from as-of joins."""
    names: list[str] = []
    for name, source in usecase.data.sources.items():
        if source.join == "asof":
            names += [f"{name}."] if source.tags is None else list(source.tags)
    return tuple(names)


def _is_joined(column: str, joined: Sequence[str]) -> bool:
    return any(column.startswith(name) if name.endswith(".") else column == name for name in joined)
