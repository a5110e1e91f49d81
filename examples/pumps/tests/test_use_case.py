"""The checks that every use case passes, here for pumps."""

from pathlib import Path

import pytest
from datadriver.testing import Check, checks


@pytest.mark.parametrize("check", checks(Path(__file__).parents[1], assets=1), ids=str)
def test_the_use_case_keeps_the_common_promises(check: Check) -> None:
    check()
