"""`skops.io`, imported without searching all of scikit-learn for the names of its estimators.

When it is imported, skops makes lists of the types that it trusts. For one of them it imports nearly every module of
scikit-learn, pytest included; for others it looks through every loaded module: half a second in which an image could
have answered. The lists depend on nothing but what is installed. So the build of a base image has skops make them and
keeps them beside the packages (`python -m datadriver.tracking.skops_names > FILE`), and they are taken from there as
long as the versions that they were made with are the installed ones. Anywhere else skops makes its lists itself.

Whoever can write the file can write skops: it is in the environment's own folder, where users of an image cannot write.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

FILE = Path(sys.prefix) / "skops-names.json"

_MODULE = "skops.io._trusted_types"
_TRIAL = """
import json, sys
from datadriver.tracking.skops_names import provide
provide(json.load(sys.stdin))
import skops.io
"""
_MADE_OF = ("numpy", "scipy", "skops", "sklearn")


def skops_io(file: Path = FILE) -> Any:
    """Return the module `skops.io`; with it comes scikit-learn, which only those who dump or load should wait for."""
    if "skops.io" not in sys.modules and (kept := _read(file)) and kept.get("versions") == versions():
        provide(kept["names"])
    return import_module("skops.io")


def versions() -> dict[str, str]:
    """Return the versions that the lists depend on."""
    return {name: import_module(name).__version__ for name in _MADE_OF}


def provide(names: Mapping[str, list[str]]) -> None:
    """Have `skops.io`, when it is imported, find these lists instead of making them."""
    module = ModuleType(_MODULE)
    vars(module).update(names)
    sys.modules.setdefault(_MODULE, module)


def made_by_skops() -> dict[str, list[str]]:
    """Return the lists that skops has: those of its module that hold nothing but names."""
    lists = {name: value for name, value in vars(import_module(_MODULE)).items() if isinstance(value, list)}
    return {name: value for name, value in sorted(lists.items()) if all(isinstance(item, str) for item in value)}


def main() -> None:
    """Print what `skops_io` reads; nothing that it would use where skops wants more of its module than the lists."""
    kept: dict[str, Any] = {"versions": versions(), "names": made_by_skops()}
    tried = subprocess.run(  # noqa: S603 - this interpreter
        [sys.executable, "-c", _TRIAL],
        input=json.dumps(kept["names"]),
        text=True,
        check=False,
    )
    sys.stdout.write(json.dumps(kept if tried.returncode == 0 else {}))


def _read(file: Path) -> dict[str, Any] | None:
    try:
        kept = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return None
    return kept if isinstance(kept, dict) else None


if __name__ == "__main__":
    main()
