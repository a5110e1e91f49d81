"""`python -m datadriver` is `datadriver`."""

from __future__ import annotations

from datadriver.cli import main

if __name__ == "__main__":
    main()
