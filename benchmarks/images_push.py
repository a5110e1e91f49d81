"""What it takes to push images straight to a registry: one per model, on a base of six layers, from this machine.

A docker-registry runs beside; everything shares the processors. Measured are a fleet's first push, a next version of
every model, and a push with nothing to do; the first again over a line with a round trip of 10 ms and TLS; and how many
bytes of the registry each image takes besides its model.

    python benchmarks/images_push.py --images 200
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "benchmarks"))

from registry_server import Authority, Line, RegistryServer, push_tiny_base  # noqa: E402 - beside this file
from results import merge_results  # noqa: E402 - beside this file

from datadriver.config.fleet import Asset  # noqa: E402 - after the path
from datadriver.images.layer import build_layer  # noqa: E402
from datadriver.images.names import base_repository, model_repository  # noqa: E402
from datadriver.images.registry import Registry  # noqa: E402
from datadriver.images.spec import BaseImage, Image  # noqa: E402
from datadriver.serving.manifest import PackagedModel, PackageManifest  # noqa: E402

ROUND_TRIP = 0.010
MODEL_BYTES = 4000


def measure_push(images: int, *, repeats: int = 3, layers: int = 6) -> dict[str, Any]:
    """Return ms per image, medians of so many fleets, and bytes per image besides the model."""
    with tempfile.TemporaryDirectory() as folder:
        plain, secured = Path(folder) / "plain", Path(folder) / "secured"
        server = RegistryServer(plain).start()
        try:
            figures = _plain(server, images, repeats, layers)
        finally:
            server.stop()
        server = RegistryServer(secured).start()
        try:
            figures |= _slow_line(server, images, repeats, layers)
        finally:
            server.stop()
    return figures


def _plain(server: RegistryServer, images: int, repeats: int, layers: int) -> dict[str, Any]:
    registry = Registry(server.host)
    times: dict[str, list[float]] = {"first": [], "next": [], "nothing": []}
    sizes: list[float] = []
    for number in range(repeats):
        prefix = f"fleet{number}"
        base = _base(server, registry, prefix, layers)
        first, second = (fleet(base, prefix, images, version) for version in (1, 2))
        before = _stored(server)
        times["first"].append(_push(registry, first, prefix))
        sizes.append((_stored(server) - before) / images - MODEL_BYTES)
        times["next"].append(_push(registry, second, prefix))
        times["nothing"].append(_push(registry, second, prefix))
    return {
        "ms_per_image": _median(times["first"]),
        "next_version_ms_per_image": _median(times["next"]),
        "nothing_to_do_ms_per_image": _median(times["nothing"]),
        "overhead_bytes": round(statistics.median(sizes)),
        "requests_of_a_first_image": layers + 7,
        "base_layers": layers,
        "images": images,
    }


def _slow_line(server: RegistryServer, images: int, repeats: int, layers: int) -> dict[str, Any]:
    prefixes = [f"fleet{number}" for number in range(repeats)]
    bases = [_base(server, Registry(server.host), prefix, layers) for prefix in prefixes]
    server.stop()
    authority = Authority.make(server.folder)
    server.certificate = (authority.certificate, authority.key)
    server.start()
    line = Line(server.host, ROUND_TRIP).start()
    try:
        registry = Registry(line.host, certificates=authority.bundle)
        times = [
            _push(registry, fleet(base, prefix, images, 1), prefix)
            for base, prefix in zip(bases, prefixes, strict=True)
        ]
    finally:
        line.stop()
    return {"slow_line_with_tls_ms_per_image": _median(times)}


def _push(registry: Registry, images: Sequence[Image], prefix: str) -> float:
    start = time.perf_counter()
    pushed = list(registry.push(images, base_repository=base_repository(prefix)))
    seconds = time.perf_counter() - start
    assert len(pushed) == len(images)
    return 1000 * seconds / len(images)


def _base(server: RegistryServer, registry: Registry, prefix: str, layers: int) -> BaseImage:
    push_tiny_base(server, f"{base_repository(prefix)}:1", layers=layers)
    base = registry.base(f"{base_repository(prefix)}:1")
    assert base is not None
    return base


def fleet(base: BaseImage, prefix: str, images: int, version: int) -> list[Image]:
    """Make images of one model each, of some kilobytes, on a base."""
    return [_image(base, prefix, f"P-{number}", version) for number in range(images)]


def _image(base: BaseImage, prefix: str, asset: str, version: int) -> Image:
    archive = random.Random(f"{prefix}{asset}{version}").randbytes(MODEL_BYTES)
    model = PackagedModel(
        unit=asset,
        model="motor_temperature",
        version=version,
        role="champion",
        method="predict",
        path="motor_temperature/model.skops",
        sha256=hashlib.sha256(archive).hexdigest(),
        size=len(archive),
        assets=(asset,),
        features=tuple((f"feature_{number}", "float64") for number in range(8)),
        result_key="0" * 64,
        versions={"numpy": "2.2", "pandas": "3.1", "scikit-learn": "1.9", "scipy": "1.15", "skops": "0.16"},
    )
    manifest = PackageManifest("pumps", (Asset(asset, {"country": "NO", "site": "north"}),), (model,))
    layer = build_layer(manifest, {model.path: archive})
    return Image(model_repository(prefix, asset, model.model), f"v{version}", base, layer)


def _stored(server: RegistryServer) -> int:
    """Count the bytes of all blobs in the registry's storage."""
    return sum(path.stat().st_size for path in (server.folder / "store").rglob("blobs/sha256/*/*/data"))


def _median(values: Sequence[float]) -> float:
    return round(statistics.median(values), 1)


def headlines(figures: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the file of results has, by dotted key."""
    rest = {name: value for name, value in figures.items() if name != "overhead_bytes"}
    return {"images.push": rest, "images.overhead_bytes": figures["overhead_bytes"]}


def main() -> None:
    """Measure, print and write down."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--no-write", action="store_true", help="leave results.json alone")
    options = parser.parse_args()
    figures = measure_push(options.images, repeats=options.repeats, layers=options.layers)
    print(json.dumps(figures, indent=2))
    if not options.no_write:
        merge_results(ROOT / "benchmarks" / "results.json", headlines(figures))


if __name__ == "__main__":
    main()
