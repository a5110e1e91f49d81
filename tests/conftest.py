"""A tiny use case on disk, three assets of 200 rows, for the tests that go through the whole house."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import sqlite3
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa
from hypothesis import settings

if TYPE_CHECKING:
    from playwright.sync_api import Browser

# Every day the same few examples, so that a change is judged by what it changes; `make soak` searches for new ones.
settings.register_profile("daily", max_examples=40, deadline=None, derandomize=True)
settings.register_profile("soak", max_examples=10_000, deadline=None)
settings.load_profile("daily")

POSTGRES = Path("/usr/lib/postgresql/15/bin")
ASSETS = ("P-1", "P-2", "15/9-F-1 C")

YAML = """
name: tiny
fleet: {assets: fleet.csv}
data:
  resolution: 1h
  sources:
    sensors: {format: parquet, path: sensors.parquet, index: ts, asset: pump}
models:
  temperature:
    problem: regression
    target: {column: temperature}
    features: tiny.features:load
    estimator: tiny.models:ridge
    baseline: tiny.models:mean
    window: {min_rows: 20, lookback: 2h}
    evaluate: {metrics: [mae, r2], primary: mae, holdout: 20%, pooled: [mae]}
    alarm: {on: residual, above: {quantile: 0.99}}
scores: {window: 2d}
tracking: {plots: false}
"""

FEATURES = """
import pandas as pd

def load(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[["current", "flow"]].assign(flow_before=frame["flow"].shift(1)).bfill()
"""

MODELS = """
from sklearn.dummy import DummyRegressor
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

def ridge(alpha=1.0):
    return make_pipeline(StandardScaler(), Ridge(alpha=alpha))

def mean():
    return DummyRegressor()
"""

SUITE = """
{"name": "sensors", "expectations": [
  {"type": "expect_column_values_to_be_between", "severity": "critical",
   "kwargs": {"column": "flow", "min_value": -50, "max_value": 50, "mostly": 0.99}}
], "meta": {}}
"""


def sensor_rows(asset: str, *, rows: int = 200, start: str = "2026-03-01", seed: int = 0) -> pd.DataFrame:
    """Make a pump whose temperature follows its current and flow."""
    generator = np.random.default_rng([seed, *asset.encode()])
    current, flow = generator.normal(20, 3, rows), generator.normal(5, 2, rows)
    return pd.DataFrame(
        {
            "pump": asset,
            "ts": pd.date_range(start, periods=rows, freq="h", tz="UTC"),
            "current": current,
            "flow": flow,
            "temperature": 40 + 2 * current - 3 * flow + generator.normal(0, 0.5, rows),
        }
    )


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--kills",
        type=int,
        default=0,
        help="random moments at which commands are killed, for tests/soak (default: few)",
    )
    parser.addoption(
        "--screenshots",
        type=Path,
        help="folder for pictures of Airflow's pages, such as docs/images (default: they are thrown away)",
    )


@dataclass(frozen=True)
class TinyCase:
    """The folder of the use case, and the ways in which tests change and call it."""

    root: Path
    assets = ASSETS
    rows = staticmethod(sensor_rows)

    def edit(self, old: str, new: str, file: str = "usecase.yaml") -> None:
        path = self.root / file
        text = path.read_text("utf-8")
        assert old in text
        path.write_text(text.replace(old, new), "utf-8")

    def read(self, file: str) -> str:
        return (self.root / file).read_text("utf-8")

    def guard(self) -> None:
        """Put the contract in force: flow within 50."""
        self.edit("\nmodels:", "\ncontract: {suite: contracts/sensors.json}\nmodels:")

    def data(self) -> pd.DataFrame:
        return pd.read_parquet(self.root / "sensors.parquet")

    def write(self, data: pd.DataFrame) -> None:
        data.to_parquet(self.root / "sensors.parquet", index=False)

    def run(self, *arguments: str, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Run the command line in the use case, as a user would."""
        return subprocess.run(
            [sys.executable, "-m", "datadriver", *arguments],
            cwd=self.root,
            env={**os.environ, **(environment or {})},
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )


def make_tiny(root: Path, store: Path) -> TinyCase:
    """Write three assets with one Ridge model each; the tracking store has its tables already."""
    countries = ("NO", "GB", "NO")
    files = {
        "usecase.yaml": YAML,
        "fleet.csv": "asset_id,country\n"
        + "".join(f"{asset},{c}\n" for asset, c in zip(ASSETS, countries, strict=True)),
        "contracts/sensors.json": SUITE,
        "src/tiny/__init__.py": "",
        "src/tiny/features.py": FEATURES,
        "src/tiny/models.py": MODELS,
    }
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text.lstrip("\n"), "utf-8")
    (root / ".datadriver").mkdir()
    shutil.copy(store, root / ".datadriver" / "mlflow.db")
    case = TinyCase(root)
    case.write(pd.concat([sensor_rows(asset) for asset in ASSETS]))
    return case


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the settings of whoever runs the tests out of them."""
    for name in list(os.environ):
        if name.startswith(("MLFLOW_TRACKING", "MLFLOW_REGISTRY", "GX_")):
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def mlflow_tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow store without content: making its tables takes seconds, copying them does not."""
    from datadriver.config.sections import Tracking  # noqa: PLC0415 - most tests need none of it
    from datadriver.tracking.mlflow_store import connect  # noqa: PLC0415 - MLflow

    root = tmp_path_factory.mktemp("mlflow-tables")
    connect(Tracking(uri="sqlite:///mlflow.db"), root)
    # A plain copy would miss what is still in the write-ahead log.
    with closing(sqlite3.connect(root / "mlflow.db")) as made, closing(sqlite3.connect(root / "tables.db")) as whole:
        made.backup(whole)
    return root / "tables.db"


@pytest.fixture
def tiny(tmp_path: Path, mlflow_tables: Path) -> TinyCase:
    """Three assets with one Ridge model each, nothing trained yet."""
    return make_tiny(tmp_path / "tiny", mlflow_tables)


@pytest.fixture(scope="session")
def new_tiny(mlflow_tables: Path) -> Callable[[Path], TinyCase]:
    """Makes the same in any folder, for what several tests look at."""
    return lambda root: make_tiny(root, mlflow_tables)


@pytest.fixture(scope="session")
def _served(tmp_path_factory: pytest.TempPathFactory, mlflow_tables: Path) -> TinyCase:
    from datadriver.project import Project  # noqa: PLC0415

    case = make_tiny(tmp_path_factory.mktemp("served") / "tiny", mlflow_tables)
    report = Project.open(case.root).run(workers=2)
    assert report.failure is None
    return case


@pytest.fixture
def served(_served: TinyCase, tmp_path: Path) -> TinyCase:
    """The same, trained, promoted and scored; a copy, so that tests may change it."""
    shutil.copytree(_served.root, tmp_path / "tiny")
    return TinyCase(tmp_path / "tiny")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """The system's Chromium, one for the tests of a file; without one those that need it are skipped.

    Not for longer: as long as it is there, Playwright's event loop is the one of this thread, and no other can run.
    """
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("needs Chromium")
    from playwright.sync_api import sync_playwright  # noqa: PLC0415

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def new_database(postgres: str) -> Callable[..., str]:
    """Makes a PostgreSQL database, empty or as a copy of another one to which nobody is connected; gives its URL."""

    def create(template: str | None = None) -> str:
        name = f"datadriver_{uuid.uuid4().hex}"
        copied = f" TEMPLATE {template.rpartition('/')[2]}" if template else ""
        engine = sa.create_engine(f"{postgres.replace('://', '+psycopg://')}/postgres", isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {name}{copied}")
        engine.dispose()
        return f"{postgres}/{name}"

    return create


@pytest.fixture(scope="session")
def migrated_database(new_database: Callable[..., str]) -> str:
    """URL of a PostgreSQL database with MLflow's tables, which nobody is connected to: a template."""
    uri = new_database()
    code = (
        "import sys; from pathlib import Path; from datadriver.config.sections import Tracking; "
        "from datadriver.tracking.mlflow_store import connect; connect(Tracking(uri=sys.argv[1]), Path())"
    )
    subprocess.run([sys.executable, "-c", code, uri], check=True, timeout=120)
    return uri


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A PostgreSQL server of its own on a free port, as URL without database."""
    if not (POSTGRES / "initdb").exists():
        pytest.skip(f"no PostgreSQL in {POSTGRES}")
    if os.getuid() != 0:
        pytest.skip("starting PostgreSQL as its own user needs root")
    try:
        account = pwd.getpwnam("postgres")
    except KeyError:
        pytest.skip("there is no user postgres")
    home = (
        Path("/tmp") / f"datadriver-postgres-{os.getpid()}"
    )  # where the user postgres may go, unlike pytest's folders
    home.mkdir(mode=0o700)
    os.chown(home, account.pw_uid, account.pw_gid)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

    def run(*command: str) -> None:
        subprocess.run(command, user="postgres", check=True, capture_output=True, timeout=60, cwd=home)

    options = f"-p {port} -k {home} -c listen_addresses=127.0.0.1 -c fsync=off"
    try:
        run(str(POSTGRES / "initdb"), "-D", f"{home}/data", "-A", "trust", "-U", "postgres", "--no-sync")
        run(str(POSTGRES / "pg_ctl"), "-D", f"{home}/data", "-w", "-l", f"{home}/log", "-o", options, "start")
        yield f"postgresql://postgres@127.0.0.1:{port}"
        run(str(POSTGRES / "pg_ctl"), "-D", f"{home}/data", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(home, ignore_errors=True)
