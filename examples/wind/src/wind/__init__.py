"""Four wind turbines of La Haute Borne; `usecase.yaml` refers to these functions by name."""
