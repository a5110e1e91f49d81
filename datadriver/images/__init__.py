"""Models as images: one base per use case, one small layer per model, into an engine or straight to a registry."""
