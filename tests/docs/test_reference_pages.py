"""The generated pages of the documentation say what the code says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

GENERATE = Path(__file__).parents[2] / "docs" / "generate.py"


def test_the_reference_is_not_stale() -> None:
    done = subprocess.run([sys.executable, str(GENERATE), "--check"], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
