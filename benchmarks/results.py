"""The file of all measured figures: each benchmark changes its own part of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def merge_results(path: Path, figures: Mapping[str, Any]) -> None:
    """Put figures, named by dotted keys such as `contract.dirt`, into the file, and leave everything else alone."""
    results = json.loads(path.read_text()) if path.exists() else {}
    for key, value in figures.items():
        *parents, last = key.split(".")
        place = results
        for name in parents:
            place = place.setdefault(name, {})
        place[last] = value
    path.write_text(json.dumps(results, indent=2, sort_keys=True) + "\n")
