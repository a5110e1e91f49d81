"""What a training hands to the layers above: plain frozen data, nothing that refers to files or servers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import pandas as pd

from datadriver.data.window import Instant, Window

Role = Literal["model", "baseline"]
Method = Literal["predict", "predict_proba"]


@dataclass(frozen=True)
class Seen:
    """The rows that a version may have been fitted on; every other row is fair to judge it by.

    A row was possibly seen if its instant is not after `until`, its group is one of `groups` (none
    named: any), and, for a random split, its hash under `seed` is not below `share`.
    """

    until: Instant | None = None
    groups: tuple[str, ...] = ()
    random: bool = False
    share: float = 0.0
    seed: int = 0
    group: str = "asset_id"

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values, which `from_json` reads back."""
        until = self.until.isoformat() if isinstance(self.until, pd.Timestamp) else self.until
        return {**asdict(self), "until": until, "groups": list(self.groups)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Seen:
        """Read back what `to_json` wrote."""
        until = data.get("until")
        return cls(
            **{
                **data,
                "until": pd.Timestamp(until) if isinstance(until, str) else until,
                "groups": tuple(data.get("groups", ())),
            }
        )


@dataclass(frozen=True)
class Incumbent:
    """The champion that a challenger must beat, as loaded from its artefact."""

    version: str
    estimator: Any
    seen: Seen
    role: str = "model"

    @property
    def method(self) -> Method:
        """How it is asked for a score; stored estimators answer `predict` unless they know probabilities."""
        return "predict_proba" if hasattr(self.estimator, "predict_proba") else "predict"


@dataclass(frozen=True)
class Decision:
    """Whether the new version should replace the champion, and why in words with figures.

    `better` is True if it beats all that `promote.beats` names, False if it does not, and None if that
    cannot be judged (the primary metric is missing, or the champion has seen the holdout). Only True
    promotes.
    """

    better: bool | None
    reason: str


@dataclass(frozen=True)
class TrainResult:
    """One training of one instance: the version that serves, what it was judged on, and all that explains it."""

    unit: str
    model: str
    role: Role
    """Which of the two is the version: the model, unless it lost to its baseline."""
    estimator: Any
    """The fitted estimator that serves."""
    method: Method
    """How it is asked for a score; of `predict_proba` the last column is the score."""
    features: tuple[tuple[str, str], ...]
    """Names and dtypes of the feature columns, in order."""
    metrics: Mapping[str, Mapping[str, float]]
    """`model` and `baseline` on the holdout; with a champion, `champion` and `challenger` (the version) on the
    part of it that the champion has not seen. A metric that cannot be computed is absent, and `warnings` says why."""
    primary: str
    greater_is_better: bool
    decision: Decision
    rows: Mapping[str, int]
    """Counts: read, masked, empty, unlabelled, embargoed, fit, holdout, positive, events, ..."""
    train_window: Window
    holdout_window: Window
    seen: Seen
    threshold: float | None
    """Alarm threshold, in the unit of the score (or of the absolute residual)."""
    reference: Mapping[str, Any]
    """JSON-able quantiles of the features and scores of the training part, for drift checks later."""
    holdout: pd.DataFrame | None
    """Columns `y_true`, `y_score`; index (asset_id, instant). None once it left the worker, unless it is pooled."""
    plots: Mapping[str, bytes]
    """PNG files by name."""
    params: Mapping[str, Any]
    frame_digest: str
    result_key: str
    warnings: tuple[str, ...] = ()
    seconds: float = 0.0
