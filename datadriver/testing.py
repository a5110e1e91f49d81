"""The checks that every use case passes, for its own tests.

    @pytest.mark.parametrize("check", checks(Path(__file__).parents[1]), ids=str)
    def test_the_use_case_keeps_the_common_promises(check: Check) -> None:
        check()

They find, on the use case's own data, what goes wrong in production without a word: features that know the future,
or need more history than `window.lookback` reads; estimators that are not the same twice, cannot be stored, or score
a row differently alone than among others. Without data they are skipped.
"""

from __future__ import annotations

import hashlib
import unittest
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from datadriver.config.code import load_reference
from datadriver.config.fleet import Asset, Instance
from datadriver.config.load import load_usecase
from datadriver.config.resolve import expand, resolve
from datadriver.config.sections import UseCase
from datadriver.data.assets import load_assets
from datadriver.data.check import check as find_problems
from datadriver.data.contract.verdict import Verdict, judge
from datadriver.data.events import read_events
from datadriver.data.frame import SensorFrame
from datadriver.data.read import read_frame
from datadriver.data.window import Window, shift
from datadriver.errors import ConfigError, DataError
from datadriver.tracking.artefacts import dump, load
from datadriver.training.features import build_features
from datadriver.training.fit import train_instance
from datadriver.training.results import TrainResult

EVERYTHING = Window()


@dataclass(frozen=True)
class Check:
    """One promise; calling it raises AssertionError, an error of datadriver, or SkipTest where there is no data."""

    name: str
    run: Callable[[], None]

    def __call__(self) -> None:
        """Check it."""
        self.run()

    def __str__(self) -> str:
        return self.name


def checks(
    root: Path,
    *,
    env: str | None = None,
    assets: int | Sequence[str] = 2,
    members: int = 20,
    window: Window = EVERYTHING,
) -> list[Check]:
    """Return the checks of one use case.

    Args:
        root: Folder with `usecase.yaml`.
        env: Environment of `usecase.yaml`.
        assets: The assets to check, or how many: the first ones of each model whose data the contract accepts.
        members: Of a pooled unit, how many assets at most are fitted together.
        window: The history to read; default: all of it.
    """
    listed = [
        Check("the configuration is right", partial(_configuration_is_right, root, env)),
        Check("the code can be imported", partial(_code_can_be_imported, root, env)),
    ]
    try:
        usecase = load_usecase(root, env=env)
        subjects = list(_subjects(usecase, root, assets, members, window))
    except (ConfigError, DataError):
        return listed  # and the first one says why
    listed += [Check(f"the contract accepts good data: {subject.instance.key}", subject.load) for subject in subjects]
    return listed + [
        Check(f"{name}: {subject.instance.key}", partial(promise, subject))
        for subject in subjects
        for name, promise in PROMISES.items()
    ]


def _configuration_is_right(root: Path, env: str | None) -> None:
    problems = find_problems(root, env)
    assert not problems, "\n".join(problems)


def _code_can_be_imported(root: Path, env: str | None) -> None:
    usecase = load_usecase(root, env=env)
    for reference in sorted(_references(usecase)):
        assert callable(load_reference(reference, root)), f"{reference} is not a function"


def _references(usecase: UseCase) -> Iterator[str]:
    """Name the functions that the use case refers to."""
    named = [usecase.data.mask, *(source.function for source in usecase.data.sources.values())]
    for model in usecase.models.values():
        named += [model.features, model.estimator, model.baseline]
    return (reference for reference in named if reference)


@dataclass(frozen=True)
class Subject:
    """An instance with its data; each thing about it is computed once for all checks.

    Attributes:
        candidates: the assets to try, in this order.
        wanted: how many of them to use.
        strict: whether every candidate must be usable.
    """

    usecase: UseCase
    instance: Instance
    root: Path
    candidates: tuple[Asset, ...]
    wanted: int
    window: Window
    strict: bool = False

    def load(self) -> None:
        """Read the data of as many assets as wanted, and let the contract judge them."""
        assert self.frames

    @cached_property
    def frames(self) -> tuple[SensorFrame, ...]:
        """Return the frames that the contract accepts."""
        accepted: list[SensorFrame] = []
        unread: list[str] = []
        rejected: list[str] = []
        for asset in self.candidates:
            try:
                sensor, verdict = self._look_at(asset)
            except DataError as error:
                unread.append(error.message)
                continue
            if verdict.action == "reject":
                rejected.append(f"{asset.id}: {verdict.reason}")
            else:
                accepted.append(sensor)
            if len(accepted) == self.wanted:
                break
        if not accepted and not rejected:
            raise unittest.SkipTest(f"there is no data yet: {unread[0] if unread else 'no assets'}")
        assert accepted, "the contract rejects all of the data:\n" + "\n".join(rejected)
        assert not (self.strict and (rejected or unread)), "\n".join([*rejected, *unread])
        return tuple(accepted)

    def _look_at(self, asset: Asset) -> tuple[SensorFrame, Verdict]:
        own = resolve(self.usecase, asset)
        sensor = read_frame(own, asset, self.window, self.root)
        return sensor, judge(sensor, own.contract, "train", self.root)

    @property
    def events(self) -> dict[str, pd.DataFrame]:
        """Return the events of the target, by asset."""
        target = self.instance.spec.target
        if target is None or target.events is None:
            return {}
        assets = [sensor.asset for sensor in self.frames]
        return {asset.id: read_events(self.usecase, target.events, asset, self.root) for asset in assets}

    @cached_property
    def features(self) -> pd.DataFrame:
        """Return the features of the first asset."""
        return self.features_of(self.frames[0])

    def features_of(self, sensor: SensorFrame) -> pd.DataFrame:
        """Return the features of a frame."""
        return build_features(self.instance, sensor, self.root)

    def train(self) -> TrainResult:
        """Train once; data that are too few to train on, such as too few failures, are no broken promise."""
        try:
            return train_instance(self.instance, self.frames, self.events, None, root=self.root)
        except DataError as error:
            raise unittest.SkipTest(error.message) from error

    @cached_property
    def result(self) -> TrainResult:
        """Return what came of the first training."""
        return self.train()


def _subjects(
    usecase: UseCase, root: Path, assets: int | Sequence[str], members: int, window: Window
) -> Iterator[Subject]:
    """Choose instances: of each model the first ones, or the ones that cover the assets asked for."""
    taken: dict[str, int] = {}
    for instance in expand(usecase, load_assets(usecase, root)):
        named = not isinstance(assets, int)
        wanted = members if instance.unit.pooled else 1
        candidates = instance.unit.assets
        if named:
            candidates = tuple(asset for asset in candidates if asset.id in assets)  # type: ignore[operator]
        elif taken.get(instance.model, 0) >= assets:  # type: ignore[operator]
            continue
        if candidates:
            taken[instance.model] = taken.get(instance.model, 0) + 1
            yield Subject(usecase, instance, root, candidates, wanted, window, strict=named)


def _features_are_the_same_twice(subject: Subject) -> None:
    again = subject.features_of(subject.frames[0])
    pd.testing.assert_frame_equal(again, subject.features, check_freq=False)


def _features_look_at_nothing_later(subject: Subject) -> None:
    sensor = subject.frames[0]
    for share in (0.3, 0.6, 0.9):
        known = sensor.frame.iloc[: max(1, int(len(sensor.frame) * share))]
        early = subject.features_of(replace(sensor, frame=known))
        _assert_close(
            early,
            subject.features.iloc[: len(known)],
            f"are other values once what comes after {known.index[-1]} is known",
        )


def _features_need_no_more_than_the_lookback(subject: Subject) -> None:
    sensor = subject.frames[0]
    lookback = subject.instance.spec.window.lookback
    for share in (0.5, 0.8):
        start = sensor.frame.index[int(len(sensor.frame) * share)]
        recent = subject.features_of(replace(sensor, frame=Window(shift(start, -lookback)).slice(sensor.frame)))
        _assert_close(
            Window(start).slice(recent),
            Window(start).slice(subject.features),
            f"are other values when history starts {lookback} before {start}; raise window.lookback",
        )


def _assert_close(found: pd.DataFrame, expected: pd.DataFrame, problem: str) -> None:
    """Compare features, numbers up to the rounding of running sums."""
    assert list(found.columns) == list(expected.columns), f"the features {problem}: {list(found.columns)}"
    for name in expected.columns:
        one, other = found[name], expected[name]
        if pd.api.types.is_numeric_dtype(other.dtype):
            scale = float(np.nanstd(other.to_numpy("float64"))) if other.notna().any() else 0.0
            same = np.isclose(
                one.to_numpy("float64"), other.to_numpy("float64"), rtol=1e-6, atol=1e-6 * scale, equal_nan=True
            )
        else:
            same = ((one == other) | (one.isna() & other.isna())).to_numpy()
        assert same.all(), (
            f"{name!r}: {int((~same).sum())} of {len(same)} {problem}, first at {other.index[(~same).argmax()]}"
        )


def _estimators_can_be_cloned(subject: Subject) -> None:
    from sklearn.base import clone  # noqa: PLC0415 - slow to import

    spec = subject.instance.spec
    for reference, params in ((spec.estimator, spec.params), (spec.baseline, spec.baseline_params)):
        estimator = load_reference(reference, subject.root)(**params)
        assert repr(clone(estimator)) == repr(estimator), f"{reference}: the clone differs"


def _training_gives_the_same_model_twice(subject: Subject) -> None:
    first, second = dump(subject.result.estimator), dump(subject.train().estimator)
    assert first == second, "two trainings on the same data gave two models; is there a random_state without a seed?"


def _the_model_survives_storage(subject: Subject) -> None:
    archive = dump(subject.result.estimator)
    loaded = load(
        archive,
        sha256=hashlib.sha256(archive).hexdigest(),
        package=subject.usecase.name,
        trusted=subject.usecase.tracking.trusted_types,
    )
    rows = subject.features.iloc[-200:]
    np.testing.assert_array_equal(_scores(subject, loaded, rows), _scores(subject, subject.result.estimator, rows))


def _a_row_scores_the_same_alone(subject: Subject) -> None:
    rows = subject.features.iloc[-20:]
    together = _scores(subject, subject.result.estimator, rows)
    alone = [_scores(subject, subject.result.estimator, rows.iloc[[place]])[0] for place in range(len(rows))]
    np.testing.assert_allclose(alone, together, rtol=1e-9, atol=1e-12)


def _scores(subject: Subject, estimator: Any, features: pd.DataFrame) -> np.ndarray:
    method = getattr(estimator, subject.result.method)
    return np.asarray(method(features)).reshape(len(features), -1)[:, -1]


PROMISES: dict[str, Callable[[Subject], None]] = {
    "features are the same twice": _features_are_the_same_twice,
    "features look at nothing later": _features_look_at_nothing_later,
    "features need no more than the lookback": _features_need_no_more_than_the_lookback,
    "estimators can be cloned": _estimators_can_be_cloned,
    "training gives the same model twice": _training_gives_the_same_model_twice,
    "the model survives storage": _the_model_survives_storage,
    "a row scores the same alone": _a_row_scores_the_same_alone,
}
"""The promises of one instance, by name."""
