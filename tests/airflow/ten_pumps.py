"""A rendered use case of ten pumps with data on disk; two of them are in trouble."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from datadriver.cli.new import render
from datadriver.project import Project

PUMPS = tuple(f"P-{number}" for number in range(101, 111))
WORN, BROKEN, RAISING = "P-103", "P-109", "P-110"
"""One wears after it was trained; the load of one is nonsense, which the contract rejects; at the vibration of one the
feature function raises."""
FINE = PUMPS[:8]
WORN_SINCE = pd.Timestamp("2025-02-25", tz="UTC")
REASON = "vibration in another unit"

STORES = """
tracking: {{uri: "${{{name}_TRACKING}}", artifacts: "${{{name}_STORES}}/artifacts", plots: false}}
ledger: {{uri: "${{{name}_LEDGER}}"}}
scores: {{path: "${{{name}_STORES}}/scores", window: 2d}}
"""
GUARD = f'''    if (frame["vibration"] > 12).mean() > 0.5:
        raise ValueError("{REASON}")
    return pd.DataFrame('''


@dataclass(frozen=True)
class UseCase:
    """The folder of a use case, the variables that it needs, and the ways in which tests call it."""

    root: Path
    variables: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.root.name

    @property
    def dags(self) -> Path:
        return self.root / "dags"

    def run(self, *arguments: str, code: int = 0) -> str:
        """Run a command as a user would, and return what it prints."""
        done = subprocess.run(
            [sys.executable, "-m", "datadriver", *arguments],
            cwd=self.root,
            env={**os.environ, **self.variables},
            capture_output=True,
            text=True,
            timeout=280,
            check=False,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout

    def json(self, *arguments: str, code: int = 0) -> Any:
        return json.loads(self.run(*arguments, "--json", code=code))

    def project(self) -> Project:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in self.variables.items():
                patch.setenv(name, value)
            return Project.open(self.root)

    def scores(self) -> pd.DataFrame:
        """Return all scores in order."""
        found = self.project().scores()
        return found.sort_values(list(found.columns[:4]), ignore_index=True)


def make_pumps(folder: Path, name: str, stores: Mapping[str, str], more: str = "") -> UseCase:
    """Render the use case `name` with ten pumps.

    `stores` are values of the variables `<NAME>_LEDGER`, `<NAME>_TRACKING` and others that `more` has, which is
    appended to `usecase.yaml`.
    """
    root = render(name, problem="regression", ci="none", sample_data=True, folder=folder)
    readings = _sample(root, name)
    (root / "data").mkdir(exist_ok=True)
    for pump in PUMPS:
        rows = readings(pump, None, None)
        rows = rows.assign(temperature=pd.to_numeric(rows["temperature"], errors="coerce"))
        if pump == WORN:
            rows["temperature"] += 20.0 * (rows["time"] >= WORN_SINCE)
        if pump == BROKEN:
            rows["load"] = 999.0
        if pump == RAISING:
            rows["vibration"] = rows["vibration"] + 12
        rows.to_parquet(root / "data" / f"{pump}.parquet", index=False)
    sites = ("north", "south")
    table = "".join(f"{pump},{sites[number % 2]},large\n" for number, pump in enumerate(PUMPS))
    (root / "fleet.csv").write_text("asset_id,site,type\n" + table, "utf-8")
    (root / "src" / name / "sample.py").unlink()
    _edit(root / "src" / name / "features.py", "    return pd.DataFrame(", GUARD)
    _edit(
        root / "usecase.yaml",
        f"format: python\n      function: {name}.sample:readings",
        'path: "data/{asset_id}.parquet"',
    )
    with (root / "usecase.yaml").open("a", encoding="utf-8") as file:
        file.write(STORES.format(name=name.upper()) + more)
    (root / ".datadriver").mkdir()
    values = {"STORES": str(root / ".datadriver"), **stores}
    return UseCase(root, {f"{name.upper()}_{key}": value for key, value in values.items()})


def _sample(root: Path, name: str) -> Any:
    spec = importlib.util.spec_from_file_location(f"{name}_sample", root / "src" / name / "sample.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.readings


def _edit(file: Path, old: str, new: str) -> None:
    text = file.read_text("utf-8")
    assert text.count(old) == 1
    file.write_text(text.replace(old, new), "utf-8")
