"""Names of an instance in MLflow, which forbids characters that plants use."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlparse
from urllib.request import url2pathname

from datadriver.config.slugs import slug
from datadriver.tracking.records import Key


def registered_name(usecase: str, key: Key) -> str:
    """Name of an instance's registered model; different instances have different names.

    >>> registered_name("pumps", Key("P-101", "motor_temperature"))
    'pumps.P-101.motor_temperature'
    """
    return ".".join((usecase, *_slugs(key)))


def model_uri(name: str, number: int) -> str:
    """URI by which MLflow loads a version; the number in it is the one that MLflow's registry gave.

    >>> model_uri("pumps.P-101.load", 3)
    'models:/pumps.P-101.load/3'
    """
    return f"models:/{name}/{number}"


def registered_number(uri: str) -> int:
    """Read the number of a version in MLflow's registry from its URI.

    >>> registered_number("models:/pumps.P-101.load/3")
    3
    """
    return int(uri.rpartition("/")[2])


def logged_name(key: Key) -> str:
    """Name of an instance's logged model, where MLflow allows no dot.

    >>> logged_name(Key("P-101", "motor_temperature"))
    'P-101--motor_temperature'
    """
    return "--".join(_slugs(key))


def kept_path(location: str, root: Path) -> str:
    """Path of a model as the ledger keeps it: relative to the use case if below it, so that the use case can be moved.

    >>> kept_path("file:///srv/pumps/.datadriver/a", Path("/srv/pumps")), kept_path("s3://b/a", Path("/srv/pumps"))
    ('.datadriver/a', 's3://b/a')
    """
    if location.startswith("file:"):
        location = url2pathname(urlparse(location).path)
    elif ":/" in location:
        return location
    path, root = Path(location), root.absolute()
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


def _slugs(key: Key) -> tuple[str, str]:
    return slug(key.unit, extra="_-"), slug(key.model, extra="_-")
