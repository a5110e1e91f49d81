"""Refuse a name that could not be a Python package, before anything is written."""

import keyword
import re
import sys

NAME = "{{ cookiecutter.name }}"
RULE = "2 to 48 lower-case letters, digits or underscores, a letter first"

if not re.fullmatch(r"[a-z][a-z0-9_]{1,47}", NAME):
    sys.exit(f"{NAME!r} cannot be the name of a use case: {RULE}.")
if keyword.iskeyword(NAME) or NAME in sys.stdlib_module_names:
    sys.exit(f"{NAME!r} cannot be the name of a use case: Python itself uses it. Take another, such as {NAME}_fleet.")
