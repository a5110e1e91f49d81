from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from datadriver.cli.new import render

Render = Callable[..., Path]


@pytest.fixture(scope="session")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Render:
    """Render a variant, each at most once; who gets it must not change it."""
    folder = tmp_path_factory.mktemp("variants")

    def find(problem: str, ci: str = "none", *, sample_data: bool = True) -> Path:
        name = f"{problem}_{ci}_{'sample' if sample_data else 'empty'}"
        if not (folder / name).exists():
            render(name, problem=problem, ci=ci, sample_data=sample_data, folder=folder)
        return folder / name

    return find


@pytest.fixture
def copied(rendered: Render, tmp_path: Path) -> Render:
    """Copy a variant for a test that runs something in it, which leaves files behind."""

    def find(problem: str, ci: str = "none", *, sample_data: bool = True) -> Path:
        original = rendered(problem, ci, sample_data=sample_data)
        return shutil.copytree(original, tmp_path / "copies" / original.name)

    return find
