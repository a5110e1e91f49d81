"""Nine offshore oil wells of the public 3W data set; `usecase.yaml` refers to these functions by name."""
