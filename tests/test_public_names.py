"""The public names: one sorted list, complete, and free until used."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import datadriver
from datadriver import errors

HEAVY = {"airflow", "docker", "mlflow", "great_expectations", "sklearn", "pandas", "numpy", "pydantic"}


def test_the_list_of_public_names_is_sorted_and_without_doubles():
    assert datadriver.__all__ == sorted(set(datadriver.__all__))


@pytest.mark.parametrize("name", datadriver.__all__)
def test_every_public_name_is_there(name):
    assert getattr(datadriver, name) is not None


def test_what_type_checkers_see_is_what_is_there():
    tree = ast.parse(Path(datadriver.__file__).read_text("utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    imported = {(alias.name, node.module) for node in block.body for alias in node.names}
    assert imported == {(name, module) for name, module in datadriver._MODULES.items()}
    assert {name for name, _ in imported} | {"__version__"} == set(datadriver.__all__)


def test_every_error_is_public():
    kinds = {name for name, value in vars(errors).items() if isinstance(value, type)}
    assert {name for name in kinds if issubclass(getattr(errors, name), Exception)} <= set(datadriver.__all__)


def test_a_name_that_is_not_public_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = datadriver.nonsense


def test_importing_the_package_loads_nothing_heavy():
    program = "import sys, datadriver; print(*sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert not HEAVY & set(loaded)
