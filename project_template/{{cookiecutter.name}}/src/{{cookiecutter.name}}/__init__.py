"""The functions of {{ cookiecutter.name }}; `usecase.yaml` refers to them by name."""
