"""datadriver: from one notebook to a fleet of per-asset models.

The public names below are loaded when they are first used, so that `import datadriver` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datadriver.config.fleet import Asset, Instance, Unit
    from datadriver.config.sections import UseCase
    from datadriver.data.contract.verdict import Verdict
    from datadriver.data.frame import SensorFrame
    from datadriver.data.window import Window
    from datadriver.errors import (
        ConfigError,
        ContractBreach,
        DatadriverError,
        DataError,
        MissingExtraError,
        PartialFailure,
        UnavailableError,
        UntrustedModelError,
        UseCaseError,
    )
    from datadriver.fleet.selection import Selection
    from datadriver.project import Project
    from datadriver.serving.scores import read_scores
    from datadriver.training.results import TrainResult

__version__ = "0.1.0"

_HOMES = {
    "datadriver.config.fleet": ("Asset", "Instance", "Unit"),
    "datadriver.config.sections": ("UseCase",),
    "datadriver.data.contract.verdict": ("Verdict",),
    "datadriver.data.frame": ("SensorFrame",),
    "datadriver.data.window": ("Window",),
    "datadriver.errors": (
        "ConfigError",
        "ContractBreach",
        "DataError",
        "DatadriverError",
        "MissingExtraError",
        "PartialFailure",
        "UnavailableError",
        "UntrustedModelError",
        "UseCaseError",
    ),
    "datadriver.fleet.selection": ("Selection",),
    "datadriver.project": ("Project",),
    "datadriver.serving.scores": ("read_scores",),
    "datadriver.training.results": ("TrainResult",),
}
_MODULES = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "Asset",
    "ConfigError",
    "ContractBreach",
    "DataError",
    "DatadriverError",
    "Instance",
    "MissingExtraError",
    "PartialFailure",
    "Project",
    "Selection",
    "SensorFrame",
    "TrainResult",
    "UnavailableError",
    "Unit",
    "UntrustedModelError",
    "UseCase",
    "UseCaseError",
    "Verdict",
    "Window",
    "__version__",
    "read_scores",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'datadriver' has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
