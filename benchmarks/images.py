"""What an image of a model costs: `docker build` beside one-archive `docker load` and a push; and its first prediction.

The base is that of a rendered use case, built for real on the parent that is given. `docker build` makes an image of
`FROM base` and `COPY model`, one after the other, as one would by hand; `docker load` takes the same layers as
`datadriver package` writes them, and a push goes to a docker-registry beside, from a base with as many layers. The
first prediction is timed from `docker run` to the answer, beside `docker run` of `import sklearn, pandas` in it.

    python benchmarks/images.py --parent python:3.11-slim
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "benchmarks"))

from images_push import MODEL_BYTES, fleet, headlines, measure_push  # noqa: E402 - beside this file
from images_start import cold_start  # noqa: E402 - beside this file
from results import merge_results  # noqa: E402 - beside this file

from datadriver.cli.new import render  # noqa: E402 - after the path
from datadriver.images.engine import Engine  # noqa: E402
from datadriver.images.spec import BaseImage, Image  # noqa: E402

PREFIX = "datadriver-benchmark"


def make_use_case(folder: Path, arguments: argparse.Namespace) -> tuple[str, str]:
    """Render, train and package a use case; return the names of its base image and of one model's image."""
    root = render("imaged", problem="regression", ci="none", sample_data=True, folder=folder)
    secrets = {name: getattr(arguments, name) for name in ("pip", "certificates") if getattr(arguments, name)}
    package = {"base_image": arguments.parent, "network": arguments.network, "secrets": secrets, "prefix": PREFIX}
    with (root / "usecase.yaml").open("a", encoding="utf-8") as file:
        file.write(f"\npackage: {json.dumps(package)}\n")
    for command in (["train", "--assets", "P-101"], ["promote"]):
        subprocess.run([sys.executable, "-m", "datadriver", *command, "-q"], cwd=root, check=True)
    said = subprocess.run(
        [sys.executable, "-m", "datadriver", "package", "--json"], cwd=root, check=True, stdout=subprocess.PIPE
    )
    report = json.loads(said.stdout)
    return report["base"], [*report["made"], *report["present"]][0]["name"]


def build_ms(base: str, images: list[Image]) -> float:
    """Return ms per image of `docker build`, one after the other."""
    with tempfile.TemporaryDirectory() as place:
        started = time.perf_counter()
        for number, image in enumerate(images):
            context = Path(place) / str(number)
            context.mkdir()
            (context / "layer.tar").write_bytes(image.layer)
            (context / "Dockerfile").write_text(f"FROM {base}\nADD layer.tar /\n")
            name = f"{PREFIX}/built-{number}"
            subprocess.run(["docker", "build", "-q", "-t", name, context], check=True, stdout=subprocess.DEVNULL)
        seconds = time.perf_counter() - started
    subprocess.run(
        ["docker", "rmi", *(f"{PREFIX}/built-{number}" for number in range(len(images)))],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return round(1000 * seconds / len(images), 1)


def load_ms(engine: Engine, images: list[Image]) -> float:
    """Return ms per image of loading them all."""
    started = time.perf_counter()
    loaded = [one.name for one in engine.load(images)]
    seconds = time.perf_counter() - started
    assert len(loaded) == len(images)
    engine.remove(loaded)
    return round(1000 * seconds / len(images), 1)


def measure(base: BaseImage, arguments: argparse.Namespace) -> dict[str, Any]:
    """Return what builds, loads and pushes cost."""
    engine = Engine.connect()
    few = fleet(base, f"{PREFIX}/few", arguments.builds, 1)
    many = fleet(base, f"{PREFIX}/many", arguments.images, 1)
    pushed = measure_push(arguments.images, repeats=1, layers=len(base.diff_ids))
    return {
        "images.docker_build.ms_per_image": build_ms(base.reference, few),
        "images.load.ms_per_image": load_ms(engine, many),
        "images.load.images": arguments.images,
        "images.model_bytes": MODEL_BYTES,
        **headlines(pushed),
    }


def main() -> None:
    """Measure, print and write down."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parent", default="python:3.11-slim", help="of the base image")
    parser.add_argument("--network", help="of the build of the base")
    parser.add_argument("--pip", type=Path, help="a pip.conf for the build")
    parser.add_argument("--certificates", type=Path, help="CA certificates for the build")
    parser.add_argument("--images", type=int, default=1000, help="loaded, and pushed")
    parser.add_argument("--builds", type=int, default=10, help="images made with docker build")
    parser.add_argument("--repeats", type=int, default=5, help="of the first prediction")
    arguments = parser.parse_args()
    for name in ("pip", "certificates"):
        given = getattr(arguments, name)
        setattr(arguments, name, str(given.absolute()) if given else None)
    before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        base, image = make_use_case(Path(folder), arguments)
    found = Engine.connect().base(base)
    assert found is not None
    started = cold_start(image, arguments.repeats)
    figures = measure(found, arguments)
    figures |= {"images.cold_start": started, "images.cold_start_ratio": started["ratio"]}
    figures["images.machine_load"] = {"before": before, "after": os.getloadavg()[0]}
    merge_results(ROOT / "benchmarks" / "results.json", figures)
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
