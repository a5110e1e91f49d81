"""Images without Docker: the folders that an image has, made from a trained use case."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest

from datadriver.project import Project
from datadriver.serving.manifest import MANIFEST
from datadriver.serving.packaged import Package, open_package
from datadriver.serving.packing import Packed, Packer
from datadriver.tracking import queries
from datadriver.tracking.records import Key


@dataclass(frozen=True)
class ImageFolders:
    """`/usecase` and `/model` of an image, and the ways in which tests look into it."""

    usecase: Path
    model: Path

    def open(self) -> Package:
        return open_package(self.model, self.usecase)

    @property
    def environment(self) -> dict[str, str]:
        return {"DATADRIVER_ROOT": str(self.usecase), "DATADRIVER_MODEL": str(self.model)}

    def run(
        self, *arguments: str, text: str = "", environment: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run the command of the image, as its entrypoint does."""
        return subprocess.run(
            [sys.executable, "-c", "import sys; from datadriver.cli.inside import main; sys.exit(main())", *arguments],
            cwd=self.model,
            env={**os.environ, **self.environment, **(environment or {})},
            input=text,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )


def pack(project: Project, *keys: str, assets: tuple[str, ...] | None = None) -> Packed:
    """Pack the champions of some instances, for some assets or for all of their units."""
    chosen = [project.instance(key) for key in keys]
    champions = queries.champions(project.ledger)
    found = {asset.id: asset for one in chosen for asset in one.unit.assets if assets is None or asset.id in assets}
    pairs = [(one, champions[Key(one.unit.key, one.model)]) for one in chosen]
    return Packer.of(project.usecase, project.root, project.env).pack(tuple(found.values()), pairs)


def make_image(root: Path, place: Path, *keys: str, assets: tuple[str, ...] | None = None) -> ImageFolders:
    """Write the folders of an image; the base has configuration, code and contracts, and nothing else."""
    image = ImageFolders(place / "usecase", place / "model")
    packed = pack(Project.open(root), *keys, assets=assets)
    image.model.mkdir(parents=True)
    for name, content in {**packed.archives, MANIFEST: packed.manifest.to_bytes()}.items():
        (image.model / name).write_bytes(content)
    image.usecase.mkdir()
    shutil.copy(root / "usecase.yaml", image.usecase)
    shutil.copytree(root / "src", image.usecase / "src", ignore=shutil.ignore_patterns("__pycache__"))
    if (root / "contracts").is_dir():
        shutil.copytree(root / "contracts", image.usecase / "contracts")
    return image


@pytest.fixture
def image(served, tmp_path) -> ImageFolders:
    """An image of P-1 with its one model."""
    return make_image(served.root, tmp_path / "image", "P-1/temperature")


@pytest.fixture(scope="session")
def shared_package(_served, tmp_path_factory) -> Package:
    """The same, opened; for tests that change nothing."""
    return make_image(_served.root, tmp_path_factory.mktemp("shared") / "image", "P-1/temperature").open()


@pytest.fixture(scope="session")
def rows(_served) -> pd.DataFrame:
    """The readings of P-1."""
    data = _served.data()
    return data[data["pump"] == "P-1"].reset_index(drop=True)


@pytest.fixture(name="pack", scope="session")
def pack_() -> Callable[..., Packed]:
    """Packs the champions of some instances."""
    return pack


@pytest.fixture(name="make_image", scope="session")
def make_image_() -> Callable[..., ImageFolders]:
    """Writes the folders of an image."""
    return make_image


# A use case whose models look at one row alone ------------------------------------------------------------------------


@pytest.fixture(scope="session")
def by_row(_served, tmp_path_factory):
    """Three assets whose features, mask and alarms are of one instant alone, trained and promoted."""
    root = tmp_path_factory.mktemp("by-row") / "tiny"
    shutil.copytree(_served.root, root)
    case = type(_served)(root)
    case.guard()
    case.edit("window: {min_rows: 20, lookback: 2h}", "window: {min_rows: 20}")
    case.edit(
        'return frame[["current", "flow"]].assign(flow_before=frame["flow"].shift(1)).bfill()',
        'point = frame[["current", "flow"]].assign(power=frame["current"] * frame["flow"])\n    return point',
        "src/tiny/features.py",
    )
    case.edit("DummyRegressor()", "make_pipeline(SimpleImputer(), DummyRegressor())", "src/tiny/models.py")
    case.edit("make_pipeline(StandardScaler()", "make_pipeline(SimpleImputer(), StandardScaler()", "src/tiny/models.py")
    case.edit(
        "from sklearn.linear", "from sklearn.impute import SimpleImputer\nfrom sklearn.linear", "src/tiny/models.py"
    )
    for command in (("train", "--force"), ("promote", "--force"), ("score", "--start", "2026-03-05")):
        done = case.run(*command)
        assert done.returncode == 0, done.stdout + done.stderr
    return case


@pytest.fixture
def by_row_copy(by_row, tmp_path):
    """The same; a copy, so that tests may change it."""
    shutil.copytree(by_row.root, tmp_path / "tiny")
    return type(by_row)(tmp_path / "tiny")
