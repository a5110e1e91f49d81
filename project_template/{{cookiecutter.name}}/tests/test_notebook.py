"""The notebook runs from top to bottom."""

from pathlib import Path

import nbformat
{%- if cookiecutter.sample_data == "no" %}
import pytest
{%- endif %}
from nbclient import NotebookClient

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"

{% if cookiecutter.sample_data == "no" %}
@pytest.mark.skipif(not list(NOTEBOOKS.parent.glob("data/*.csv")), reason="there is no data yet")
{%- endif %}
def test_the_notebook_runs() -> None:
    notebook = nbformat.read(NOTEBOOKS / "explore.ipynb", as_version=4)
    NotebookClient(notebook, resources={"metadata": {"path": str(NOTEBOOKS)}}, timeout=300).execute()
