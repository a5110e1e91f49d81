"""Write the generated pages of the documentation, or with `--check` fail when they are stale."""

from __future__ import annotations

import sys
from pathlib import Path

from datadriver.cli.reference import commands_page
from datadriver.config.reference import render_config_reference
from datadriver.config.schema import render_json_schema

REFERENCE = Path(__file__).parent / "reference"
PAGES = {
    "commands.md": commands_page,
    "config.md": render_config_reference,
    "usecase.schema.json": render_json_schema,
}


def stale() -> list[Path]:
    """Return the generated pages that do not say what the code says."""
    return [
        REFERENCE / name
        for name, page in PAGES.items()
        if not (REFERENCE / name).exists() or (REFERENCE / name).read_text("utf-8") != page()
    ]


def main(arguments: list[str]) -> int:
    """Write the pages, or only look at them."""
    if "--check" in arguments:
        for path in stale():
            print(f"{path} is stale: run `make reference` and commit it")
        return 1 if stale() else 0
    REFERENCE.mkdir(exist_ok=True)
    for name, page in PAGES.items():
        (REFERENCE / name).write_text(page(), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
