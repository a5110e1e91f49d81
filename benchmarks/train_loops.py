"""The loops that datadriver is measured beside, each as a plain script would be: two processes, an asset at a time.

`bare` reads, makes features, fits model and baseline, evaluates both and dumps the model with joblib. `stock` does the
same and judges the frame in Great Expectations (one context and suite a process), logs a run with MLflow's fluent API
(requirements given, no input example), registers the model and sets its alias. `tutorial` does what the tutorials of
both show: a context for every frame, an input example, requirements inferred. `score` loads what `bare` dumped and
predicts the last day.

    python benchmarks/train_loops.py bare FOLDER --workers 2
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
from sklearn.metrics import mean_absolute_error, r2_score

from datadriver.config.fleet import Asset
from datadriver.config.load import load_usecase
from datadriver.config.sections import Model, UseCase
from datadriver.data.assets import load_assets
from datadriver.data.frame import SensorFrame
from datadriver.data.read import read_frame
from datadriver.data.window import Window

DAY = pd.Timedelta(days=1)
TRUSTED = ["numpy.dtype", "sklearn.tree._tree.Tree"]
PINNED = ("mlflow", "scikit-learn", "pandas", "numpy", "cloudpickle", "skops")


class Fitted:
    """A model of one asset beside its baseline."""

    def __init__(self, name: str, spec: Model, features: pd.DataFrame, target: pd.Series) -> None:
        from plant import models  # noqa: PLC0415 - on the path only in a worker

        self.name, self.asset = name, ""
        known = target.notna().to_numpy()
        features, target = features[known], target[known]
        cut = int(0.8 * len(features))
        self.features = features
        self.estimator = getattr(models, str(spec.estimator).rpartition(":")[2])().fit(features[:cut], target[:cut])
        baseline = getattr(models, str(spec.baseline).rpartition(":")[2])().fit(features[:cut], target[:cut])
        self.params = {"estimator": spec.estimator, "baseline": spec.baseline, "target": str(target.name)}
        self.metrics = {
            **_metrics("", target[cut:], self.estimator.predict(features[cut:])),
            **_metrics("baseline.", target[cut:], baseline.predict(features[cut:])),
        }


def _metrics(prefix: str, truth: pd.Series, score: np.ndarray) -> dict[str, float]:
    values = {"mae": mean_absolute_error(truth, score), "r2": r2_score(truth, score)}
    return {f"{prefix}{name}": float(value) for name, value in values.items()}


def features_of(frame: pd.DataFrame, target: str) -> pd.DataFrame:
    """Return the features of one model."""
    from plant.features import with_means  # noqa: PLC0415

    return with_means(frame.drop(columns=target))


def fit_all(root: Path, usecase: UseCase, asset: Asset) -> tuple[SensorFrame, list[Fitted]]:
    """Read one asset and fit its models."""
    sensor = read_frame(usecase, asset, Window(), root)
    fitted = []
    for name, spec in usecase.models.items():
        target = str(spec.target.column if spec.target else "")
        one = Fitted(name, spec, features_of(sensor.frame, target), sensor.frame[target])
        one.asset = asset.id
        fitted.append(one)
    return sensor, fitted


def bare(root: Path, usecase: UseCase, asset: Asset) -> None:
    """Train the models of one asset, and keep them."""
    for one in fit_all(root, usecase, asset)[1]:
        joblib.dump(one.estimator, root / "joblib" / f"{one.asset}.{one.name}.joblib")


def score(root: Path, usecase: UseCase, asset: Asset) -> list[pd.DataFrame]:
    """Load the models of one asset and predict its last day."""
    end = pd.Timestamp(os.environ["SCORE_END"])
    frame = read_frame(usecase, asset, Window(end - DAY, end), root).frame
    scores = []
    for name, spec in usecase.models.items():
        target = str(spec.target.column if spec.target else "")
        estimator = joblib.load(root / "joblib" / f"{asset.id}.{name}.joblib")
        values = estimator.predict(features_of(frame, target))
        scores.append(pd.DataFrame({"asset": asset.id, "model": name, "score": values}, index=frame.index))
    return scores


def stock(root: Path, usecase: UseCase, asset: Asset) -> None:
    """Judge, train, log and register, as well as the libraries allow one by one."""
    from datadriver.data.contract.batch import to_batch  # noqa: PLC0415
    from datadriver.data.contract.engine import run  # noqa: PLC0415

    sensor, fitted = fit_all(root, usecase, asset)
    outcomes = run(_SUITE[0], to_batch(sensor))
    for one in fitted:
        _log(one, {"breaches": sum(not outcome.success for outcome in outcomes)}, pip_requirements=_requirements())


def tutorial(root: Path, usecase: UseCase, asset: Asset) -> None:
    """Do as the tutorials of Great Expectations and MLflow do."""
    import great_expectations as gx  # noqa: PLC0415

    from datadriver.data.contract.batch import to_batch  # noqa: PLC0415

    sensor, fitted = fit_all(root, usecase, asset)
    source = gx.get_context(mode="ephemeral").data_sources.add_pandas("frames")
    definition = source.add_dataframe_asset("frame").add_batch_definition_whole_dataframe("frame")
    result = definition.get_batch({"dataframe": to_batch(sensor)}).validate(_SUITE[0])
    for one in fitted:
        _log(one, {"success": float(bool(result.success))}, input_example=one.features.head(5))


def _log(one: Fitted, verdict: Mapping[str, float], **options: Any) -> None:
    import mlflow  # noqa: PLC0415

    with mlflow.start_run(run_name=f"{one.asset}/{one.name}"):
        mlflow.log_params(one.params)
        mlflow.log_metrics({**one.metrics, **verdict})
        registered = f"plant.{one.asset}.{one.name}"
        options |= {"skops_trusted_types": TRUSTED}
        info = mlflow.sklearn.log_model(one.estimator, name="model", registered_model_name=registered, **options)
    mlflow.MlflowClient().set_registered_model_alias(registered, "challenger", str(info.registered_model_version))


def _requirements() -> list[str]:
    from importlib.metadata import version  # noqa: PLC0415

    return [f"{name}=={version(name)}" for name in PINNED]


WAYS: Mapping[str, Callable[[Path, UseCase, Asset], Any]] = {
    "bare": bare,
    "score": score,
    "stock": stock,
    "tutorial": tutorial,
}
_SUITE: list[Any] = []


def _begin(root: Path, way: str) -> None:
    """Set up a worker process: what is done once, not for every model."""
    sys.path.insert(0, str(root / "src"))
    if way not in {"stock", "tutorial"}:
        return
    warnings.simplefilter("ignore")
    import mlflow  # noqa: PLC0415

    from datadriver.data.contract.suite import load_suite  # noqa: PLC0415

    store = f"sqlite:///{root}/stock.db"
    mlflow.set_tracking_uri(store)
    mlflow.set_registry_uri(store)
    mlflow.set_experiment("plant")
    suite = load_suite(load_usecase(root).contract, root)
    assert suite is not None
    _SUITE.append(suite.gx())


def _all(way: str, root: Path, usecase: UseCase, assets: Sequence[Asset], workers: int) -> list[Any]:
    work = partial(WAYS[way], root, usecase)
    with get_context("spawn").Pool(workers, _begin, (root, way)) as pool:
        return list(pool.imap_unordered(work, assets, chunksize=4))


def main() -> None:
    """Run one loop over a fleet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("way", choices=WAYS)
    parser.add_argument("root", type=Path)
    parser.add_argument("--workers", type=int, default=2)
    chosen = parser.parse_args()
    usecase = load_usecase(chosen.root)
    (chosen.root / "joblib").mkdir(exist_ok=True)
    assets = load_assets(usecase, chosen.root)
    answers = _all(chosen.way, chosen.root, usecase, assets, chosen.workers)
    if chosen.way == "score":
        pd.concat([frame for scores in answers for frame in scores]).to_parquet(chosen.root / "scores.parquet")
    print(json.dumps({"assets": len(answers)}))


if __name__ == "__main__":
    main()
