"""Which versions a model was made with; looked up once per process, as each look-up reads a file."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, packages_distributions, version

NEEDED = ("mlflow", "numpy", "pandas", "scikit-learn", "scipy", "skops")
"""Distributions that any stored model needs to be loaded and asked."""


@cache
def installed(distribution: str) -> str | None:
    """Version of a distribution, or None if it is not installed."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def versions(*more: str) -> dict[str, str]:
    """Versions of what a stored model needs, and of `more` where installed."""
    found = {name: installed(name) for name in (*NEEDED, *more)}
    return {name: number for name, number in found.items() if number}


@cache
def distributions_by_module() -> Mapping[str, list[str]]:
    """Distributions that bring each top-level module; takes a third of a second."""
    return packages_distributions()
