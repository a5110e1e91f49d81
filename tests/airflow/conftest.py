"""Airflow's tables, made once, and databases with a copy of them; what runs Airflow is in `stack.py`."""

from __future__ import annotations

import importlib.util
import io
import json
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from datadriver.images.wheel import own_wheel

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))  # the modules of the stack


def _module(name: str, file: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # for its dataclasses
    spec.loader.exec_module(module)
    return module


images = _module("images_conftest", HERE.parent / "images" / "conftest.py")
# The engine, the parent of base images and the tools of registries are those of the tests of images.
engine, parent, tools = images.engine, images.parent, images.tools


@pytest.fixture(scope="session")
def airflow() -> ModuleType:
    """What runs Airflow."""
    import stack  # noqa: PLC0415 - beside this file

    return stack


@pytest.fixture(scope="session")
def airflow_tables(
    airflow: ModuleType, new_database: Callable[..., str], tmp_path_factory: pytest.TempPathFactory
) -> str:
    """URL of a PostgreSQL database with Airflow's tables, which nobody is connected to: a template."""
    database = new_database()
    airflow.migrate(database, tmp_path_factory.mktemp("airflow-tables"))
    return database


@pytest.fixture(scope="session")
def airflow_database(airflow: ModuleType, new_database: Callable[..., str], airflow_tables: str) -> Callable[[], str]:
    """Makes a database with Airflow's tables and the setting that makes recovery quick; gives its URL."""

    def create() -> str:
        database = new_database(airflow_tables)
        airflow.recover_quickly(database)
        return database

    return create


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for PYTHONPATH with datadriver as installed from a wheel: of a checkout, each task would build one."""
    folder = tmp_path_factory.mktemp("installed")
    wheel = own_wheel()
    assert wheel is not None, "tests run in a checkout"
    (folder / wheel.name).write_bytes(wheel.content)
    with zipfile.ZipFile(io.BytesIO(wheel.content)) as files:
        files.extractall(folder)
    [about] = folder.glob("*.dist-info")
    origin = {"url": (folder / wheel.name).as_uri(), "archive_info": {}}
    (about / "direct_url.json").write_text(json.dumps(origin), "utf-8")
    return folder


@pytest.fixture(scope="session")
def image_tools() -> ModuleType:
    """What the tests of images make a build with: a lock, the index and certificates of this machine."""
    return images
