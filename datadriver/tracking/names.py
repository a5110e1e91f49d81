"""Names of an instance in MLflow, which forbids characters that plants use."""

from __future__ import annotations

from datadriver.config.slugs import slug
from datadriver.tracking.records import Key


def registered_name(usecase: str, key: Key) -> str:
    """Name of an instance's registered model; different instances have different names.

    >>> registered_name("pumps", Key("P-101", "motor_temperature"))
    'pumps.P-101.motor_temperature'
    """
    return ".".join((usecase, *_slugs(key)))


def logged_name(key: Key) -> str:
    """Name of an instance's logged model, where MLflow allows no dot.

    >>> logged_name(Key("P-101", "motor_temperature"))
    'P-101--motor_temperature'
    """
    return "--".join(_slugs(key))


def _slugs(key: Key) -> tuple[str, str]:
    return slug(key.unit, extra="_-"), slug(key.model, extra="_-")
