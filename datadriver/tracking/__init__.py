"""Where results stay: the ledger, MLflow runs and registry, model files, releases."""
