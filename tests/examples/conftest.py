"""Examples run whole, in copies of their own, so that nothing is left in the checkout."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from datadriver.fleet.selection import Selection
from datadriver.project import Project

EXAMPLES = Path(__file__).parents[2] / "examples"
NO_DATA = "DATADRIVER_DATA does not name the folder of the real fleets; examples/wells/README.md says how to get it"


@pytest.fixture(scope="session")
def copies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a copy of each example."""
    folder = tmp_path_factory.mktemp("examples")
    ignored = shutil.ignore_patterns("data", ".datadriver", "__pycache__", ".*_cache")
    for name in ("pumps", "wells", "wind"):
        shutil.copytree(EXAMPLES / name, folder / name, ignore=ignored)
    return folder


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of the real fleets, or the reason to skip."""
    folder = Path(os.environ.get("DATADRIVER_DATA") or "missing")
    if not (folder / "wells_3w").is_dir():
        pytest.skip(NO_DATA)
    return folder


Compare = Callable[[Project, str, str, str], None]


@pytest.fixture
def assert_mlflow_predicts_what_was_scored(monkeypatch: pytest.MonkeyPatch) -> Compare:
    """Compare a champion, loaded by the stock MLflow client, with the stored scores of an asset."""
    import mlflow  # noqa: PLC0415 - takes seconds

    from datadriver.tracking.names import registered_name  # noqa: PLC0415
    from datadriver.tracking.records import Key  # noqa: PLC0415

    def compare(project: Project, unit: str, asset: str, model: str) -> None:
        chosen = Selection(assets=(asset,), models=(model,))
        spec = project.select(chosen)[0].spec
        scores = project.scores(chosen).set_index("time")["score"]
        assert len(scores) > 100
        # Rolling means of floats depend on where they start, in the last digits.
        earlier = (spec.window.lookback or timedelta(0)) + ((spec.alarm and spec.alarm.for_) or timedelta(0))
        features = project.features(asset, model, start=scores.index[0] - earlier).loc[scores.index]
        monkeypatch.setenv("MLFLOW_TRACKING_URI", project.tracker.uri)
        mlflow.set_tracking_uri(project.tracker.uri)
        loaded = mlflow.pyfunc.load_model(f"models:/{registered_name(project.usecase.name, Key(unit, model))}@champion")
        predicted = np.asarray(loaded.predict(features)).reshape(len(features), -1)[:, -1]
        np.testing.assert_allclose(predicted, scores, rtol=1e-12, atol=1e-12)

    return compare


@pytest.fixture(scope="session")
def pumps(copies: Path) -> Iterator[Project]:
    """Twenty-four pumps over four months, one of them without its file, trained, promoted and scored."""
    root = copies / "pumps"
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(root / "src")
        from pumps.simulate import Settings, make_fleet  # noqa: PLC0415 - the use case is not installed

        make_fleet(24, Settings(days=120, resolution_s=1800, start=datetime(2025, 1, 1)), root / "data")
        (root / "data" / "sensors" / "MC 520 #H-4.parquet").unlink()
        project = Project.open(root)
        project.run(until="2025-05-01", workers=2)
        yield project
