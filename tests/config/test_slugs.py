"""Slugs are names that every technology accepts, and no two texts share one."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from datadriver.config.slugs import slug


@given(st.text(), st.booleans(), st.sampled_from(["._-", "-", "_"]))
@example("", False, "._-")
@example("." * 300, True, "-")
def test_a_slug_is_a_plain_name_of_bounded_length(text: str, lower: bool, extra: str) -> None:
    name = slug(text, extra=extra, max_length=40, lower=lower)
    letters = "a-z0-9" if lower else "A-Za-z0-9"
    assert re.fullmatch(f"[{letters}]([{letters}\\-{re.escape(extra)}]*[{letters}])?", name)
    assert len(name) <= 40


@given(st.text(), st.text())
def test_different_texts_have_different_slugs(one: str, other: str) -> None:
    assert (slug(one) == slug(other)) == (one == other)


@given(st.text())
def test_a_slug_is_nobody_elses_slug(text: str) -> None:
    assert slug(text) == text or slug(slug(text)) != slug(text)


@pytest.mark.parametrize("name", ["P-101", "WELL-00000007", "pumps.P-101.motor_temperature", "a"])
def test_plain_names_stay(name: str) -> None:
    assert slug(name) == name
