"""Score one asset with one champion: the same frames, features and mask as in training, for a window."""

from __future__ import annotations

from collections import OrderedDict
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

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
from datadriver.training.scoring import score_frame


def score(  # noqa: PLR0913 - all that one score depends on
    instance: Instance,
    version: Version,
    sensor: SensorFrame,
    verdict: Verdict,
    window: Window,
    *,
    champions: Champions,
    root: Path,
) -> Stretch:
    """Return the scores of the rows inside of `window`; `sensor` reaches further back, for features that look back.

    Raises:
        UseCaseError: a function of the use case failed.
        UntrustedModelError: the champion's file is not what was recorded.
    """
    estimator = champions.load(version, instance.usecase, root)
    frame = score_frame(
        instance,
        sensor,
        estimator,
        cast("Method", version.method),
        version.threshold,
        root=root,
        window=window,
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
