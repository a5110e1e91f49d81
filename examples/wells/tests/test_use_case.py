"""The checks that every use case passes, here for wells."""

from pathlib import Path

import pytest
from datadriver.testing import Check, checks


@pytest.mark.parametrize("check", checks(Path(__file__).parents[1], assets=["WELL-00007", "WELL-00009"]), ids=str)
def test_the_use_case_keeps_the_common_promises(check: Check) -> None:
    check()
