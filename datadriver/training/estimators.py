"""From an estimator function of the use case to a fitted estimator and its scores."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from datadriver.config.code import accepts, call, place_of
from datadriver.config.fleet import Instance
from datadriver.errors import DatadriverError, UseCaseError, nearest
from datadriver.training.problems import Problem
from datadriver.training.results import Method, Role

SEED_PARAMETERS = ("random_state", "seed")


@dataclass(frozen=True)
class Scorer:
    """An estimator and how it is asked for a score."""

    role: Role
    estimator: Any
    method: Method

    def score(self, features: pd.DataFrame, where: str, root: Path) -> np.ndarray:
        """Return one float64 per row; of `predict_proba` the last column."""
        return score(self.estimator, self.method, features, where=where, root=root)


def new_estimator(instance: Instance, role: Role, root: Path, problem: Problem) -> Scorer:
    """Call the use case's function for the model or its baseline; what comes back is not fitted yet.

    Where the function takes `random_state` or `seed`, or the estimator has a `random_state` that is None, at any
    depth, it gets the use case's seed: the same inputs give the same model.

    Raises:
        UseCaseError: if a parameter is unknown, the function raises, or it returns no estimator.
    """
    spec, seed = instance.spec, instance.usecase.seed
    reference, params = (spec.estimator, spec.params) if role == "model" else (spec.baseline, spec.baseline_params)
    arguments = _arguments(reference, params, seed, root, _place(instance, role))
    estimator = call(reference, root, asset=instance.unit.key, step=f"{role} of {instance.model}", arguments=arguments)
    where = f"{_place(instance, role)}: {reference}"
    if isinstance(estimator, type):
        raise UseCaseError(
            f"{where} returned the class {estimator.__name__}; return an instance: {estimator.__name__}()"
        )
    adapted, method = problem.adapt(_seeded(estimator, seed), where)
    return Scorer(role, adapted, method)


def fit(scorer: Scorer, features: pd.DataFrame, learnt: np.ndarray | None, instance: Instance, root: Path) -> Scorer:
    """Fit the estimator in place and return its scorer; it sees columns only, never the index.

    Raises:
        UseCaseError: whatever the estimator raised, with the features that have nulls.
    """
    with _boundary(f"{_place(instance, scorer.role)}: fit of {type(scorer.estimator).__name__}", features, root):
        scorer.estimator.fit(_numbered(features), learnt)
    _forget_durations(scorer.estimator)
    return scorer


def score(estimator: Any, method: Method, features: pd.DataFrame, *, where: str, root: Path) -> np.ndarray:
    """Return one score per row as float64, asking the estimator for it in one call.

    Raises:
        UseCaseError: if the estimator raises, or does not return one number per row.
    """
    if features.empty:
        return np.zeros(0)
    with _boundary(f"{where}: {method} of {type(estimator).__name__}", features, root):
        answer = np.asarray(getattr(estimator, method)(_numbered(features)), dtype="float64")
    if answer.ndim == 2 and (answer.shape[1] == 1 or method == "predict_proba"):
        answer = answer[:, -1]
    if answer.shape != (len(features),):
        raise UseCaseError(
            f"{where}: {method} of {type(estimator).__name__} returned an array of shape {answer.shape} for "
            f"{len(features)} rows; return one number per row"
        )
    return answer


def _numbered(features: pd.DataFrame) -> pd.DataFrame:
    return features.set_axis(pd.RangeIndex(len(features)))


def check_methods(estimator: Any, methods: tuple[str, ...], where: str, hint: str = "") -> None:
    """Check that an estimator has `fit` and one of the methods.

    Raises:
        UseCaseError: naming its type and what it lacks.
    """
    if not hasattr(estimator, "fit") or not any(hasattr(estimator, method) for method in methods):
        raise UseCaseError(
            f"{where} returned {type(estimator).__name__}, which does not have `fit` and one of "
            f"{', '.join(methods)}; return an unfitted scikit-learn estimator{hint}"
        )


def _arguments(reference: str, params: Mapping[str, Any], seed: int, root: Path, where: str) -> dict[str, Any]:
    accepted = accepts(reference, root)
    for name in params:
        if name not in accepted:
            raise UseCaseError(f"{where}: {reference} has no parameter {name!r}" + _parameters(name, accepted))
    seeds = [name for name in SEED_PARAMETERS if name in accepted and name not in params]
    return {**params, **dict.fromkeys(seeds, seed)}


def _parameters(name: str, accepted: frozenset[str]) -> str:
    return nearest(name, accepted) if accepted else "; it takes none"


def _seeded(estimator: Any, seed: int) -> Any:
    """Give the seed to every `random_state` that is None, in the estimator and all that it contains."""
    if hasattr(estimator, "get_params") and hasattr(estimator, "set_params"):
        found = estimator.get_params(deep=True)
        unset = [name for name, value in found.items() if name.split("__")[-1] == "random_state" and value is None]
        if unset:
            estimator.set_params(**dict.fromkeys(unset, seed))
    return estimator


def _forget_durations(estimator: Any) -> None:
    """Set to zero how long a search of parameters took: the same inputs give the same model."""
    inside = estimator.get_params(deep=True).values() if hasattr(estimator, "get_params") else ()
    for part in (estimator, *inside):
        if hasattr(part, "refit_time_"):
            part.refit_time_ = 0.0
        if isinstance(results := getattr(part, "cv_results_", None), dict):
            times = [name for name in results if name.endswith(("_fit_time", "_score_time"))]
            results.update({name: np.zeros_like(results[name]) for name in times})


@contextmanager
def _boundary(what: str, features: pd.DataFrame, root: Path) -> Iterator[None]:
    """Turn what an estimator raises into an error that names it, the place in its code and the features with nulls."""
    try:
        yield
    except DatadriverError:
        raise
    except (Exception, SystemExit) as error:
        text, place = next(iter(str(error).strip().splitlines()), ""), place_of(error, root)
        raise UseCaseError(
            f"{what} raised {type(error).__name__}: {text}{f' ({place})' if place else ''}{_nulls(features)}"
        ) from error


def _nulls(features: pd.DataFrame) -> str:
    shares = features.isna().mean()
    worst = shares[shares > 0].sort_values(ascending=False)
    if worst.empty:
        return ""
    shown = ", ".join(f"{name} {share:.1%}" for name, share in worst.head(3).items())
    more = f" and {len(worst) - 3} more" if len(worst) > 3 else ""
    return (
        f" [features with nulls: {shown}{more}; an imputer in the pipeline, or an estimator that takes nulls "
        "such as HistGradientBoosting, deals with them]"
    )


def _place(instance: Instance, role: Role) -> str:
    return f"{instance.unit.key}, {role} of {instance.model}"
