"""A small use case on disk, and builders of instances and sensor frames for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from datadriver.config.fleet import Asset, Instance, Unit
from datadriver.config.sections import UseCase
from datadriver.data.frame import SensorFrame
from datadriver.data.window import Window

FEATURES = '''
"""Features of the test plant."""
import numpy as np
import pandas as pd


def load(frame):
    return frame[["load"]]


def rolling(frame):
    return frame[["load"]].rolling("1h").mean().join(frame[["flow"]])


def with_target(frame, temperature):
    return frame[["load"]].assign(before=temperature.shift(1))


def with_asset(frame, asset):
    return frame[["load"]].assign(rated=asset["rated"])


def running(frame):
    return frame["load"] > 0.2


def series(frame):
    return frame["load"]


def short(frame):
    return frame[["load"]].iloc[1:]


def raises(frame):
    return frame["laod"]


def infinite(frame):
    return 1 / (frame[["load"]] * 0)


def mask_of_numbers(frame):
    return frame["load"]


def score_of_rows(y_true, y_score, frame):
    return float(len(frame))


def worst(y_true, y_score, frame):
    return float(abs(y_true - y_score).max())


worst.greater_is_better = False


def not_a_number(y_true, y_score, frame):
    return "good"
'''

MODELS = '''
"""Estimators of the test plant."""
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import HistGradientBoostingClassifier, IsolationForest, RandomForestRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge, SGDRegressor
from sklearn.neighbors import LocalOutlierFactor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC


def ridge(alpha=1.0):
    return make_pipeline(SimpleImputer(), StandardScaler(), Ridge(alpha=alpha))


def plain_ridge():
    return Ridge()


def mean():
    return DummyRegressor()


def forest(n_estimators=5):
    return make_pipeline(RandomForestRegressor(n_estimators=n_estimators, max_depth=3))


def seeded(random_state):
    return RandomForestRegressor(n_estimators=3, max_depth=2, random_state=random_state)


def unconverged():
    return SGDRegressor(max_iter=1, tol=1e-9)


def boosting():
    return HistGradientBoostingClassifier(max_iter=15, max_depth=2)


def logistic():
    return LogisticRegression()


def margin():
    return make_pipeline(StandardScaler(), LinearSVC())


def prior():
    return DummyClassifier()


def isolation(n_estimators=20):
    return IsolationForest(n_estimators=n_estimators)


def neighbours():
    return LocalOutlierFactor()


class Rule(RegressorMixin, BaseEstimator):
    """The first feature itself, as a score."""

    def __init__(self, factor=1.0):
        self.factor = factor

    def fit(self, X, y=None):
        self.n_features_in_ = X.shape[1]
        return self

    def predict(self, X):
        return self.factor * X.iloc[:, 0].to_numpy()


def rule(factor=1.0):
    return Rule(factor)


class Nowhere(Rule):
    """Never finite."""

    def predict(self, X):
        return super().predict(X) * float("nan")


def nowhere():
    return Nowhere()


def a_class():
    return Ridge


def no_estimator():
    return 7


def raises():
    raise RuntimeError("no model today")
'''

REGRESSION = {
    "problem": "regression",
    "target": {"column": "temperature"},
    "features": "plant.features:load",
    "estimator": "plant.models:ridge",
    "baseline": "plant.models:mean",
    "evaluate": {"metrics": ["mae", "r2"]},
}

FAILURE = {
    "problem": "classification",
    "fit": "fleet",
    "target": {"events": "failures", "horizon": "6h"},
    "estimator": "plant.models:boosting",
    "baseline": "plant.models:prior",
    "evaluate": {"split": "group", "holdout": "30%"},
}

ANOMALY = {
    "problem": "anomaly",
    "estimator": "plant.models:isolation",
    "baseline": "plant.models:rule",
}


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a use case with the package `plant`."""
    folder = tmp_path_factory.mktemp("plant")
    package = folder / "src" / "plant"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "features.py").write_text(FEATURES)
    (package / "models.py").write_text(MODELS)
    return folder


MakeInstance = Callable[..., Instance]


@pytest.fixture(scope="session")
def make_instance() -> MakeInstance:
    """Build an instance from a model section and the ids (or assets) of its unit."""

    def make(model: Mapping[str, Any], assets: Sequence[str | Asset] = ("P-1",), **sections: Any) -> Instance:
        data = {"sources": {"sensors": {"path": "x.parquet", "index": "ts"}}, **sections.pop("data", {})}
        usecase = UseCase.model_validate(
            {"name": "plant", "fleet": {"assets": "fleet.csv"}, "data": data, "models": {"m": model}, **sections}
        )
        members = tuple(asset if isinstance(asset, Asset) else Asset(asset, {"rated": 5.0}) for asset in assets)
        pooled = usecase.models["m"].fit != "asset"
        unit = Unit("fleet" if pooled else members[0].id, members, pooled)
        return Instance(unit, "m", usecase.models["m"], usecase)

    return make


def plant_frame(asset: str = "P-1", rows: int = 600, seed: int = 0, start: str = "2025-01-01") -> SensorFrame:
    """Ten-minute rows of a machine whose temperature follows its load."""
    generator = np.random.default_rng(seed)
    index = pd.date_range(start, periods=rows, freq="10min", tz="UTC", unit="us", name="time")
    load = 0.5 + 0.3 * np.sin(np.arange(rows) / 30) + generator.normal(0, 0.05, rows)
    frame = pd.DataFrame(
        {
            "load": load,
            "flow": 10 * load + generator.normal(0, 0.2, rows),
            "temperature": 40 + 30 * load + generator.normal(0, 1, rows),
            "state": np.where(load > 0.7, "high", "normal"),
        },
        index=index,
    )
    return SensorFrame(
        asset=Asset(asset, {"rated": 5.0}),
        frame=frame,
        roles={"load": "sensor", "flow": "sensor", "temperature": "sensor", "state": "label"},
        units={"temperature": "degC"},
        window=Window(),
        rows_read={"sensors": rows},
    )


@pytest.fixture(scope="session")
def make_frame() -> Callable[..., SensorFrame]:
    """Build the sensor frame of one asset."""
    return plant_frame


@pytest.fixture(scope="session")
def sections() -> dict[str, dict[str, Any]]:
    """Model sections by problem."""
    return {"regression": REGRESSION, "classification": FAILURE, "anomaly": ANOMALY}
