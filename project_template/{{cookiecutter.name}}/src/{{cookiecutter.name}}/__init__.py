"""The functions of the use case {{ cookiecutter.name }}; `usecase.yaml` refers to them by name."""
