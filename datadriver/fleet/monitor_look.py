"""What is looked at of one asset, and what comes of it: the terms that the steps of one look share."""

from __future__ import annotations

import traceback
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd

from datadriver.config.fleet import Asset, Instance
from datadriver.config.sections import UseCase
from datadriver.data.window import Instant, Window, as_number, span_number
from datadriver.errors import UnavailableError
from datadriver.fleet.failures import explained
from datadriver.fleet.outcomes import Miss
from datadriver.monitoring.facts import Fact
from datadriver.monitoring.windows import length_of, whole_windows
from datadriver.tracking.manifests import manifest_of
from datadriver.tracking.records import Version
from datadriver.training.targets import horizon


@dataclass(frozen=True)
class Watch:
    """An instance on an asset, its champion, and where its first window may start; overrides are those of the asset."""

    instance: Instance
    champion: Version
    since: Instant


@dataclass(frozen=True)
class Look:
    """What is looked at of one asset.

    Attributes:
        usecase: with the overrides of the asset applied.
        since: where the first window of its data may start.
        end: end of the newest window at the latest.
        watches: the instances that serve it.
        ahead: stamp of its newest reading, if that is in the future.
    """

    asset: Asset
    usecase: UseCase
    since: Instant
    end: Instant
    watches: tuple[Watch, ...] = ()
    ahead: Instant | None = None

    def windows(self, since: Instant) -> tuple[Window, ...]:
        """Return the windows from an instant on."""
        return whole_windows(self.usecase, since, self.end)

    @property
    def first(self) -> Instant:
        """Where the earliest of all windows may start."""
        return min([self.since, *(watch.since for watch in self.watches)], key=as_number)


@dataclass
class Findings:
    """What came of looking at one asset; misses are what could not be done, in addition to what the facts say of it."""

    facts: list[Fact] = field(default_factory=list)
    series: pd.DataFrame | None = None
    misses: list[Miss] = field(default_factory=list)
    traces: dict[str, str] = field(default_factory=dict)

    @contextmanager
    def noting(self, name: str, on_error: Callable[[str], Sequence[Fact]]) -> Iterator[None]:
        """Turn what goes wrong in one step into a miss, and into facts that say so.

        Raises:
            UnavailableError: a source does not answer: next time it may, so nothing is said about the asset now.
        """
        try:
            yield
        except Exception as error:
            known = explained(error)
            if isinstance(known, UnavailableError):
                raise known from error
            self.misses.append(Miss(name, known.message, known.exit_code))
            self.traces[name] = traceback.format_exc()
            self.facts += on_error(known.message)


class References:
    """References of champions that were read lately: a pooled one serves many assets."""

    def __init__(self, size: int = 256) -> None:
        self._size = size
        self._kept: OrderedDict[tuple[str, str], Mapping[str, Any] | None] = OrderedDict()

    def of(self, version: Version, usecase: UseCase, root: Path) -> Mapping[str, Any] | None:
        """Return what training kept with a version, None if nothing."""
        key = (version.path, version.sha256)
        if key not in self._kept:
            manifest = manifest_of(version, usecase, root)
            self._kept[key] = None if manifest is None else manifest.get("reference")
        self._kept.move_to_end(key)
        while len(self._kept) > self._size:
            self._kept.popitem(last=False)
        return self._kept[key]


def all_of(windows: Sequence[Window]) -> Window:
    """Return the stretch from the first start to the last end of some windows in order."""
    return Window(windows[0].start, windows[-1].end)


def truth_reach(instance: Instance) -> timedelta | int:
    """Return how far before a window's start scores and labels count for its performance."""
    check = instance.usecase.monitor.checks.performance
    longest = None if check is None else check.window
    kind, ahead = instance.usecase.data.index, horizon(instance.spec.target)
    reach = span_number(longest or length_of(instance.usecase)) + span_number(ahead)
    return reach if kind == "step" else timedelta(microseconds=reach)
