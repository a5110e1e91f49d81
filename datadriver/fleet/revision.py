"""The revision of the use case's code, as git tells it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path


def code_revision(root: Path) -> str | None:
    """Return the commit that a folder is at, with `-dirty` after it where files differ; None outside of git."""
    git = shutil.which("git")
    if git is None:
        return None
    command = [git, "-C", str(root), "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip() or None
