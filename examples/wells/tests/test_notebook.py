"""The notebook runs from top to bottom."""

import os
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parents[1]


@pytest.mark.skipif("DATADRIVER_DATA" not in os.environ, reason="DATADRIVER_DATA is not set, see README.md")
def test_the_notebook_runs(tmp_path: Path) -> None:
    for path in ROOT.iterdir():
        if path.name != ".datadriver":  # the test's runs and champions are its own
            (tmp_path / path.name).symlink_to(path)
    notebook = nbformat.read(ROOT / "notebooks" / "explore.ipynb", as_version=4)
    NotebookClient(notebook, resources={"metadata": {"path": str(tmp_path)}}, timeout=300).execute()
