"""The notebook runs from top to bottom."""

from pathlib import Path

import nbformat
{%- if cookiecutter.sample_data == "no" %}
import pytest
{%- endif %}
from nbclient import NotebookClient

ROOT = Path(__file__).parents[1]

{% if cookiecutter.sample_data == "no" %}
@pytest.mark.skipif(not list(ROOT.glob("data/*.csv")), reason="there is no data yet")
{%- endif %}
def test_the_notebook_runs(tmp_path: Path) -> None:
    for path in ROOT.iterdir():
        if path.name != ".datadriver":  # the test's runs and champions are its own
            (tmp_path / path.name).symlink_to(path)
    notebook = nbformat.read(ROOT / "notebooks" / "explore.ipynb", as_version=4)
    NotebookClient(notebook, resources={"metadata": {"path": str(tmp_path)}}, timeout=300).execute()
