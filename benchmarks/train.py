"""What training a fleet costs: a bare loop, MLflow and Great Expectations as they come, and datadriver, side by side.

All train the same models on the same files with two worker processes of one thread each (docs/benchmarks.md says what
is in each). Every way is a command of its own, timed from its start to its end; databases are created before. Ways
that would take hours are measured on fewer models (`--stock`, `--tutorial`, `--http`).

    python benchmarks/train.py                              everything, up to 10,000 models: about 20 minutes
    python benchmarks/train.py --only ridge --models 1000   some parts; figures of the others stay
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from results import merge_results
from train_page import RESULTS, write_page
from train_servers import Missing, mlflow_server, postgres
from train_ways import Bench, datadriver, loop, projection, resume, rounded, stages

WAYS = ("bare", "stock", "tutorial", "datadriver_sqlite", "datadriver_postgres", "datadriver_http")
_SMALLER = 1000
"""Models of the parts in which another kind of model is compared, or what happens after a kill."""


def ridge(bench: Bench, chosen: argparse.Namespace) -> None:
    """A Ridge an asset, at every size: bare loop, datadriver, and what comes after training."""
    for models in chosen.models:
        loop(bench, "bare", models)
        datadriver(bench, "datadriver_sqlite", models)
    stages(bench, min(max(chosen.models), 200))


def others(bench: Bench, chosen: argparse.Namespace) -> None:
    """MLflow and Great Expectations, used well and as in their tutorials."""
    loop(bench, "stock", min(max(chosen.models), chosen.stock))
    loop(bench, "tutorial", min(max(chosen.models), chosen.tutorial))


def killed(bench: Bench, chosen: argparse.Namespace) -> None:
    """What is left to do when a run was killed in the middle."""
    resume(bench, min(max(chosen.models), _SMALLER))


def on_postgres(bench: Bench, chosen: argparse.Namespace) -> None:
    """Ledger and tracking store in PostgreSQL."""
    with postgres() as server:
        stores = {"tracking": f"{server}/mlflow", "ledger": f"{server}/ledger"}
        datadriver(bench, "datadriver_postgres", min(max(chosen.models), chosen.postgres), after=False, **stores)


def over_http(bench: Bench, chosen: argparse.Namespace) -> None:
    """An MLflow tracking server."""
    with mlflow_server(bench.place / "server") as address:
        projection(bench, min(max(chosen.models), chosen.http), address)


def forest(bench: Bench, chosen: argparse.Namespace) -> None:
    """A forest of 10 trees an asset."""
    models = min(max(chosen.models), _SMALLER)
    loop(bench, "bare", models)
    datadriver(bench, "datadriver_sqlite", models)
    loop(bench, "stock", min(models, chosen.stock))
    stages(bench, min(models, 200))


def ten(bench: Bench, chosen: argparse.Namespace) -> None:
    """Ten models an asset."""
    models = min(max(chosen.models), _SMALLER)
    loop(bench, "bare", models)
    datadriver(bench, "datadriver_sqlite", models)
    stages(bench, min(models, 200))


Part = Callable[[Bench, argparse.Namespace], None]
PARTS: Mapping[str, tuple[Part, str, tuple[str, ...]]] = {
    "others": (others, "ridge_1", ("stock", "tutorial")),
    "resume": (killed, "ridge_1", ("resume",)),
    "postgres": (on_postgres, "ridge_1", ("datadriver_postgres",)),
    "http": (over_http, "ridge_1", ("datadriver_http",)),
    "ten": (ten, "ridge_10", ()),
    "ten-forests": (ten, "forest_10", ()),
    "forest": (forest, "forest_1", ()),
    "ridge": (
        ridge,
        "ridge_1",
        ("bare", "datadriver_sqlite", "nothing_to_do", "promote", "score_bare", "score_datadriver"),
    ),
}
"""What can be measured alone: how, with which models, and which ways are its own; with none all of that model."""

DEFAULT = [name for name in PARTS if name != "ten-forests"]


def measure(name: str, place: Path, chosen: argparse.Namespace) -> None:
    """Measure one part and put its figures into the file in the place of its earlier ones."""
    part, kind, ways = PARTS[name]
    estimator, _, per_asset = kind.partition("_")
    bench = Bench(place, estimator, int(per_asset))
    before = os.getloadavg()[0]
    try:
        part(bench, chosen)
    except Missing as why:
        print(f"{name}: skipped, {why}", flush=True)
        return
    kept = _without(_read(chosen.results).get("train", {}).get("sizes", {}), kind, ways)
    merge_results(chosen.results, {"train.sizes": kept, **bench.figures, f"train.load.{name}": _load(before)})
    found = headlines(_read(chosen.results).get("train", {}))
    merge_results(chosen.results, found)


def _load(before: float) -> dict[str, float]:
    """How busy the machine was: about 2 of it is ours while a part runs."""
    return {"before": rounded(before), "after": rounded(os.getloadavg()[0])}


def _read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return found


def _without(sizes: Mapping[str, Any], kind: str, ways: tuple[str, ...]) -> dict[str, Any]:
    """Return the figures without those of one part, which are measured anew."""
    kept = dict(sizes)
    ours = {
        models: {way: found for way, found in by_way.items() if ways and way not in ways}
        for models, by_way in kept.pop(kind, {}).items()
    }
    left = {models: by_way for models, by_way in ours.items() if by_way}
    return {**kept, kind: left} if left else kept


def headlines(train: Mapping[str, Any]) -> dict[str, Any]:
    """Return the figures that the aims are about: Ridge, one model an asset, each way at its most models."""
    found: dict[str, Any] = {}
    sizes = train.get("sizes", {}).get("ridge_1", {})
    for models in sorted(sizes, key=int):  # the greatest is written last
        for way, values in sizes[models].items():
            if way in WAYS:
                found[f"train.{way}.ms_per_model"] = values["ms_per_model"]
                found[f"train.{way}.models"] = int(models)
                if "projection_ms_per_model" in values:
                    found[f"train.{way}.projection_ms_per_model"] = values["projection_ms_per_model"]
            elif way.startswith("score_"):
                found[f"score.{way.removeprefix('score_')}.ms_per_model"] = values["ms_per_model"]
            elif way == "resume":
                found["resume.after_kill_s"] = values["seconds"]
    most = sizes.get("10000", {})
    if whole := most.get("datadriver_sqlite"):
        found["train.models_per_second_10k"] = rounded(10000 / whole["seconds"])
        found["train.peak_mb_10k"] = whole["peak_mb"]
        found["train.marginal_growth"] = rounded(
            whole["ms_per_model_5000_to_10000"] / whole["ms_per_model_500_to_1000"]
        )
    if idle := most.get("nothing_to_do"):
        found["resume.nothing_to_do_s_10k"] = idle["seconds"]
    if stages_of := train.get("stages", {}).get("ridge_1"):
        found["train.tracking_ms_per_model"] = stages_of["tracking"]
    return found


def _sizes(text: str) -> list[int]:
    return sorted(int(size) for size in text.split(","))


def _parts(text: str) -> list[str]:
    names = [name for name in PARTS if name in text.split(",")]
    if strange := set(text.split(",")) - set(PARTS):
        raise argparse.ArgumentTypeError(f"no part {', '.join(sorted(strange))}; there are {', '.join(PARTS)}")
    return names


def main() -> None:
    """Measure part by part; the results file has the figures of each as soon as there are some."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=_sizes, default=[100, 1000, 10000], help="sizes, for example 100,1000")
    parser.add_argument("--only", type=_parts, default=DEFAULT, help=f"parts, some of {','.join(PARTS)}")
    for way, models in (("stock", 200), ("tutorial", 4), ("postgres", 1000), ("http", 200)):
        parser.add_argument(f"--{way}", type=int, default=models, help=f"most models for {way}")
    parser.add_argument("--place", type=Path, help="where fleets are made; default: the folder for temporary files")
    parser.add_argument("--results", type=Path, default=RESULTS)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="datadriver-bench-", dir=chosen.place) as folder:
        for name in chosen.only:
            measure(name, Path(folder), chosen)
            if chosen.results == RESULTS:
                write_page()
    for key, value in headlines(_read(chosen.results).get("train", {})).items():
        print(f"{key:45}{value:10,.4g}")


if __name__ == "__main__":
    main()
