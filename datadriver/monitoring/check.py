"""Every mistake that can be found without data or a network: those of the use case, then those of its receivers."""

from __future__ import annotations

from pathlib import Path

from datadriver.config.load import load_usecase
from datadriver.data import check as usecase_check
from datadriver.monitoring.receivers import notify_problems


def check(root: Path, env: str | None = None) -> tuple[str, ...]:
    """Return every mistake in a use case; none means that it is sound.

    Raises:
        UnavailableError: the file system does not answer.
    """
    return usecase_check.check(root, env) or notify_problems(load_usecase(root, env=env))
