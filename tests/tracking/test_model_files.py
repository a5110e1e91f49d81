"""The directory that we write against the one that MLflow writes, and what plain MLflow makes of ours."""

from __future__ import annotations

import importlib
import json
import sys
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.preprocessing import FunctionTransformer

from datadriver.config.fleet import Instance
from datadriver.config.sections import UseCase
from datadriver.errors import ConfigError, UnavailableError
from datadriver.tracking.model_files import read_manifest, write_model
from datadriver.training.results import TrainResult

ResultOf = Callable[..., TrainResult]


def mlmodel(directory: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((directory / "MLmodel").read_text())
    return content


def keys(content: Any) -> Any:
    return {key: keys(value) for key, value in content.items()} if isinstance(content, dict) else None


def test_the_files_say_what_mlflow_itself_would_say(
    tmp_path: Path, instance: Instance, make_result: ResultOf, features: pd.DataFrame, plain_mlflow: Any
) -> None:
    result = make_result(instance)
    write_model(tmp_path / "ours", result, instance, code_digest="c" * 64)
    requirements = (tmp_path / "ours" / "requirements.txt").read_text().splitlines()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        plain_mlflow.sklearn.save_model(
            result.estimator,
            tmp_path / "theirs",
            signature=plain_mlflow.models.infer_signature(features, result.estimator.predict(features)),
            pip_requirements=requirements,
            skops_trusted_types=[],
        )
    ours, theirs = mlmodel(tmp_path / "ours"), mlmodel(tmp_path / "theirs")
    assert keys(ours) == keys(theirs)
    assert ours["flavors"] == theirs["flavors"]
    for part in ("inputs", "outputs"):
        assert json.loads(ours["signature"][part]) == json.loads(theirs["signature"][part])
    for name in ("requirements.txt", "conda.yaml"):
        assert (tmp_path / "ours" / name).read_text() == (tmp_path / "theirs" / name).read_text()
    environments = [yaml.safe_load((tmp_path / who / "python_env.yaml").read_text()) for who in ("ours", "theirs")]
    assert environments[0].keys() == environments[1].keys()
    assert {path.name for path in (tmp_path / "theirs").iterdir()} < {
        path.name for path in (tmp_path / "ours").iterdir()
    }


@pytest.mark.parametrize("classifier", [LogisticRegression(), RandomForestClassifier(3, random_state=0)])
def test_column_one_of_what_pyfunc_returns_is_the_score_of_a_classifier(
    tmp_path: Path, instance: Instance, make_result: ResultOf, plain_mlflow: Any, classifier: Any
) -> None:
    features = pd.DataFrame({"flow": [-1.0, 2.0, -0.5, 1.0], "motor temperature": [3.0, 4.0, 3.5, 4.5]})
    estimator = classifier.fit(features, features["flow"] > 0)
    columns = tuple((name, "float64") for name in features)
    result = make_result(instance, estimator, method="predict_proba", features=columns)
    written = write_model(tmp_path / "model", result, instance, code_digest="c")
    expected = estimator.predict_proba(features)
    np.testing.assert_array_equal(plain_mlflow.pyfunc.load_model(str(written.path)).predict(features), expected)
    np.testing.assert_array_equal(plain_mlflow.sklearn.load_model(str(written.path)).predict_proba(features), expected)


def test_a_model_of_the_use_cases_own_class_brings_its_code_along(
    pumps_package: Path, instance: Instance, make_result: ResultOf, plain_mlflow: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    features = pd.DataFrame({"flow": [-1.0, 2.0]})
    constant = importlib.import_module("pumps.models").Constant(4.5).fit(features)
    written = write_model(
        pumps_package / "model",
        make_result(instance, constant, features=(("flow", "float64"),)),
        instance,
        code_digest="c",
    )
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry != str(pumps_package / "src")])
    for name in [name for name in sys.modules if name.split(".")[0] == "pumps"]:
        del sys.modules[name]
    assert plain_mlflow.pyfunc.load_model(str(written.path)).predict(features)[0] == 4.5
    assert Path(str(sys.modules["pumps.models"].__file__)).is_relative_to(written.path / "code")


def test_the_manifest_says_what_the_model_is(tmp_path: Path, instance: Instance, make_result: ResultOf) -> None:
    written = write_model(tmp_path / "model", make_result(instance), instance, code_digest="c" * 64)
    manifest = read_manifest(written.path)
    assert (manifest["unit"], manifest["model"], manifest["role"]) == ("P-101", "load", "model")
    assert manifest["sha256"] == written.sha256
    assert manifest["threshold"] == 2.5
    assert manifest["reference"] == {"flow": [0.0, 1.0]}
    assert manifest["features"][1] == ["motor temperature", "float64"]
    assert manifest["versions"]["scikit-learn"]


def test_the_same_result_is_written_with_the_same_bytes(
    tmp_path: Path, instance: Instance, make_result: ResultOf
) -> None:
    result = make_result(instance)
    first, second = (write_model(tmp_path / name, result, instance, code_digest="c") for name in "ab")
    assert first.sha256 == second.sha256
    assert (first.path / "datadriver.json").read_text() == (second.path / "datadriver.json").read_text()


def test_a_type_that_nobody_vouched_for_is_refused_before_it_is_registered(
    tmp_path: Path, make_usecase: Callable[..., UseCase], make_instance: Callable[..., Instance], make_result: ResultOf
) -> None:
    odd = FunctionTransformer(partial(max, 3))
    instance = make_instance(make_usecase())
    with pytest.raises(ConfigError, match=r"^tracking\.trusted_types: P-101/load: .*builtins\.max"):
        write_model(tmp_path / "model", make_result(instance, odd), instance, code_digest="c")
    assert not (tmp_path / "model").exists()
    trusting = make_instance(make_usecase(tracking={"trusted_types": ["builtins.max", "functools.partial"]}))
    write_model(tmp_path / "model", make_result(trusting, odd), trusting, code_digest="c")


def test_a_directory_that_cannot_be_written_is_worth_a_retry(
    tmp_path: Path, instance: Instance, make_result: ResultOf
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UnavailableError, match="P-101/load: the model cannot be written"):
        write_model(tmp_path / "file" / "model", make_result(instance, Ridge()), instance, code_digest="c")
