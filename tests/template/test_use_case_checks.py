"""The checks that every use case passes find what they are for: each mistake below is found by the named check."""

from __future__ import annotations

import unittest
from pathlib import Path

import pytest

from datadriver.errors import DatadriverError
from datadriver.testing import Check, checks

GOOD = '"load": frame["load"],'
MISTAKES = {
    "features look at nothing later: P-101/temperature": (
        "features",
        GOOD,
        '"load": frame["load"].shift(-1),',
        "once what comes after",
    ),
    "features need no more than the lookback: P-101/temperature": (
        "features",
        '"12h"',
        '"48h"',
        "raise window.lookback",
    ),
    "features are the same twice: P-101/temperature": (
        "features",
        GOOD,
        '"load": frame["load"] + __import__("numpy").random.default_rng().normal(size=len(frame)),',
        "load",
    ),
    "training gives the same model twice: P-101/temperature": (
        "models",
        "Ridge(alpha=alpha)",
        'Ridge(alpha=alpha * (1 + __import__("random").SystemRandom().random()))',
        "a random_state without a seed",
    ),
    "the model survives storage: P-101/temperature": (
        "models",
        "SimpleImputer(),",
        'SimpleImputer(), __import__("sklearn.preprocessing").preprocessing.FunctionTransformer(lambda x: x),',
        "lambda",
    ),
    "the code can be imported": (
        "models",
        "from __future__ import annotations",
        "import a_module_that_is_not_there",
        "No module named",
    ),
}


@pytest.fixture
def case(copied) -> Path:
    return copied("regression")


def edit(case: Path, file: str, old: str, new: str) -> None:
    path = case / file
    assert old in path.read_text("utf-8")
    path.write_text(path.read_text("utf-8").replace(old, new, 1), "utf-8")


def one(case: Path, name: str, **options: object) -> Check:
    (found,) = [check for check in checks(case, **options) if check.name == name]  # type: ignore[arg-type]
    return found


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_found_by_the_check_that_names_it(case: Path, name: str) -> None:
    module, old, new, said = MISTAKES[name]
    edit(case, f"src/regression_none_sample/{module}.py", old, new)
    with pytest.raises((AssertionError, DatadriverError), match=said):
        one(case, name)()


def test_a_wrong_configuration_is_said_and_nothing_else_is_checked(case: Path) -> None:
    edit(case, "usecase.yaml", "resolution:", "resolutoin:")
    found = checks(case)
    assert [check.name for check in found] == ["the configuration is right", "the code can be imported"]
    with pytest.raises(AssertionError, match="resolutoin"):
        found[0]()


def test_a_contract_that_rejects_everything_is_said(case: Path) -> None:
    edit(case, "contracts/sensors.json", '"max_value": 105', '"max_value": 1')
    with pytest.raises(AssertionError, match="rejects all of the data"):
        one(case, "the contract accepts good data: P-101/temperature")()


def test_the_named_assets_are_checked(case: Path) -> None:
    units = {check.name.partition(": ")[2] for check in checks(case, assets=["P-104", "P-106"])}
    assert units == {"", "P-104/temperature", "P-106/temperature"}


def test_without_data_the_checks_are_skipped(copied) -> None:
    found = checks(copied("anomaly", sample_data=False))
    found[0]()
    with pytest.raises(unittest.SkipTest, match="no data yet"):
        found[-1]()
