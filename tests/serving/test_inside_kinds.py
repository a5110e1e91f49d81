"""One asset with models of every kind and unit, on steps: the image gives the scores of the host to the last bit."""

from __future__ import annotations

import io

import pandas as pd

from datadriver.project import Project

MODELS = """
  hot:
    problem: classification
    fit: [country]
    target: {column: hot, min_events: 5}
    features: tiny.features:load
    estimator: tiny.models:logistic
    baseline: tiny.models:prior
    window: {min_rows: 20, lookback: 3}
    evaluate: {metrics: [roc_auc], holdout: 20%}
  odd:
    problem: anomaly
    features: tiny.features:load
    estimator: tiny.models:forest
    baseline: tiny.models:forest
    window: {min_rows: 20}
    alarm: {above: {quantile: 0.9}, for: 3}
scores:"""

ESTIMATORS = """
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import IsolationForest
from sklearn.linear_model import LogisticRegression

def logistic():
    return LogisticRegression()

def prior():
    return DummyClassifier(strategy="prior")

def forest():
    return IsolationForest(n_estimators=20)
"""


def test_regression_classification_and_anomaly_of_pooled_and_own_units_on_steps(tiny, tmp_path, make_image):
    data = tiny.data()
    data["ts"] = data.groupby("pump").cumcount() + 1
    tiny.write(data.assign(hot=(data["temperature"] > data["temperature"].median()).astype(float)))
    tiny.edit("  resolution: 1h", "  index: step\n  resolution: 1")
    tiny.edit("lookback: 2h", "lookback: 2")
    tiny.edit("scores: {window: 2d}", "scores: {window: 48}")
    tiny.edit("    problem: regression", "    problem: regression\n    fit: fleet")
    tiny.edit("\nscores:", MODELS)
    code = tiny.root / "src/tiny/models.py"
    code.write_text(code.read_text("utf-8") + ESTIMATORS, "utf-8")
    project = Project.open(tiny.root)
    assert project.run(workers=2).failure is None

    keys = ("fleet/temperature", "country=NO/hot", "P-1/odd")
    image = make_image(tiny.root, tmp_path / "image", *keys, assets=("P-1",))
    done = image.run("score", "--rows", str(tiny.root / "sensors.parquet"))
    assert done.returncode == 0, done.stderr
    order = ["model", "step"]
    found = pd.read_csv(io.StringIO(done.stdout)).sort_values(order, ignore_index=True)
    host = project.scores()
    host = host[host["asset_id"] == "P-1"].sort_values(order, ignore_index=True)
    assert found.groupby("model").size().to_dict() == {"hot": 48, "odd": 48, "temperature": 48}
    for name in ("score", "actual", "residual"):
        assert found[name].to_numpy("float64").tobytes() == host[name].to_numpy("float64").tobytes(), name
    assert found["alarm"].tolist() == host["alarm"].tolist()
    assert found["unit"].tolist() == host["unit"].tolist()

    example = image.run("info", "--example")
    assert image.run("predict", text=example.stdout).returncode == 0
