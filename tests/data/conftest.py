"""Small use cases for the data layer: only what the section `data` says matters here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from datadriver.config.sections import UseCase

_MODELS = {"m": {"problem": "regression", "estimator": "plant.models:m", "baseline": "plant.models:b"}}


@pytest.fixture(scope="session")
def usecase_of() -> Callable[..., UseCase]:
    """Make a use case from its sources and the other settings of its section `data`."""

    def make(sources: dict[str, Any], **data: Any) -> UseCase:
        return UseCase.model_validate(
            {"name": "plant", "fleet": {"assets": "fleet.csv"}, "data": {"sources": sources, **data}, "models": _MODELS}
        )

    return make
