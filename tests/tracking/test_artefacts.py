"""Same estimator, same bytes; other bytes or unknown types are not loaded."""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import pickle
import struct
import subprocess
import sys
import warnings
import zipfile
import zlib
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import skops.io
from hypothesis import given
from hypothesis import strategies as st
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.dummy import DummyRegressor
from sklearn.ensemble import (
    HistGradientBoostingRegressor,
    IsolationForest,
    RandomForestClassifier,
    StackingRegressor,
    VotingRegressor,
)
from sklearn.feature_selection import SelectKBest, f_regression
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, WhiteKernel
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge, SGDRegressor
from sklearn.model_selection import GridSearchCV, TimeSeriesSplit
from sklearn.neighbors import KNeighborsRegressor, LocalOutlierFactor
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, SplineTransformer, StandardScaler

from datadriver.errors import UnavailableError, UntrustedModelError, UseCaseError
from datadriver.tracking.artefacts import dump, dumped, load, unknown_types
from datadriver.tracking.trusted_types import REVIEWED

ROWS = 60


def frame() -> pd.DataFrame:
    values = np.random.default_rng(7).normal(size=(ROWS, 4))
    return pd.DataFrame(values, columns=["pressure", "temperature", "flow", "current"])


ESTIMATORS: dict[str, Any] = {
    "ridge pipeline": lambda: make_pipeline(SimpleImputer(), StandardScaler(), Ridge()),
    "robust": lambda: make_pipeline(PCA(2), SGDRegressor(max_iter=5, tol=None, random_state=0)),
    "forest": lambda: RandomForestClassifier(5, random_state=0),
    "boosting": lambda: HistGradientBoostingRegressor(max_iter=5, min_samples_leaf=5, random_state=0),
    "isolation": lambda: IsolationForest(n_estimators=5, random_state=0),
    "calibrated": lambda: CalibratedClassifierCV(LogisticRegression(), cv=2),
    "neighbours": KNeighborsRegressor,
    "outliers": lambda: LocalOutlierFactor(novelty=True),
    "process": lambda: GaussianProcessRegressor(RBF() + WhiteKernel(), random_state=0),
    "voting": lambda: VotingRegressor([("a", Ridge()), ("b", DummyRegressor())]),
    "stacking": lambda: StackingRegressor([("a", Ridge()), ("b", DummyRegressor())], cv=2),
    "search": lambda: GridSearchCV(Ridge(), {"alpha": [0.1, 1.0]}, cv=TimeSeriesSplit(2)),  # keeps how long fits took
    "splines": lambda: make_pipeline(SplineTransformer(n_knots=3), SelectKBest(f_regression, k=2), Ridge()),
    "columns": lambda: make_pipeline(
        ColumnTransformer(
            [("hot", OneHotEncoder(), ["pressure"]), ("log", FunctionTransformer(np.abs), ["flow"])], sparse_threshold=1
        ),
        Ridge(),
    ),
    "network": lambda: MLPRegressor(hidden_layer_sizes=(3,), max_iter=3, random_state=0, early_stopping=True),
}


def fitted(name: str) -> Any:
    table = frame()
    positive = (table["pressure"] > 0).astype(int)
    target = positive if name in ("forest", "calibrated") else table.sum(axis=1)
    if name == "columns":
        table["pressure"] = positive
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ESTIMATORS[name]().fit(table, target)


def digest(archive: bytes) -> str:
    return hashlib.sha256(archive).hexdigest()


def reload(archive: bytes, **options: Any) -> Any:
    return load(archive, sha256=digest(archive), **{"package": "pumps", **options})


@pytest.mark.parametrize("name", ESTIMATORS)
def test_an_estimator_has_the_same_bytes_after_loading_and_after_unpickling(name: str) -> None:
    estimator = fitted(name)
    archive = dump(estimator)
    assert dump(reload(archive)) == archive
    assert dump(pickle.loads(pickle.dumps(estimator))) == archive
    assert name == "search" or dump(fitted(name)) == archive


def test_estimators_have_the_same_bytes_in_another_process_with_another_hash_seed() -> None:
    environment = {**os.environ, "PYTHONHASHSEED": "1" if os.environ.get("PYTHONHASHSEED") != "1" else "2"}
    there = subprocess.run([sys.executable, __file__], env=environment, check=True, capture_output=True, text=True)
    assert json.loads(there.stdout) == digests()


def digests() -> dict[str, str]:
    return {name: digest(dump(fitted(name))) for name in ESTIMATORS if name != "search"}


@pytest.mark.parametrize("name", ["ridge pipeline", "boosting", "voting"])
def test_stock_skops_loads_what_we_write(name: str) -> None:
    estimator, table = fitted(name), frame()
    archive = dump(estimator)
    loaded = skops.io.loads(archive, trusted=skops.io.get_untrusted_types(data=archive))
    np.testing.assert_array_equal(loaded.predict(table), estimator.predict(table))


@pytest.mark.parametrize("name", ESTIMATORS)
def test_the_types_of_a_model_are_those_that_skops_finds_in_its_file_whatever_was_written_before(name: str) -> None:
    archive, types = dumped(fitted(name))
    assert list(types) == skops.io.get_untrusted_types(data=archive)


def test_nothing_of_the_writing_process_is_in_the_archive() -> None:
    with zipfile.ZipFile(BytesIO(dump(fitted("forest")))) as archive:
        assert {info.date_time[0] for info in archive.infolist()} == {1980}
        names = archive.namelist()
    assert names[0] == "schema.json"
    assert [Path(name).stem for name in names[1:]] == [str(number) for number in range(len(names) - 1)]


leaves = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(max_size=9)
hashable = st.integers() | st.text(max_size=5) | st.tuples(st.integers(), st.text(max_size=5))
trees = st.recursive(
    leaves | st.sets(hashable, max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3) | st.tuples(inner, inner),
    max_leaves=12,
)


@given(trees)
def test_any_plain_parameter_survives_with_its_order_and_with_the_same_bytes(value: Any) -> None:
    held = FunctionTransformer(kw_args={"value": value, "again": value})
    archive = dump(held)
    loaded = reload(archive)
    assert loaded.kw_args == held.kw_args
    assert list(loaded.kw_args) == ["value", "again"]
    if isinstance(value, dict):
        assert list(loaded.kw_args["value"]) == list(value)
    assert dump(loaded) == dump(pickle.loads(pickle.dumps(held))) == archive


def test_equal_constants_need_not_be_the_same_object() -> None:
    def named(first: str, second: str) -> FunctionTransformer:
        return FunctionTransformer(kw_args={"first": first, "second": second})

    text = "a constant that is not interned"
    assert dump(named(text, text)) == dump(named(text, "".join(list(text))))


def test_an_array_that_two_attributes_share_is_still_shared() -> None:
    array = np.arange(3.0)
    loaded = reload(dump(FunctionTransformer(kw_args={"a": array, "b": array})))
    assert loaded.kw_args["a"] is loaded.kw_args["b"]


def test_what_lies_between_the_fields_of_a_structured_array_does_not_count() -> None:
    kind = np.dtype([("flag", "i1"), ("value", "f8")], align=True)

    def filled(noise: int) -> np.ndarray[Any, Any]:
        raw = np.full(kind.itemsize * 2, noise, dtype="u1").view(kind)
        raw["flag"], raw["value"] = 1, 2.5
        return raw

    first, second = (dump(FunctionTransformer(kw_args={"nodes": filled(noise)})) for noise in (0, 255))
    assert first == second


def test_a_changed_file_is_not_loaded(tmp_path: Path) -> None:
    archive = dump(fitted("ridge pipeline"))
    path = tmp_path / "model.skops"
    path.write_bytes(archive[:-100] + bytes([archive[-100] ^ 1]) + archive[-99:])
    with pytest.raises(UntrustedModelError, match=r"model\.skops: the file was changed after it was recorded"):
        load(path, sha256=digest(archive), package="pumps")


def test_a_missing_file_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UntrustedModelError, match=r"is gone.*roll back"):
        load(tmp_path / "model.skops", sha256="", package="pumps")


def test_a_file_that_cannot_be_read_is_worth_a_retry(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="cannot be read"):
        load(tmp_path, sha256="", package="pumps")


def test_a_type_that_nobody_vouched_for_is_named_with_the_key_to_set() -> None:
    archive = dump(FunctionTransformer(partial(max, 3)))
    with pytest.raises(UntrustedModelError, match=r"functools\.partial.*tracking\.trusted_types") as caught:
        reload(archive)
    assert caught.value.exit_code == 3
    assert reload(archive, trusted=unknown_types(archive, package="pumps")).func(5) == 5


def test_the_use_cases_own_classes_and_functions_are_trusted(pumps_package: Path) -> None:
    models = importlib.import_module("pumps.models")
    model = make_pipeline(FunctionTransformer(models.double), models.Constant(3.0)).fit(frame())
    archive = dump(model)
    loaded = reload(archive)
    assert loaded.predict(frame())[0] == 3.0
    assert loaded[-1].names_ == set(frame().columns)
    with pytest.raises(UntrustedModelError, match=r"pumps\.models\.Constant"):
        reload(archive, package="turbines")


def test_what_the_package_only_imports_is_not_its_own(pumps_package: Path) -> None:
    forged = dump(FunctionTransformer(importlib.import_module("pumps.models").double))
    forged = _rezip(forged.replace(b'"double"', b'"system"'))
    with pytest.raises(UntrustedModelError, match=r"pumps\.models\.system"):
        reload(forged)


def test_code_that_is_gone_is_an_error_that_says_so(pumps_package: Path) -> None:
    archive = dump(importlib.import_module("pumps.models").Constant().fit(frame())).replace(
        b'"Constant"', b'"Vanished"'
    )
    with pytest.raises(UntrustedModelError, match="made by code that is not there any more"):
        load(_rezip(archive), sha256=digest(_rezip(archive)), package="pumps")


@pytest.mark.parametrize(
    "held",
    [pytest.param(lambda x: x, id="lambda"), pytest.param(pd.Series([1.0]), id="pandas")],
)
def test_what_cannot_be_stored_is_the_use_cases_error(held: Any) -> None:
    with pytest.raises(UseCaseError, match="FunctionTransformer"):
        dump(FunctionTransformer(kw_args={"held": held}))


def test_the_reviewed_types_exist() -> None:
    for name in REVIEWED:
        module, _, attribute = name.rpartition(".")
        assert hasattr(importlib.import_module(module), attribute), name


def _rezip(broken: bytes) -> bytes:
    """Make the checksums right again after bytes were exchanged."""
    start = broken.index(b"schema.json") + len(b"schema.json")
    end = broken.index(b"PK", start)
    checksum = struct.pack("<I", zlib.crc32(broken[start:end]))
    with zipfile.ZipFile(BytesIO(broken)) as archive:
        old = struct.pack("<I", archive.getinfo("schema.json").CRC)
    return broken.replace(old, checksum)


if __name__ == "__main__":
    sys.stdout.write(json.dumps(digests()))
