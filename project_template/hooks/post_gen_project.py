"""Remove what the chosen variant does not need."""

import shutil
from pathlib import Path

PROBLEM, CI, SAMPLE_DATA = "{{ cookiecutter.problem }}", "{{ cookiecutter.ci }}", "{{ cookiecutter.sample_data }}"
PACKAGE = Path("src") / "{{ cookiecutter.name }}"
CI_FILES = {"github": Path(".github"), "gitlab": Path(".gitlab-ci.yml"), "azure": Path("azure-pipelines.yml")}

unused = [path for choice, path in CI_FILES.items() if choice != CI]
unused.append(Path("data") if SAMPLE_DATA == "yes" else PACKAGE / "sample.py")
if PROBLEM != "classification":
    unused.append(Path("failures.csv"))

for path in unused:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
