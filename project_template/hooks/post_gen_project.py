"""Remove what the chosen variant does not need."""

import shutil
from pathlib import Path

PACKAGE = Path("src") / "{{ cookiecutter.name }}"
CI = {"github": Path(".github"), "gitlab": Path(".gitlab-ci.yml"), "azure": Path("azure-pipelines.yml")}

unused = [path for choice, path in CI.items() if choice != "{{ cookiecutter.ci }}"]
unused.append(Path("data") if "{{ cookiecutter.sample_data }}" == "yes" else PACKAGE / "sample.py")
if "{{ cookiecutter.problem }}" != "classification":
    unused.append(Path("failures.csv"))

for path in unused:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
