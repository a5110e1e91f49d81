"""The checks that every use case passes, here for wind."""

from pathlib import Path

import pytest
from datadriver.testing import Check, checks


@pytest.mark.parametrize("check", checks(Path(__file__).parents[1], assets=["R80711"]), ids=str)
def test_the_use_case_keeps_the_common_promises(check: Check) -> None:
    check()
