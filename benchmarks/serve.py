"""Requests a second and latency of `datadriver serve`, beside MLflow's own server of the same champion.

A fleet of examples/pumps is simulated and one pump's models are trained and promoted. Each server is a process of its
own, asked over loopback by `load.py`, a closed-loop generator on the same machine, whose own ceiling is measured first.

- `row`: one raw row a request; the model's features are of that row alone, so requests that wait are scored together;
- `lookback`: the example's own model of motor temperature, which looks back 12 hours and whose alarm has to last 2: the
  rows of 14 hours a request, each scored by itself;
- `mlflow`: `mlflow models serve` of the champion of `row`, with features that were computed before.

    python benchmarks/serve.py --seconds 10 --connections 16,32,64
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import sys
import tempfile
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

ROOT = Path(__file__).parents[1]
PUMPS = ROOT / "examples" / "pumps"
sys.path[:0] = [str(PUMPS / "src"), str(ROOT / "benchmarks")]

from load import Load, ceiling, cpu_seconds, free_port, load, post, running  # noqa: E402 - beside this file
from pumps.simulate import Settings, make_fleet  # noqa: E402 - the use case is not installed
from results import merge_results  # noqa: E402

from datadriver.project import Project  # noqa: E402
from datadriver.tracking.names import registered_name  # noqa: E402
from datadriver.tracking.records import Key  # noqa: E402
from datadriver.training.pinning import PINNED  # noqa: E402

FEATURES = '''
import pandas as pd

def running(frame: pd.DataFrame) -> pd.Series:
    """Return which rows count, by the row alone."""
    return frame["frequency"].gt(35)

def operating_point(frame: pd.DataFrame) -> pd.DataFrame:
    """Return what explains a motor's temperature, of this instant alone."""
    loss = frame["current"] ** 2
    lift = frame["discharge_pressure"] - frame["intake_pressure"]
    return pd.DataFrame(
        {
            "current": frame["current"],
            "frequency": frame["frequency"],
            "flow": frame["flow"],
            "lift": lift,
            "power": lift * frame["flow"],
            "loss": loss,
            "heat": loss / frame["flow"].clip(lower=20),
        }
    )
'''


def make_case(folder: Path, *, by_row: bool, days: int) -> Project:
    """Write the pumps example with one model, train it on one pump and promote it."""
    shutil.copytree(PUMPS, folder, ignore=shutil.ignore_patterns("data", ".datadriver", "__pycache__", ".*_cache"))
    make_fleet(1, Settings(days=days, seed=12, kinds=()), folder / "data")
    config = yaml.safe_load((folder / "usecase.yaml").read_text("utf-8"))
    model = config["models"]["motor_temperature"]
    model["alarm"] = {"on": "residual", "above": {"quantile": 0.999}, "for": "2h"}  # to PyYAML `on` is a boolean
    config["models"] = {"motor_temperature": model}
    config["data"]["sources"] = {"sensors": config["data"]["sources"]["sensors"]}
    config.pop("overrides")
    config.pop("monitor")
    if by_row:
        (folder / "src" / "pumps" / "now.py").write_text(FEATURES.lstrip(), "utf-8")
        config["data"]["mask"] = "pumps.now:running"
        model["features"] = "pumps.now:operating_point"
        del model["window"]["lookback"], model["alarm"]["for"]
    (folder / "usecase.yaml").write_text(yaml.safe_dump(config, sort_keys=False), "utf-8")
    project = Project.open(folder)
    trained = project.train(workers=2)
    assert project.promote(reason="benchmark", force=True)[0], trained
    return project


def bodies(project: Project, rows: int, *, requests: int) -> list[bytes]:
    """Return documents of so many raw rows each, from all over the history, as MLflow's `dataframe_split`."""
    asset = project.assets[0].id
    (path,) = (project.root / "data" / "sensors").glob("*.parquet")
    raw = pd.read_parquet(path)
    raw = raw[pd.to_numeric(raw["SI_DRIVE.PV"], errors="coerce").gt(40)].dropna()
    stamps = pd.to_datetime(raw["ts"], utc=True).dt.floor("30min")
    raw = raw.assign(ts=stamps.dt.strftime("%Y-%m-%dT%H:%M:%SZ"))
    raw = raw.drop_duplicates("ts").sort_values("ts")
    step = max(1, (len(raw) - rows) // requests)
    parts = [raw.iloc[start : start + rows] for start in range(0, len(raw) - rows, step)][:requests]
    return [_document(part, {"asset": asset}) for part in parts]


def _document(part: pd.DataFrame, params: dict[str, Any] | None = None) -> bytes:
    split = json.loads(part.to_json(orient="split", index=False, double_precision=15, date_format="iso"))
    document = {"dataframe_split": {"columns": split["columns"], "data": split["data"]}}
    return json.dumps(document | ({"params": params} if params else {})).encode()


def feature_bodies(project: Project, *, requests: int) -> list[bytes]:
    """Return documents of one feature row each, for MLflow."""
    asset = project.status()[0].unit
    features = project.features(asset, "motor_temperature").dropna()
    step = max(1, len(features) // requests)
    return [_document(features.iloc[place : place + 1]) for place in range(0, len(features), step)][:requests]


def measure(pid: int, port: int, documents: Sequence[bytes], arguments: argparse.Namespace) -> dict[str, Any]:
    """Load a server with each number of connections; the first answer must be a good one.

    Beside what clients see stands the server's own processor time per request, which other load disturbs less.
    """
    asked = urllib.request.Request(
        f"http://127.0.0.1:{port}/invocations", documents[0], {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(asked, timeout=60) as answer:
        assert json.load(answer)["predictions"]
    requests = [post("/invocations", one) for one in documents]
    load(port, requests, connections=max(arguments.connections), seconds=1)  # warm
    found = {}
    for count in arguments.connections:
        before = cpu_seconds(pid)
        one = load(port, requests, connections=count, seconds=arguments.seconds)
        spent = cpu_seconds(pid) - before
        answered = max(1, len(one.latencies)) * 1.1  # the tenth that warms up is not counted
        found[str(count)] = one.row() | {"cpu_ms": round(1000 * spent / answered, 3)}
        print(f"  {count:>3} connections: {found[str(count)]}")
    return found


def datadriver_server(project: Project, workers: int, documents: Sequence[bytes], arguments: argparse.Namespace) -> Any:
    """Measure `datadriver serve`."""
    port = free_port()
    command = [sys.executable, "-m", "datadriver", "serve", "--project", str(project.root), "--port", str(port)]
    with running([*command, "--workers", str(workers)], port, env={**os.environ, **PINNED}) as server:
        return measure(server.pid, port, documents, arguments)


def mlflow_server(project: Project, documents: Sequence[bytes], arguments: argparse.Namespace) -> Any:
    """Measure `mlflow models serve` of the same champion, with its default of one worker."""
    port, line = free_port(), project.status()[0]
    name = f"models:/{registered_name(project.usecase.name, Key(line.unit, line.model))}@champion"
    environment = {**os.environ, **PINNED, "MLFLOW_TRACKING_URI": f"sqlite:///{project.root}/.datadriver/mlflow.db"}
    binaries = Path(sys.executable).parent
    environment["PATH"] = f"{binaries}{os.pathsep}{environment['PATH']}"
    command = [str(binaries / "mlflow"), "models", "serve", "-m", name, "-p", str(port), "--env-manager", "local"]
    log = (project.root / "mlflow-serve.log").open("wb")
    with log, running(command, port, env=environment, cwd=project.root, stdout=log, stderr=log) as server:
        return measure(server.pid, port, documents, arguments)


def best(found: dict[str, Any]) -> dict[str, Any]:
    """Return the number of connections with most requests a second among those with p99 under 20 ms, else of all."""
    quick = [row for row in found.values() if row["p99_ms"] < 20] or list(found.values())
    row: dict[str, Any] = max(quick, key=lambda row: row["requests_per_second"])
    return row


def main() -> None:
    """Measure everything and write it down."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--connections", default="16,32,64", type=lambda text: [int(one) for one in text.split(",")])
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--days", type=int, default=120)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results.json")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        by_row = make_case(Path(folder, "row", "pumps"), by_row=True, days=arguments.days)
        rows = bodies(by_row, 1, requests=2000)
        print("ceiling of the generator, and what a server without models could do")
        top: Load = ceiling(
            [post("/invocations", one) for one in rows], 400, connections=32, seconds=arguments.seconds / 2
        )
        print(f"   32 connections: {top.row()}")
        print("datadriver serve, one row a request, one worker")
        row = datadriver_server(by_row, 1, rows, arguments)
        print("datadriver serve, one row a request, two workers")
        row2 = datadriver_server(by_row, 2, rows, arguments)
        print("mlflow models serve, one feature row a request")
        mlflow = mlflow_server(by_row, feature_bodies(by_row, requests=2000), arguments)
        looking_back = make_case(Path(folder, "lookback", "pumps"), by_row=False, days=arguments.days)
        print("datadriver serve, 14 hours of rows a request, one worker")
        lookback = datadriver_server(looking_back, 1, bodies(looking_back, 30, requests=400), arguments)
        print("datadriver serve, 14 hours of rows a request, two workers")
        lookback2 = datadriver_server(looking_back, 2, bodies(looking_back, 30, requests=400), arguments)
    head = best(row)
    figures = {
        "serve.requests_per_second": head["requests_per_second"],
        "serve.p99_ms": head["p99_ms"],
        "serve.row": {"1": row, "2": row2},
        "serve.lookback": {"1": lookback, "2": lookback2},
        "serve.mlflow": mlflow,
        "serve.times_mlflow": round(head["requests_per_second"] / best(mlflow)["requests_per_second"], 1),
        "serve.ceiling": top.row(),
        "serve.machine": {"cores": os.cpu_count(), "python": platform.python_version(), "load": os.getloadavg()[0]},
    }
    merge_results(arguments.out, figures)
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
