"""datadriver itself for the base image: nothing where it came from an index, else a wheel."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from email.parser import HeaderParser
from importlib.metadata import distribution
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from datadriver.errors import ConfigError

OURS = "datadriver"
_EPOCH = "315532800"
"""1980-01-01, the earliest time that a wheel can hold."""


@dataclass(frozen=True)
class Wheel:
    """A wheel: its file name and its bytes."""

    name: str
    content: bytes

    @property
    def requires(self) -> list[str]:
        """What it needs, as its metadata says; those of a checkout may be newer than what is on record here."""
        with zipfile.ZipFile(io.BytesIO(self.content)) as files:
            path = next(name for name in files.namelist() if name.endswith(".dist-info/METADATA"))
            return HeaderParser().parsestr(files.read(path).decode()).get_all("Requires-Dist") or []


def own_wheel() -> Wheel | None:
    """Return datadriver as a wheel, the same bytes for the same code; None where an index has this version.

    Raises:
        ConfigError: it runs from a checkout, and what builds it is not installed; or the wheel it came from is gone.
    """
    origin = json.loads(distribution(OURS).read_text("direct_url.json") or "{}")
    if not origin:
        return None
    place = Path(url2pathname(urlsplit(origin["url"]).path))
    if "dir_info" in origin and (place / "pyproject.toml").is_file():
        return _built(place)
    if origin["url"].startswith("file:") and place.suffix == ".whl" and place.is_file():
        return Wheel(place.name, place.read_bytes())
    raise ConfigError(
        f"the base image holds datadriver, which was installed from {origin['url']}: that is no folder or wheel that "
        "can be read now. Install a released version, a wheel that stays, or a checkout"
    )


def _built(checkout: Path) -> Wheel:
    with tempfile.TemporaryDirectory() as folder:
        build = f"import hatchling.build; print(hatchling.build.build_wheel({folder!r}))"
        done = subprocess.run(  # noqa: S603
            [sys.executable, "-c", build],
            cwd=checkout,
            env={**os.environ, "SOURCE_DATE_EPOCH": _EPOCH},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            hint = ". Install it: pip install hatchling" if "No module named 'hatchling'" in done.stderr else ""
            said = done.stderr.strip().splitlines()[-1:] or ["no reason given"]
            raise ConfigError(f"{checkout}: no wheel could be made of this checkout of datadriver: {said[0]}{hint}")
        name = done.stdout.split()[-1]
        return Wheel(name, (Path(folder) / name).read_bytes())
