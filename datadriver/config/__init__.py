"""What `usecase.yaml` says, as frozen models: read, overlaid, checked, resolved for an asset."""
