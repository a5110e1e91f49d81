"""Score one asset with one champion: the same frames, features and mask as in training, for a window."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol, cast

import pandas as pd

from datadriver.config.fleet import Instance
from datadriver.config.sections import UseCase
from datadriver.data.contract.verdict import Verdict
from datadriver.data.frame import SensorFrame
from datadriver.data.window import Instant, Window, shift
from datadriver.serving.scores import Stretch
from datadriver.tracking.artefacts import load_version
from datadriver.tracking.records import Version
from datadriver.training.results import Method
from datadriver.training.scoring import reading_window, score_frame


class Served(Protocol):
    """What scores say of the version that made them."""

    @property
    def version(self) -> int:
        """Its number."""

    @property
    def role(self) -> str:
        """`model` or `baseline`."""

    @property
    def method(self) -> str:
        """How its estimator is asked."""

    @property
    def threshold(self) -> float | None:
        """Of its alarm."""

    @property
    def result_key(self) -> str:
        """Of its training."""


class Models(Protocol):
    """Where the estimators of champions come from."""

    def load(self, version: Version, usecase: UseCase, root: Path) -> Any:
        """Return the estimator of a version, checked before it was loaded."""


def score(  # noqa: PLR0913 - all that one score depends on
    instance: Instance,
    version: Version,
    sensor: SensorFrame,
    verdict: Verdict,
    window: Window,
    *,
    champions: Models,
    root: Path,
) -> Stretch:
    """Return the scores of the rows inside of `window`; `sensor` reaches further back, for features that look back.

    Raises:
        UseCaseError: a function of the use case failed.
        UntrustedModelError: the champion's file is not what was recorded.
    """
    estimator = champions.load(version, instance.usecase, root)
    return stretch(instance, version, estimator, sensor, verdict, window, root=root)


def stretch(  # noqa: PLR0913, PLR0917 - all that one score depends on
    instance: Instance,
    version: Served,
    estimator: Any,
    sensor: SensorFrame,
    verdict: Verdict,
    window: Window,
    *,
    root: Path,
) -> Stretch:
    """Return what `score` does, for an estimator that is at hand.

    Raises:
        UseCaseError: a function of the use case failed.
    """
    # Scores depend on the instance and its window alone, not on what else was read for other models of the asset.
    own = replace(sensor, frame=reading_window(instance, window).slice(sensor.frame))
    frame = score_frame(
        instance, own, estimator, cast("Method", version.method), version.threshold, root=root, window=window
    )
    return Stretch(
        unit=instance.unit.key,
        model=instance.model,
        asset=sensor.asset.id,
        version=version.version,
        role=version.role,
        result_key=version.result_key,
        verdict=verdict.action,
        reason=verdict.reason,
        window=window,
        frame=frame,
    )


def start_of(since: Instant | None, end: Instant | None, usecase: UseCase) -> Instant | None:
    """Return where a window without a start begins: after the last score, or `scores.window` before the end."""
    if since is not None:
        return since + 1 if isinstance(since, int) else since + _MICROSECOND
    length = usecase.scores.window
    if length is None and usecase.data.index == "time":
        length = _FIRST_SCORES
    # Nobody knows how many steps a life has: the first scores of steps are of all of it.
    return None if end is None or length is None else shift(end, -length)


def reading_of(wanted: Iterable[tuple[Instance, Window]]) -> Window:
    """Return what must be read so that every instance has its window and the lookback before it; ends are the same."""
    windows = [reading_window(instance, window) for instance, window in wanted]
    starts = [window.start for window in windows]
    return Window(None if any(start is None for start in starts) else min(starts), windows[0].end)  # type: ignore[type-var]


_MICROSECOND = pd.Timedelta(microseconds=1)
_FIRST_SCORES = timedelta(days=7)


class Champions:
    """Champions that were loaded lately, so that a pooled one is not loaded again for each asset it serves."""

    def __init__(self, size: int = 32) -> None:
        self._size = size
        self._loaded: OrderedDict[tuple[str, str], Any] = OrderedDict()

    def load(self, version: Version, usecase: UseCase, root: Path) -> Any:
        """Return the estimator of a version.

        Raises:
            UntrustedModelError: its file is not what was recorded.
            UnavailableError: its file cannot be read.
        """
        key = (version.path, version.sha256)
        if key not in self._loaded:
            self._loaded[key] = load_version(version, usecase, root)
        self._loaded.move_to_end(key)
        while len(self._loaded) > self._size:
            self._loaded.popitem(last=False)
        return self._loaded[key]
