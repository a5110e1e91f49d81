"""With the lists that it once made, skops says of every model what it says without them, and imports less."""

from __future__ import annotations

import json
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.special
import skops.io
from sklearn.ensemble import HistGradientBoostingRegressor, IsolationForest, RandomForestRegressor
from sklearn.linear_model import Ridge, SGDRegressor
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from datadriver.tracking.artefacts import dump, untrusted_by_skops
from datadriver.tracking.skops_names import made_by_skops, main, versions


class Own(Ridge):
    """What skops does not vouch for."""


ESTIMATORS: dict[str, Any] = {
    "linear": make_pipeline(StandardScaler(), Ridge()),
    "ufuncs": make_pipeline(FunctionTransformer(np.abs), FunctionTransformer(scipy.special.expit), Ridge()),
    "stochastic": SGDRegressor(max_iter=5, tol=None, random_state=0),
    "boosting": HistGradientBoostingRegressor(max_iter=3, min_samples_leaf=5, random_state=0),
    "forest": RandomForestRegressor(3, random_state=np.random.RandomState(0)),
    "isolation": IsolationForest(n_estimators=3, random_state=0),
    "neighbours": KNeighborsRegressor(),
    "own": Own(),
}

SAYS = """
import json, sys
from hashlib import sha256
from pathlib import Path
from datadriver.tracking.artefacts import dump, untrusted_by_skops
from datadriver.tracking.skops_names import made_by_skops, skops_io
folder, file = map(Path, sys.argv[1:])
skops_io(file)
searched = "sklearn.gaussian_process" in sys.modules
said = {path.stem: untrusted_by_skops(path.read_bytes()) for path in folder.glob("*.skops")}
names = made_by_skops()
again = {
    path.stem: sha256(dump(skops_io().loads(path.read_bytes(), trusted=said[path.stem]))).hexdigest()
    for path in folder.glob("*.skops") if path.stem != "own"
}
print(json.dumps({"said": said, "again": again, "names": names, "searched": searched}))
"""


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("archives")
    values = np.random.default_rng(3).normal(size=(40, 3))
    for name, estimator in ESTIMATORS.items():
        (folder / f"{name}.skops").write_bytes(dump(estimator.fit(values, values.sum(axis=1))))
    return folder


@pytest.fixture
def kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    main()
    file = tmp_path / "skops-names.json"
    file.write_text(capsys.readouterr().out)
    return file


def ask(folder: Path, file: Path) -> dict[str, Any]:
    done = subprocess.run([sys.executable, "-c", SAYS, folder, file], check=True, capture_output=True, text=True)
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def test_skops_vouches_for_the_same_types_and_writes_the_same_bytes(archives: Path, kept: Path) -> None:
    answer = ask(archives, kept)
    assert not answer["searched"]
    assert answer["names"] == made_by_skops()
    contents = {path.stem: path.read_bytes() for path in archives.glob("*.skops")}
    assert answer["said"] == {name: list(untrusted_by_skops(content)) for name, content in contents.items()}
    assert answer["said"]["own"]
    del contents["own"]
    assert answer["again"] == {name: sha256(content).hexdigest() for name, content in contents.items()}


@pytest.mark.parametrize("name", ["skops", "sklearn"])
def test_lists_of_other_versions_are_not_used(name: str, kept: Path, tmp_path: Path) -> None:
    content = json.loads(kept.read_text())
    content["versions"][name] = "0.1"
    content["names"]["SKLEARN_ESTIMATOR_TYPE_NAMES"].append("posix.system")
    kept.write_text(json.dumps(content))
    assert untouched(ask(tmp_path, kept))


@pytest.mark.parametrize("content", [None, "", "[]", "{}"])
def test_without_lists_that_can_be_read_skops_makes_its_own(content: str | None, tmp_path: Path) -> None:
    file = tmp_path / "skops-names.json"
    if content is not None:
        file.write_text(content)
    assert untouched(ask(tmp_path, file))


def untouched(answer: dict[str, Any]) -> bool:
    return answer["searched"] and answer["names"] == made_by_skops()


def test_the_versions_are_those_that_are_installed() -> None:
    assert versions()["skops"] == skops.__version__
    assert versions()["numpy"] == np.__version__
