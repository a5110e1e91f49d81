"""A real engine, a parent made of Debian packages, and the base image of a small use case, built once and kept."""

from __future__ import annotations

import fcntl
import importlib.util
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest

from datadriver.cli.new import render
from datadriver.config.load import load_usecase
from datadriver.config.sections import UseCase
from datadriver.errors import UnavailableError
from datadriver.images.base import BaseBuild
from datadriver.images.engine import Engine
from datadriver.images.spec import BaseImage

PARENT = "datadriver-tests/debian:bookworm"
CACHE = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "datadriver-tests"
SECRET = "only-the-build-may-see-this-4f1d"
"""In the pip configuration and in the bundle of certificates of the build, and nowhere else."""
SERVER = Path(__file__).parents[2] / "benchmarks" / "registry_server.py"
SCRIPT = Path(__file__).parents[2] / "deploy" / "debian-parent.sh"
PACKAGE = f"""
package:
  base_image: {PARENT}
  registry: "${{IMAGED_REGISTRY:-}}"
  secrets: {{pip: pip.conf, certificates: certificates.pem}}
environments:
  assets: {{package: {{per: asset}}}}
  killed: {{package: {{per: asset}}}}
  two: {{package: {{per: asset}}}}
  pruned: {{package: {{per: asset, keep: 2}}}}
"""


@dataclass(frozen=True)
class Case:
    """A use case that images are made of, and its base image in the engine."""

    root: Path
    usecase: UseCase
    base: BaseImage


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    """The engine of this machine; one is started, and stopped in the end, where there is none and it can be."""
    with locked("engine"):
        started = None if _answers() else _start()
    yield Engine.connect()
    if started is not None:
        started.terminate()
        started.wait(60)


@pytest.fixture(scope="session")
def parent(engine: Engine) -> str:
    """Debian with Python, as `deploy/debian-parent.sh` makes it: kept from run to run."""
    with locked("parent"):
        if engine.base(PARENT) is None:
            if os.getuid() or not shutil.which("debootstrap"):
                pytest.skip("making a parent image needs root and debootstrap")
            subprocess.run([SCRIPT, PARENT, CACHE / "debian-bookworm.tar"], check=True)
    return PARENT


@pytest.fixture(scope="session")
def case(engine: Engine, parent: str, tmp_path_factory: pytest.TempPathFactory) -> Case:
    """A rendered use case, and its base image: built where its content key is not in the engine yet."""
    root = make_case(tmp_path_factory.mktemp("imaged"))
    usecase = load_usecase(root)
    with locked("base"):
        build = BaseBuild.of(usecase, root)
        image = engine.base(build.name) or build.run(engine, build.name, revision="0" * 40, network="host")
    return Case(root, usecase, image)


@pytest.fixture(scope="session")
def base(case: Case) -> BaseImage:
    """The base image of that use case."""
    return case.base


@pytest.fixture(scope="session")
def tools() -> ModuleType:
    """The benchmarks' way to start registries; tests are skipped without the program."""
    spec = importlib.util.spec_from_file_location("registry_server", SERVER)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["registry_server"] = module  # for its dataclasses
    spec.loader.exec_module(module)
    if module.BINARY is None:
        pytest.skip("docker-registry is not installed")
    return module


def make_case(folder: Path) -> Path:
    """Render the use case with what its build needs to reach the index of this machine."""
    root = render("imaged", problem="regression", ci="none", sample_data=True, folder=folder)
    with (root / "usecase.yaml").open("a", encoding="utf-8") as file:
        file.write(PACKAGE)
    reach_index(root)
    return root


def reach_index(root: Path) -> None:
    """Write the files of `package.secrets`: with them a build reaches the index of this machine."""
    index = _pip("global.index-url")
    asked = f"index-url = {index}\n" if index else ""
    (root / "pip.conf").write_text(f"# {SECRET}\n[global]\n{asked}timeout = 120\n", "utf-8")
    bundle = next(filter(None, map(os.environ.get, ("PIP_CERT", "SSL_CERT_FILE"))), _certifi())
    (root / "certificates.pem").write_text(f"# {SECRET}\n{Path(bundle).read_text('utf-8')}", "utf-8")


def _pip(key: str) -> str:
    command = [sys.executable, "-m", "pip", "config", "get", key]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return os.environ.get("PIP_INDEX_URL") or done.stdout.strip()


def _certifi() -> str:
    import certifi  # noqa: PLC0415

    return certifi.where()


def _answers() -> bool:
    try:
        Engine.connect()
    except UnavailableError:
        return False
    return True


def _start() -> subprocess.Popen[bytes]:
    if os.environ.get("DOCKER_HOST") or os.getuid() or not shutil.which("dockerd"):
        pytest.skip("no Docker engine answers, and starting one needs root and dockerd")
    if "PYTEST_XDIST_WORKER" in os.environ:  # the others would lose it when this worker ends first
        pytest.skip("no Docker engine answers; tests in several processes need one that runs already")
    with (CACHE / "dockerd.log").open("wb") as log:
        started = subprocess.Popen(["dockerd"], stdout=log, stderr=log)
    for _ in range(120):
        if _answers():
            return started
        time.sleep(0.5)
    started.terminate()
    pytest.fail(f"dockerd did not start within a minute: see {CACHE / 'dockerd.log'}")


@contextmanager
def locked(what: str) -> Iterator[None]:
    """Let one process at a time do something."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"{what}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
