"""What is in an image, as a CycloneDX document: `python sbom.py /opt/venv`, run while the base image is built.

It lists the Python distributions of an environment and the Debian packages below it, with versions and licences. It
imports nothing of datadriver, so that the tools of the build need not hold its dependencies.
"""

from __future__ import annotations

import subprocess
import sys
import uuid
from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cyclonedx.model.component import Component
    from cyclonedx.model.license import License

_NAMESPACE = uuid.UUID("6f2b1f5e-4c55-5f0b-9d0e-7d9d3a3f7f10")


def document(environment: Path) -> str:
    """Return the document in JSON, the same for the same content: its serial number follows from what it lists.

    Args:
        environment: a virtual environment.
    """
    from cyclonedx.model.bom import Bom  # noqa: PLC0415 - only the build of a base image has it
    from cyclonedx.output.json import JsonV1Dot6  # noqa: PLC0415

    components = sorted([*_python(environment), *_debian()], key=lambda one: str(one.purl))
    serial = uuid.uuid5(_NAMESPACE, "\n".join(str(one.purl) for one in components))
    made = Bom(components=components, serial_number=serial)
    made.metadata.timestamp = None  # type: ignore[assignment] # optional in the format
    return JsonV1Dot6(made).output_as_string(indent=1)


def _python(environment: Path) -> Iterator[Component]:
    folders = [str(path) for path in environment.glob("lib/python3*/site-packages")]
    for name, found in {one.name: one for one in distributions(path=folders)}.items():
        yield _component("pypi", None, name, found.version, _licences(found))


def _debian() -> Iterator[Component]:
    query = ["dpkg-query", "--show", "--showformat", "${Package}\t${Version}\n"]
    try:
        listed = subprocess.run(query, capture_output=True, text=True, check=False).stdout  # noqa: S603
    except FileNotFoundError:  # no Debian
        return
    for line in listed.splitlines():
        name, _, version = line.partition("\t")
        yield _component("deb", "debian", name, version, ())


def _component(kind: str, namespace: str | None, name: str, version: str, licences: Iterable[License]) -> Component:
    from cyclonedx.model.component import Component, ComponentType  # noqa: PLC0415
    from packageurl import PackageURL  # noqa: PLC0415

    purl = PackageURL(kind, namespace, name.lower(), version)
    return Component(
        name=name, version=version, type=ComponentType.LIBRARY, purl=purl, bom_ref=str(purl), licenses=licences
    )


def _licences(found: Distribution) -> tuple[License, ...]:
    """Return what a distribution says of its licence: an SPDX expression, else classifiers, else a name."""
    from cyclonedx.contrib.license.factories import LicenseFactory  # noqa: PLC0415

    said = found.metadata.json
    if expression := said.get("license_expression"):
        return (LicenseFactory().make_from_string(str(expression)),)
    named = [one.rpartition(" :: ")[2] for one in said.get("classifier", ()) if one.startswith("License :: ")]
    text = str(said.get("license", "")).strip()
    if not named and text and "\n" not in text and len(text) < 80:
        named = [text]
    return tuple(LicenseFactory().make_with_name(one) for one in sorted(set(named)))


if __name__ == "__main__":
    sys.stdout.write(document(Path(sys.argv[1])) + "\n")
