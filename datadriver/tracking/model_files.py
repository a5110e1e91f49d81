"""A model as a directory that plain MLflow loads: MLmodel, the skops archive, its environment and our manifest.

`mlflow.sklearn.save_model` would write the same files after it imported MLflow, inferred requirements in a second
process and dumped twice: seconds a model, against milliseconds here. A test compares the two.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import platform
import shutil
import sys
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datadriver.config.fleet import Instance
from datadriver.errors import ConfigError, UnavailableError
from datadriver.tracking.artefacts import ARCHIVE, dumped, explain, unknown_of
from datadriver.tracking.environment import distributions_by_module, installed, versions
from datadriver.tracking.records import plain
from datadriver.tracking.run_content import yaml_text

if TYPE_CHECKING:
    from datadriver.training.results import TrainResult

MANIFEST = "datadriver.json"
MLMODEL = "MLmodel"
_CODE = "code"
_NO_MODEL_ID = "model_id: null\n"
_COVERED = {"builtins", "collections", "datetime", "functools", "numpy", "operator", "scipy", "sklearn", "zoneinfo"}
_COLUMN_TYPES = {
    "float64": "double",
    "float32": "float",
    "int64": "long",
    "int32": "integer",
    "bool": "boolean",
    "object": "string",
    "str": "string",
    "string": "string",
}


@dataclass(frozen=True)
class ModelFiles:
    """A written model directory; `sha256` and `size` (bytes) are those of its `model.skops`."""

    path: Path
    sha256: str
    size: int


def write_model(
    directory: Path, result: TrainResult, instance: Instance, *, code_digest: str, contract_digest: str | None = None
) -> ModelFiles:
    """Write `result.estimator` as an MLflow model into `directory` (new or empty); needs no tracking store.

    Where the archive holds objects of the use case's own classes, its package is copied beside it, so that plain
    MLflow finds them.

    Raises:
        UseCaseError: the estimator holds something that cannot be stored, such as a lambda or a pandas object.
        ConfigError: it holds a type that nobody vouched for; the message names the key to set.
        UnavailableError: the directory cannot be written.
    """
    package, tracking = instance.usecase.name, instance.usecase.tracking
    archive, types = dumped(result.estimator)
    unknown = unknown_of(types, package=package, trusted=tracking.trusted_types)
    if unknown:
        raise ConfigError(f"tracking.trusted_types: {instance.key}: {explain(unknown)}")
    own_code = any(name.startswith(f"{package}.") for name in types)
    sha256 = hashlib.sha256(archive).hexdigest()
    requirements = "\n".join(_requirements(types, package))
    files = {
        MLMODEL: yaml_text(_mlmodel(result, types, size=len(archive), own_code=own_code)),
        MANIFEST: json.dumps(
            _manifest(result, instance, sha256, code_digest=code_digest, contract_digest=contract_digest),
            sort_keys=True,  # and on one line: json writes lines in Python, ten times as slowly
        ),
        "requirements.txt": requirements,
        **_environments(requirements),
    }
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (directory / name).write_text(text, encoding="utf-8")
        if own_code:
            _copy_package(package, directory / _CODE)
        (directory / ARCHIVE).write_bytes(archive)
    except OSError as error:
        shutil.rmtree(directory, ignore_errors=True)
        raise UnavailableError(
            f"{instance.key}: the model cannot be written to {directory}: {error.strerror or error}"
        ) from error
    return ModelFiles(directory, sha256, len(archive))


def read_manifest(directory: Path) -> dict[str, Any]:
    """What `write_model` noted about a model: instance, role, threshold, reference quantiles, digests, versions."""
    manifest: dict[str, Any] = json.loads((directory / MANIFEST).read_text(encoding="utf-8"))
    return manifest


def adopt_mlmodel(directory: Path, *, model_id: str, run_id: str, location: str) -> None:
    """Write into `MLmodel` which logged model of which run it became, as `log_model` does."""
    path = directory / MLMODEL
    known = {"artifact_path": location, "model_id": model_id, "run_id": run_id}
    text = path.read_text(encoding="utf-8").replace(f"\n{_NO_MODEL_ID}", "\n")
    lines = (f"{name}: {json.dumps(value)}\n" for name, value in known.items())  # parsing YAML takes 20 times as long
    path.write_text(text + "".join(lines), encoding="utf-8")


def _mlmodel(result: TrainResult, types: tuple[str, ...], *, size: int, own_code: bool) -> dict[str, Any]:
    code = _CODE if own_code else None
    return {
        "flavors": {
            "python_function": {
                "env": {"conda": "conda.yaml", "virtualenv": "python_env.yaml"},
                "loader_module": "mlflow.sklearn",
                "model_path": ARCHIVE,
                "predict_fn": result.method,
                "python_version": platform.python_version(),
                **({"code": code} if code else {}),
            },
            "sklearn": {
                "code": code,
                "pickled_model": ARCHIVE,
                "serialization_format": "skops",
                "sklearn_version": installed("scikit-learn"),
                "skops_trusted_types": list(types),
            },
        },
        "is_signature_from_type_hint": False,
        "mlflow_version": installed("mlflow"),
        "model_id": None,
        "model_size_bytes": size,
        "model_uuid": uuid.uuid4().hex,
        "prompts": None,
        "signature": _signature(result),
        "type_hint_from_example": False,
        "utc_time_created": str(datetime.now(UTC).replace(tzinfo=None)),
    }


def _signature(result: TrainResult) -> dict[str, str | None]:
    """The feature frame as input; the scores as output: with `predict_proba`, column 1 is the score."""
    inputs = [
        {"type": _COLUMN_TYPES.get(dtype, "double"), "name": name, "required": True} for name, dtype in result.features
    ]
    shape = [-1, 2] if result.method == "predict_proba" else [-1]
    outputs = [{"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": shape}}]
    return {"inputs": json.dumps(inputs), "outputs": json.dumps(outputs), "params": None}


def _manifest(
    result: TrainResult, instance: Instance, sha256: str, *, code_digest: str, contract_digest: str | None
) -> dict[str, Any]:
    manifest = {
        "usecase": instance.usecase.name,
        "unit": result.unit,
        "model": result.model,
        "problem": instance.spec.problem,
        "role": result.role,
        "method": result.method,
        "features": [list(column) for column in result.features],
        "threshold": result.threshold,
        "reference": result.reference,
        "seen": result.seen,
        "sha256": sha256,
        "result_key": result.result_key,
        "frame_digest": result.frame_digest,
        "code_digest": code_digest,
        "contract_digest": contract_digest,
        "versions": versions("datadriver"),
        "python": platform.python_version(),
        "platform": f"{sys.platform}-{platform.machine()}",
    }
    return {name: plain(value) for name, value in manifest.items()}


def _requirements(types: tuple[str, ...], package: str) -> list[str]:
    """Pins of what is needed to load the archive, from what is installed here."""
    modules = {name.partition(".")[0] for name in types} - _COVERED - {package}
    owners = distributions_by_module() if modules else {}
    pins = versions(*(owner for module in modules for owner in owners.get(module, ())))
    return [f"{name}=={number}" for name, number in sorted(pins.items())]


@cache
def _environments(requirements: str) -> dict[str, str]:
    """Files that most models of a fleet have in common."""
    return {
        "python_env.yaml": yaml_text(_python_env()),
        "conda.yaml": yaml_text(_conda_env(requirements.splitlines())),
    }


def _python_env() -> dict[str, Any]:
    pins = [f"{name}=={installed(name)}" for name in ("pip", "setuptools") if installed(name)]
    return {
        "python": platform.python_version(),
        "build_dependencies": [*pins, "wheel"],
        "dependencies": ["-r requirements.txt"],
    }


def _conda_env(requirements: list[str]) -> dict[str, Any]:
    pip = installed("pip")
    return {
        "channels": ["conda-forge"],
        "dependencies": [f"python={platform.python_version()}", f"pip<={pip}" if pip else "pip", {"pip": requirements}],
        "name": "mlflow-env",
    }


def _copy_package(package: str, directory: Path) -> None:
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ConfigError(f"the model holds objects of the package {package!r}, which cannot be found any more")
    source = next(iter(spec.submodule_search_locations))
    shutil.copytree(
        source, directory / package, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"), dirs_exist_ok=True
    )
