"""Fitted estimators are a function of their inputs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from datadriver.training.estimators import Scorer, fit


def test_a_search_of_parameters_does_not_keep_how_long_it_took(
    root: Path, make_instance: Callable[..., Any], sections: Any
) -> None:
    features = pd.DataFrame({"load": np.arange(30.0)})
    instance = make_instance(sections["regression"])
    search = GridSearchCV(Ridge(), {"alpha": [0.1, 1.0]}, cv=2)
    for estimator in (search, make_pipeline(StandardScaler(), search)):
        fit(Scorer("model", estimator, "predict"), features, np.arange(30.0), instance, root)
        assert search.refit_time_ == 0
        assert all(
            not search.cv_results_[f"{kind}_{step}_time"].any() for kind in ("mean", "std") for step in ("fit", "score")
        )
        assert search.cv_results_["mean_test_score"].any()
